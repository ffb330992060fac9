"""What the commands that show, regrade or export a finished run do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from swerl_eval.cli.render import print_run
from swerl_eval.compose import rows_of
from swerl_eval.core.errors import UsageError
from swerl_eval.core.secrets import redacted
from swerl_eval.core.types import Evaluation
from swerl_eval.evaluation.regrade import Change, regrade
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.costs import costs
from swerl_eval.reports.quarantine import Quarantine, read_quarantine
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.reports.write_reports import PAGE_FILE, write_page, write_page_if_possible, write_reports


def show_report(
    folder: Path,
    form: str,
    quarantine: Path | None = None,
    prices: Mapping[str, float] | None = None,
    output: Path | None = None,
) -> None:
    """Build a run's report from its records. Print it as a table or as JSON, or write it as a page.

    Args:
        folder: The run folder.
        form: `table`, `json` or `html`.
        quarantine: The quarantine file; None is the run's own setting.
        prices: Prices that override the run's own ones.
        output: The page's file; None is `report.html` in the run folder.
    """
    if form not in {"table", "json", "html"}:
        message = f"--format {form}: choose table, json or html"
        raise UsageError(message)
    if output is not None and form != "html":
        message = f"--output is the file of the page, and --format is {form}; add --format html"
        raise UsageError(message)
    run = Run(folder)
    report = build_report(run, quarantine_of(run, quarantine))
    if form == "html":
        _write_page(output or folder / PAGE_FILE, run, report, prices_of(run, prices or {}))
    elif form == "json":
        sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_run(Console(), report, costs(run, prices_of(run, prices or {})))


def _write_page(path: Path, run: Run, report: Report, prices: Mapping[str, float]) -> None:
    """Write the page and print its path."""
    try:
        write_page(path, run, report, prices)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}; choose another --output"
        raise UsageError(message) from error
    sys.stdout.write(f"{path}\n")


def regrade_run(folder: Path, dataset: str | None, quarantine: Path | None) -> None:
    """Grade a run's saved logs again, and print what changed on standard error."""
    with reopen_run(folder) as run:
        regrading = regrade(run, rows_of(run, dataset))
        write_page_if_possible(run, write_reports(run, quarantine_of(run, quarantine)), _say)
    for change in regrading.changes:
        sys.stderr.write(f"{change.instance_id}, patch {change.after.patch_sha256[:12]}: {_difference(change)}\n")
    for name, reason in regrading.ungraded.items():
        sys.stderr.write(f"{name}: not graded again: {reason}\n")
    rate = regrading.graded / max(regrading.seconds, 1e-9)
    sys.stderr.write(
        f"{regrading.graded} logs graded again in {regrading.seconds:.2f} s ({rate:,.0f}/s), "
        f"{len(regrading.changes)} changed\n"
    )


def _say(notice: str) -> None:
    sys.stderr.write(f"{notice}\n")


def _difference(change: Change) -> str:
    before, after = _verdicts(change.before), _verdicts(change.after)
    return f"{before} before, {after} now" if before != after else f"{after} as before, but not test by test"


def _verdicts(evaluation: Evaluation) -> str:
    return evaluation.verdict.value + (f" (strict: {evaluation.strict.value})" if evaluation.strict else "")


def quarantine_of(run: Run, file: Path | None) -> Quarantine | None:
    """The quarantine for a run's report: the given file, else the run's own setting."""
    chosen = file or run.manifest.config.get("quarantine")
    return read_quarantine(Path(chosen)) if chosen else None


def prices_of(run: Run, given: Mapping[str, float]) -> dict[str, float]:
    """The prices for a run's costs: the given ones over those of the run."""
    return {**run.manifest.config.get("prices", {}), **given}


def export_run(folder: Path, to: str, output: Path | None, details: dict[str, Any]) -> None:
    """Write a run in another format, and print the paths that were written."""
    destination = output or folder / "export" / to.replace(":", ".")
    for path in load("exporter", to, EXPORTERS)().export(folder, destination, redacted(details)):
        sys.stdout.write(f"{path}\n")
