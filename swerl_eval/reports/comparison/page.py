"""A comparison as a page: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.reports.comparison.build import Comparison
from swerl_eval.reports.comparison.chart import chart_of_rates
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.comparison.render import Group, Section, groups_of, sections
from swerl_eval.reports.html.page import embedded
from swerl_eval.reports.html.templates import PageKind, render

COMPARISON = PageKind(styles=("page.css", "comparison.css"))


@dataclass(frozen=True)
class Pair:
    """Two sides, and the instances by what they say of them."""

    first: str
    second: str
    groups: Sequence[Group]


def comparison_page(comparison: Comparison, reports: Mapping[str, str] | None = None, home: str = "") -> str:
    """Return the page of a comparison.

    Args:
        comparison: What `compare` returned.
        reports: The addresses of the sides' reports, by the sides' names, where there are some to link to.
        home: The address of the list of runs, where there is one.
    """
    return render(
        "comparison.html.j2",
        kind=COMPARISON,
        comparison=comparison,
        sections=[(section, _pairs(comparison, section)) for section in sections(comparison, printable)],
        chart=embedded(chart_of_rates(comparison)),
        reports=reports or {},
        home=home,
        printable=printable,
    )


def _pairs(comparison: Comparison, section: Section) -> list[Pair]:
    """Return the pairs of sides that a section's figures are about."""
    if not section.verdict:
        return []
    return [
        Pair(
            pair["first"],
            pair["second"],
            groups_of(pair[section.verdict], printable(pair["first"]), printable(pair["second"])),
        )
        for pair in comparison["comparisons"]
    ]
