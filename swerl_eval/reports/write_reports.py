"""Writes the files of a run folder that can always be made again from its records."""

from __future__ import annotations

from swerl_eval.records.atomic import write_json, write_lines
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.quarantine import Quarantine
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.reports.swebench_report import predictions, report_name, run_report


def write_reports(run: Run, quarantine: Quarantine | None = None) -> Report:
    """Write `report.json`, and if patches were chosen, `all_preds.jsonl` and swebench's run report.

    Args:
        run: The run folder.
        quarantine: Adds a second solve rate, without its instances.

    Returns:
        The content of `report.json`.
    """
    report = build_report(run, quarantine)
    write_json(run.folder / "report.json", report)
    rows = predictions(run)
    if rows:
        write_lines(run.folder / "all_preds.jsonl", rows)
        write_json(run.folder / report_name(run), run_report(run))
    return report
