"""Writes the files of a run folder that can always be made again from its records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from swerl_eval.records.atomic import write_json, write_lines, write_pieces
from swerl_eval.records.run_files import REPORT_FILE
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.html.page import report_page
from swerl_eval.reports.quarantine import Quarantine
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.reports.swebench_report import predictions, report_name, run_report

PAGE_FILE = "report.html"


def write_reports(run: Run, quarantine: Quarantine | None = None) -> Report:
    """Write `report.json`, and if patches were chosen, `all_preds.jsonl` and swebench's run report.

    Args:
        run: The run folder.
        quarantine: Adds a second solve rate, without its instances.

    Returns:
        The content of `report.json`.
    """
    report = build_report(run, quarantine)
    write_json(run.folder / REPORT_FILE, report)
    rows = predictions(run)
    if rows:
        write_lines(run.folder / "all_preds.jsonl", rows)
        write_json(run.folder / report_name(run), run_report(run))
    return report


def write_page_if_possible(run: Run, report: Report, notify: Callable[[str], None]) -> None:
    """Write `report.html` into the run folder, or say why there is none; an older one is removed then.

    Args:
        run: The run folder.
        report: What `write_reports` returned for it.
        notify: Told why no page could be made.
    """
    page = run.folder / PAGE_FILE
    try:
        write_page(page, run, report)
    except Exception as error:  # noqa: BLE001 - also of a library, and no reason to fail a run
        with contextlib.suppress(OSError):
            page.unlink(missing_ok=True)  # an older one says what is no longer so
        reason = str(error) or type(error).__name__
        notify(f"{PAGE_FILE} was not written: {reason}; `swerl-eval report --format html` tries it again")


def write_page(path: Path, run: Run, report: Report, prices: Mapping[str, float] | None = None) -> None:
    """Write the page of a run.

    Args:
        path: The file.
        run: The run folder.
        report: What `build_report` returned for it.
        prices: Prices of the run's costs; None for the run's own.
    """
    paid = run.manifest.config.get("prices", {}) if prices is None else prices
    write_pieces(path, (piece.encode() for piece in report_page(run, report, paid)))
