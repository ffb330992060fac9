"""Makes the pages that need whole runs: a run's report, and comparisons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from swerl_eval.cli.run_reports import prices_of, quarantine_of
from swerl_eval.cli.view.pages import Page, differing, run_address
from swerl_eval.records.run_files import look_at
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.build import compare
from swerl_eval.reports.comparison.differences import differences_of
from swerl_eval.reports.comparison.page import COMPARISON, comparison_page
from swerl_eval.reports.comparison.sides import read_side
from swerl_eval.reports.html.page import SCRIPTS, report_page
from swerl_eval.reports.html.templates import policy_of
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import PAGE_FILE

_HEAD = 4096
"""Bytes of a page that hold its policy."""


class ReportMaker:
    """Gives the reports of runs; the last one that it made is kept. One thread at a time may use it."""

    def __init__(self) -> None:
        self._made: tuple[Path, object] | None = None
        self._html = b""

    def report(self, folder: Path) -> Page:
        """Return a run's report: `report.html` if it is newer than the records, else one that is made now.

        Its answer goes with the policy of this version's reports, so no other script runs in it. A file of another
        version would not work under it, and is made anew.

        Args:
            folder: The run folder, as `RunList.folder` gives it.
        """
        files = look_at(folder)
        policy = policy_of(SCRIPTS)
        if files.is_current(PAGE_FILE):
            html = (folder / PAGE_FILE).read_bytes()
            if all(digest.encode() in html[:_HEAD] for digest in re.findall(r"sha256-[^']*", policy)):
                return Page(html, policy)
        if self._made != (folder, files.records):
            run = Run(folder)
            report = build_report(run, quarantine=quarantine_of(run, None))
            self._html = "".join(report_page(run, report, prices_of(run, {}))).encode("utf-8", "replace")
            self._made = (folder, files.records)
        return Page(self._html, policy)


def comparison_of(folders: Sequence[Path], seed: int, anyway: bool) -> Page:
    """Return the comparison of runs; where they were measured otherwise and `anyway` is not set, the differences.

    Raises:
        UsageError: The runs have no instance in common.
        InputError: A run folder is malformed.
    """
    sides = [replace(read_side(str(folder), folder), name=folder.name) for folder in folders]
    differences = differences_of(sides)
    if differences and not anyway:
        query = urlencode([*(("run", folder.name) for folder in folders), ("anyway", "1")])
        return differing([side.name for side in sides], differences, f"/compare?{query}")
    reports = {folder.name: run_address(folder.name, "report") for folder in folders}
    html = comparison_page(compare(sides, seed, anyway=anyway), reports, home="/")
    return Page(html.encode("utf-8", "replace"), policy_of(kind=COMPARISON))
