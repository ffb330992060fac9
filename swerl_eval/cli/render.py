"""Reports as tables for a terminal. Names and reasons are data: never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from swerl_eval.reports.first_screen import BAD, GOOD, WARN, Section, first_screen

MOST_ROWS = 100
"""Rows of the table, at most; report.json has all of them."""
NAME_WIDTH = 20
"""Characters of an instance's name that stand in one line at least."""
_STYLES = {"resolved": "green", "infra_error": "red", "missing": "red"}
_TONES = {GOOD: "green", WARN: "yellow", BAD: "red"}


def print_run(console: Console, report: dict[str, Any], costs: dict[str, Any] | None = None) -> None:
    """Print a report: the table of instances, remarks on them, and the facts of the first screen, the result last."""
    # without an outer edge the table fits into 80 columns
    table = Table(title=Text(report["run_id"]), title_justify="left", show_edge=False)
    by_tests = any("plain_vote" in row for row in report["instances"])
    strict = report["strict"] is not None
    optional = [*(["strict"] if strict else []), *(["plain vote"] if by_tests else [])]
    without_prediction = set(report["without_prediction"])  # the figures below name them
    rows = [row for row in report["instances"] if row["instance_id"] not in without_prediction]
    voted = any(row.get("votes") for row in rows)  # nobody votes on patches that were handed in
    # a narrow terminal shows a name in several lines, whole
    longest = max((len(row["instance_id"]) for row in rows), default=0)
    table.add_column("instance", overflow="fold", min_width=min(longest, NAME_WIDTH))
    for column in ("verdict", *optional, *(["votes"] if voted else []), "fixed", "kept"):
        table.add_column(column, no_wrap=True)
    for row in rows[:MOST_ROWS]:
        table.add_row(*_cells(row, strict=strict, by_tests=by_tests, voted=voted))
    width = console.width
    if not console.is_terminal:  # it goes to a file or a program, which needs whole names
        console.width = max(width, Measurement.get(console, console.options.update(max_width=10**4), table).maximum)
    console.print(table)
    console.width = width
    for row in rows[:MOST_ROWS]:
        for remark in _remarks(row):
            console.print(Text(f"{row['instance_id']}: {remark}"))
    if len(rows) > MOST_ROWS:
        console.print(Text(f"… and {len(rows) - MOST_ROWS} more instances in report.json"))
    print_sections(console, first_screen(report, costs))


def _remarks(row: dict[str, Any]) -> list[str]:
    """The remarks on one instance, for below the table."""
    remarks = [row["reason"]] if row.get("reason") else []
    strict = row.get("strict")
    if strict is not None and strict != row["verdict"]:
        remarks.append(f"{row['verdict']} officially, {strict} strictly: {row.get('strict_reason', '')}")
    remarks += [f"suspicious: {reason}" for reason in row.get("suspicious", [])]
    if "quarantined" in row:
        remarks.append(f"in quarantine: {row['quarantined']}")
    return remarks


def _strict_cell(row: dict[str, Any]) -> Text:
    """Whether the strict verdict confirms a resolved one; empty for other verdicts."""
    if row["verdict"] != "resolved":
        return Text("")
    word, style = {"resolved": ("yes", "green"), "unresolved": ("no", "red")}.get(str(row.get("strict")), ("?", "red"))
    return Text(word, style=style)


def _cells(row: dict[str, Any], *, strict: bool, by_tests: bool, voted: bool) -> list[Text]:
    tests = row.get("tests", {})
    vote = row.get("plain_vote", {}).get("verdict", "")
    return [
        Text(row["instance_id"]),
        Text(row["verdict"], style=_STYLES.get(row["verdict"], "")),
        *([_strict_cell(row)] if strict else []),
        *([Text(vote, style=_STYLES.get(vote, ""))] if by_tests else []),
        *([Text(f"{row['votes']} of {row['valid']}" if row.get("votes") else "")] if voted else []),
        Text(tests.get("FAIL_TO_PASS", "")),
        Text(tests.get("PASS_TO_PASS", "")),
    ]


def print_sections(console: Console, sections: Sequence[Section]) -> None:
    """Print the facts, section by section; the result, which comes first on the page, is what one sees last."""
    for section in [*sections[1:], *sections[:1]]:
        console.print(Text(section.title, style="bold"))
        for fact in section.facts:
            console.print(Padding(Text(str(fact), style=_TONES.get(fact.tone, "")), (0, 0, 0, 2), expand=False))


def print_report_files(console: Console, folder: Path) -> None:
    """Print where the reports of a run are; on a terminal these are links."""
    for file in (folder / "report.html", folder / "report.json"):
        if file.is_file():
            link = Style(link=file.resolve().as_uri())
            console.print(Text.assemble("Report: ", (str(file), link)), soft_wrap=True)
