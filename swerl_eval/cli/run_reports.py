"""What the commands that show, regrade or export a finished run do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from swerl_eval.cli.render import print_costs, print_run
from swerl_eval.compose import rows_of
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Evaluation
from swerl_eval.evaluation.regrade import Change, regrade
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.quarantine import Quarantine, read_quarantine
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import write_reports


def print_report(folder: Path, form: str, quarantine: Path | None = None) -> None:
    """Build a run's report from its records and print it as a table or as JSON."""
    if form not in {"table", "json"}:
        message = f"--format {form}: choose table or json"
        raise UsageError(message)
    run = Run(folder)
    report = build_report(run, quarantine_of(run, quarantine))
    if form == "json":
        sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        console = Console()
        print_run(console, report)
        print_costs(console, run)


def regrade_run(folder: Path, dataset: str | None, quarantine: Path | None) -> None:
    """Grade a run's saved logs again, and print what changed on standard error."""
    with reopen_run(folder) as run:
        regrading = regrade(run, rows_of(run, dataset))
        write_reports(run, quarantine_of(run, quarantine))
    for change in regrading.changes:
        sys.stderr.write(f"{change.instance_id}, patch {change.after.patch_sha256[:12]}: {_difference(change)}\n")
    for name, reason in regrading.ungraded.items():
        sys.stderr.write(f"{name}: not graded again: {reason}\n")
    rate = regrading.graded / max(regrading.seconds, 1e-9)
    sys.stderr.write(
        f"{regrading.graded} logs graded again in {regrading.seconds:.2f} s ({rate:,.0f}/s), "
        f"{len(regrading.changes)} changed\n"
    )


def _difference(change: Change) -> str:
    before, after = _verdicts(change.before), _verdicts(change.after)
    return f"{before} before, {after} now" if before != after else f"{after} as before, but not test by test"


def _verdicts(evaluation: Evaluation) -> str:
    return evaluation.verdict.value + (f" (strict: {evaluation.strict.value})" if evaluation.strict else "")


def quarantine_of(run: Run, file: Path | None) -> Quarantine | None:
    """The quarantine for a run's report: the given file, else the run's own setting."""
    chosen = file or run.manifest.config.get("quarantine")
    return read_quarantine(Path(chosen)) if chosen else None


def export_run(folder: Path, to: str, output: Path | None, details: dict[str, Any]) -> None:
    """Write a run in another format, and print the paths that were written."""
    destination = output or folder / "export" / to.replace(":", ".")
    for path in load("exporter", to, EXPORTERS)().export(folder, destination, details):
        sys.stdout.write(f"{path}\n")
