"""The page of a run: one HTML file that needs no network, with every instance packed into it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from swerl_eval.records.run_folder import Run
from swerl_eval.records.timeline import read_timeline
from swerl_eval.reports.costs import costs
from swerl_eval.reports.first_screen import Section, first_screen
from swerl_eval.reports.html.charts import Chart, charts
from swerl_eval.reports.html.instance_data import instance_data
from swerl_eval.reports.html.instance_table import instance_table
from swerl_eval.reports.html.packing import pack
from swerl_eval.reports.html.templates import render_pieces

SCRIPTS = ("elements.js", "data.js", "diff.js", "table.js", "instance.js", "report.js")
FIRST = ("Result", "Missing or failed", "Measured with")
"""Sections of figures that come first; the others follow the charts."""


def report_page(run: Run, report: Mapping[str, Any], prices: Mapping[str, float]) -> Iterator[str]:
    """Yield the page of a run piece by piece, so that it need not be held twice.

    Args:
        run: The run folder.
        report: What `build_report` returned for it.
        prices: What is paid, as `costs` takes it.
    """
    sections = first_screen(report, costs(run, prices))
    values = page_values(report, sections, charts(report, None))
    yield from render_pieces("report.html.j2", SCRIPTS, **values, data=_packed_instances(run, report))
