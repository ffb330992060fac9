"""The pages of `swerl-eval view`, from plain values: the list of runs, a run as it goes on, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from swerl_eval.cli.view.run_list import RunSummary
from swerl_eval.reports.comparison.differences import Difference
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.html.templates import ASSETS, PageKind, policy_of, render

SERVED = PageKind(
    folders=(Path(__file__).parent / "assets", ASSETS),
    styles=("page.css", "view.css"),
    policy="connect-src 'self'; form-action 'self'",
)
"""These pages ask this server for more."""


@dataclass(frozen=True)
class Page:
    """A page, and the policy that its answer goes with."""

    html: bytes
    policy: str


def run_address(name: str, part: str = "") -> str:
    """Return the address of a run, or of a part of it: `live`, `live.json`, `report`."""
    return "/".join(filter(None, ("/runs", quote(name, safe=""), part)))


def run_list(results: Path, runs: Sequence[RunSummary]) -> Page:
    """Return the list of runs."""
    return _page("runs.html.j2", ("elements.js", "table.js", "runs.js"), results=str(results), runs=runs)


def live(run: RunSummary, data: dict[str, Any]) -> Page:
    """Return the page of a run as it goes on; `data` is its present state, as `live_data` gives it."""
    return _page("live.html.j2", ("elements.js", "live.js"), run=run, data=data)


def differing(names: Sequence[str], differences: Sequence[Difference], anyway: str) -> Page:
    """Return the page about runs that were not measured alike.

    Args:
        names: The runs.
        differences: In what they differ.
        anyway: The address of the comparison all the same.
    """
    lines = [difference.words(printable) for difference in differences]
    return _page("differing.html.j2", names=names, differences=lines, anyway=anyway)


def problem(title: str, explanation: str) -> Page:
    """Return the page about something that went wrong."""
    return _page("problem.html.j2", name=title, explanation=explanation)


def _page(template: str, scripts: Sequence[str] = (), **values: object) -> Page:
    html = render(template, scripts, SERVED, address=run_address, printable=printable, **values)
    return Page(html.encode("utf-8", "replace"), policy_of(scripts, SERVED))
