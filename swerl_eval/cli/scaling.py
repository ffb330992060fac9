"""`swerl-eval select RUN`: what fewer samples or tests would have given, from a run's stored evidence."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.core.errors import UsageError
from swerl_eval.core.selection.scaling import ScalingRow, scaling
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.first_screen import RECORDED
from swerl_eval.reports.scaling_curves import judge

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
    by_reward = all(row.reward_at_k is not None for row in rows)
    columns = ["samples", "tests", "solve rate", "best@k (95 % of subsets)", "pass@k (95 % of subsets)"]
    for column in [*columns, *(["best@k by reward"] if by_reward else [])]:
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
        *([] if row.reward_at_k is None else [f"{100 * row.reward_at_k:.1f} %"]),
    ]


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
