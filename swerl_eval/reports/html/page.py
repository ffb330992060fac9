"""The page of a run: one HTML file that needs no network, with every instance packed into it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swerl_eval.core.errors import SwerlEvalError
from swerl_eval.records.run_folder import Run
from swerl_eval.records.timeline import Timeline, read_timeline
from swerl_eval.reports.costs import costs
from swerl_eval.reports.first_screen import Section, first_screen
from swerl_eval.reports.html.charts import Chart, charts
from swerl_eval.reports.html.diff_lines import TOKEN_CLASSES
from swerl_eval.reports.html.instance_data import instance_data
from swerl_eval.reports.html.instance_table import instance_table
from swerl_eval.reports.html.packing import pack
from swerl_eval.reports.html.templates import render_pieces
from swerl_eval.reports.scaling_curves import curves

SCRIPTS = (
    "elements.js", "data.js", "table.js", "diff.js", "parts.js", "candidates.js", "instance.js", "report.js",
)  # fmt: skip
"""In this order; `report.js` starts the page."""
FIRST = ("Result", "Missing or failed", "Measured with")
"""Sections of figures that come first; the others follow the charts."""
IN_LARGE = ("The answers were RECORDED", "Solve rate", "Strict solve rate")
"""Facts that the page shows above the sections."""
DIFFICULTIES = ("<15 min fix", "15 min - 1 hour", "1-4 hours", ">4 hours")
"""As SWE-bench Verified names them, the easiest first."""
ODD = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError, SwerlEvalError)
"""What odd records of one instance may raise. The page says so in its place, and shows the others."""


def report_page(run: Run, report: Mapping[str, Any], prices: Mapping[str, float]) -> Iterator[str]:
    """Yield the page of a run piece by piece, so that it need not be held twice.

    Args:
        run: The run folder.
        report: What `build_report` returned for it.
        prices: What is paid, as `costs` takes it.
    """
    sections = first_screen(dict(report), costs(run, prices))
    # the tables of groups draw their intervals themselves
    values = _values(report, sections, charts({**report, "groups": {}}, curves(run)))
    data = _packed(run, report["instances"], read_timeline(run.folder))
    yield from render_pieces("report.html.j2", SCRIPTS, **values, data=data)


def _values(report: Mapping[str, Any], sections: Sequence[Section], drawn: Sequence[Chart]) -> dict[str, Any]:
    """Return what the template shows."""
    columns, rows = instance_table(report["instances"])
    return {
        "report": report,
        "first": [_beside_the_rates(section) for section in sections if section.title in FIRST],
        "figures": [section for section in sections if section.title not in FIRST],
        "funnel": report["funnel"],
        "groups": _groups(report["groups"]),
        "charts": [embedded(chart) for chart in drawn],
        "verdicts": [(verdict, count) for verdict, count in report["verdicts"].items() if count],
        "columns": columns,
        "rows": rows,
        "token_classes": TOKEN_CLASSES,
    }


def _beside_the_rates(section: Section) -> Section:
    """Return the section without what the page says in large letters."""
    facts = tuple(fact for fact in section.facts if fact.label not in IN_LARGE)
    return Section("Verdicts" if section.title == "Result" else section.title, facts)


def _groups(groups: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, list[dict[str, Any]]]]:
    """Return the tables of groups as they stand beside each other: repositories, and the others, which are short."""
    difficulties = sorted(groups["difficulty"], key=lambda row: (_place(row["name"]), row["name"]))
    years = sorted(groups["year"], key=lambda row: row["name"])
    beside = [{"repository": groups["repository"]}, {"difficulty": difficulties, "year": years}]
    shown = [{name: rows for name, rows in tables.items() if rows} for tables in beside]
    return [tables for tables in shown if tables]


def _place(difficulty: str) -> int:
    return DIFFICULTIES.index(difficulty) if difficulty in DIFFICULTIES else len(DIFFICULTIES)


def embedded(chart: Chart) -> dict[str, Any]:
    """Return a chart with its drawings as text for `data:` addresses."""
    light, dark = (base64.b64encode(drawing).decode() for drawing in (chart.light, chart.dark))
    return {"title": chart.title, "alt": chart.alt, "light": light, "dark": dark, "table": chart.table}


def _packed(run: Run, rows: Sequence[dict[str, Any]], timeline: Timeline) -> Iterator[str]:
    """Yield the packed data of each instance, in the order of the table."""
    for row in rows:
        try:
            data = instance_data(run, row, timeline.stages.get(row["instance_id"], []))
        except ODD as error:
            data = {"id": row["instance_id"], "unreadable": f"its records are odd: {type(error).__name__}: {error}"}
        yield pack(data)
