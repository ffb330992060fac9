"""`swerl-eval select RUN`: what fewer samples or tests would have given, from a run's stored evidence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import UsageError
from swerl_eval.core.selection.scaling import JudgedInstance, ScalingRow, scaling
from swerl_eval.core.types import Candidate, Evidence, Verdict
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.first_screen import RECORDED

ALL = "all"


def print_scaling(folder: Path, samples: str, tests: str, *, regression: bool) -> None:
    """Print the scaling table of a run whose unique candidates all have a verdict (`--evaluate all`).

    Args:
        folder: The run folder.
        samples: Numbers of samples, comma-separated, or `all`.
        tests: Numbers of reproduction tests, likewise.
        regression: Whether the run's regression tests count too.
    """
    run = Run(folder)
    judged = judge(run)
    most_samples = max((len(instance.candidates) for instance in judged.values()), default=0)
    counts = [most_samples if count is None else count for count in _numbers("--samples", samples)]
    rows = scaling(judged, counts, _numbers("--tests", tests), regression=regression)
    console = Console()
    table = Table(title=Text(f"{run.manifest.run_id}: {len(judged)} instances"), title_justify="left")
    for column in ("samples", "tests", "solve rate", "best@k (95 % of subsets)", "pass@k (95 % of subsets)"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    if run.manifest.recorded:
        console.print(Text(RECORDED))
    kind = "with" if regression else "without"
    console.print(Text(f"k is the number of samples; chosen {kind} the run's regression tests"))


def _cells(row: ScalingRow) -> list[str]:
    def interval(low: float, high: float) -> str:
        return f"({100 * low:.1f} to {100 * high:.1f})"

    return [
        str(row.samples),
        ALL if row.tests is None else str(row.tests),
        f"{100 * row.solve_rate:.1f} %",
        f"{100 * row.best_at_k:.1f} % {interval(*row.best_interval)}",
        f"{100 * row.pass_at_k:.1f} % {interval(*row.pass_interval)}",
    ]


def judge(run: Run) -> dict[str, JudgedInstance]:
    """Each instance's candidates, evidence and verdicts, as far as the run has them, by instance id.

    The patches' texts are left out: they would take most of the memory of a run of 500 x 500 samples.
    """
    evidence: dict[str, dict[str, Evidence]] = {name: {} for name in run.manifest.instance_ids}
    for record in run.evidence.values():
        evidence[record.instance_id][record.normal_form] = record
    candidates: dict[str, list[Candidate]] = {}
    verdicts: dict[str, dict[str, bool]] = {}
    for candidate in run.candidates.values():  # in the order of an instance's samples
        name = candidate.instance_id
        candidates.setdefault(name, []).append(dataclasses.replace(candidate, patch=""))
        known = verdicts.setdefault(name, {})
        evaluation = run.evaluations.get((name, sha256(candidate.patch))) if candidate.rejection is None else None
        if evaluation is not None and evaluation.verdict is not Verdict.INFRA_ERROR:
            known.setdefault(candidate.normal_form, evaluation.resolved)
    return {name: JudgedInstance(candidates[name], evidence[name], verdicts[name]) for name in candidates}


def _numbers(option: str, text: str) -> list[int | None]:
    """The numbers in `0,5,all`; None for `all`."""
    numbers: list[int | None] = []
    for part in text.split(","):
        word = part.strip()
        if word != ALL and not word.isdigit():
            message = f"{option} {text}: write comma-separated numbers, such as 20,80,160, or all"
            raise UsageError(message)
        numbers.append(None if word == ALL else int(word))
    return numbers
