"""The charts of a run's page, each light and dark, with the table of its numbers.

A chart that cannot be drawn is left out; its table stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.selection.scaling import ScalingRow
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.html.chart_specs import DARK, LIGHT, Bar, Point, Rate, Spec, Theme, histogram, lines, rates
from swerl_eval.reports.html.drawing import draw
from swerl_eval.reports.scaling_curves import Curves

MOST_BARS = 20
"""Groups that a chart shows, the largest ones; its table has all."""
MOST_CHARACTERS = 40
"""Of a name in a chart."""
_DIFFICULTIES = ("<15 min fix", "15 min - 1 hour", "1-4 hours", ">4 hours")
"""As SWE-bench Verified names them, in their order."""
_FIRST = "solve rate of the first k samples"
_BEST = "solve rate, mean over subsets of k (best@k)"
_ANY = "any of k samples is right (pass@k)"
_BY_REWARD = "the highest reward of k (needs the gold patch)"

Table = list[list[str]]


@dataclass(frozen=True)
class Chart:
    """A chart, and the table of its numbers."""

    title: str
    alt: str
    """What the picture shows, for people who do not see it."""
    light: bytes
    """SVG; empty where it could not be drawn."""
    dark: bytes
    table: Table
    """The first row is the head."""


@dataclass(frozen=True)
class _Plan:
    title: str
    alt: str
    spec: Callable[[Theme], Spec]
    table: Table


def charts(report: Mapping[str, Any], curves: Curves | None) -> list[Chart]:
    """Return the charts that a run has the numbers for.

    Args:
        report: The content of `report.json`.
        curves: What fewer samples or tests would have given.
    """
    plans = [*_groups(report.get("groups") or {}), *_curves(curves), *_rewards(report.get("rewards") or {})]
    drawn = draw([plan.spec(theme) for plan in plans for theme in (LIGHT, DARK)])
    return [
        Chart(plan.title, plan.alt, drawn[2 * place], drawn[2 * place + 1], plan.table)
        for place, plan in enumerate(plans)
    ]


# --- groups


def _groups(groups: Mapping[str, list[dict[str, Any]]]) -> Iterator[_Plan]:
    for dimension, rows in groups.items():
        if rows:
            yield _group(dimension, _in_order(dimension, rows))


def _in_order(dimension: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Years and difficulties have an order of their own; repositories stay as they are, the largest first."""
    if dimension == "year":
        return sorted(rows, key=lambda row: str(row["name"]))
    if dimension == "difficulty":
        known = {name: place for place, name in enumerate(_DIFFICULTIES)}
        return sorted(rows, key=lambda row: known.get(row["name"], len(known)))
    return rows


def _group(dimension: str, rows: list[dict[str, Any]]) -> _Plan:
    labels: dict[str, Rate] = {}
    for row in sorted(rows, key=lambda row: -row["total"])[:MOST_BARS]:
        labels[_label(row)] = Rate(_label(row), row["solve_rate"], *row["interval_95"])
    bars = [labels[label] for label in dict.fromkeys(map(_label, rows)) if label in labels]
    strict = all(row["strict"] is not None for row in rows)
    head = [dimension, "resolved", "instances", "solve rate", "95 % interval", *(["strictly resolved"] * strict)]
    table = [head]
    for row in rows:
        cells = [printable(row["name"]), str(row["resolved"]), str(row["total"]), _percent(row["solve_rate"])]
        table.append([*cells, _interval(row["interval_95"]), *([str(row["strict"])] * strict)])
    alt = "Bars with 95 % intervals: " + ", ".join(f"{bar.label} {_percent(bar.rate)}" for bar in bars)
    return _Plan(f"Solve rate by {dimension}", alt, lambda theme: rates(bars, theme), table)


def _label(row: Mapping[str, Any]) -> str:
    name = printable(str(row["name"]))
    name = name if len(name) <= MOST_CHARACTERS else name[: MOST_CHARACTERS - 1] + "…"
    return f"{name} ({row['resolved']}/{row['total']})"


# --- curves


def _curves(curves: Curves | None) -> Iterator[_Plan]:
    if curves is None:
        return
    if len(curves.samples) > 1:
        yield _samples_curve(curves.samples)
    rows = [row for row in curves.tests if row.tests is not None]
    if len(rows) > 1:
        yield _tests_curve(rows)


def _samples_curve(rows: Sequence[ScalingRow]) -> _Plan:
    rewarded = all(row.reward_at_k is not None for row in rows)
    points = [Point(_FIRST, row.samples, row.solve_rate) for row in rows]
    points += [Point(_BEST, row.samples, row.best_at_k, *row.best_interval) for row in rows]
    points += [Point(_ANY, row.samples, row.pass_at_k, *row.pass_interval) for row in rows]
    points += [Point(_BY_REWARD, row.samples, row.reward_at_k) for row in rows if row.reward_at_k is not None]
    head = ["k samples", _FIRST, _BEST, "95 % of the subsets", _ANY, "95 % of the subsets"]
    table = [[*head, *([_BY_REWARD] * rewarded)]]
    for row in rows:
        table.append(
            [
                str(row.samples),
                _percent(row.solve_rate),
                _percent(row.best_at_k),
                _interval(row.best_interval),
                _percent(row.pass_at_k),
                _interval(row.pass_interval),
                *([_percent(row.reward_at_k or 0.0)] * rewarded),
            ]
        )
    if not rewarded:
        points = [point for point in points if point.series != _BY_REWARD]
    last = rows[-1]
    alt = (
        f"Lines over the number of samples, on a logarithmic axis. The solve rate goes from "
        f"{_percent(rows[0].solve_rate)} with {rows[0].samples} to {_percent(last.solve_rate)} with {last.samples}, "
        f"pass@k from {_percent(rows[0].pass_at_k)} to {_percent(last.pass_at_k)}."
    )
    title = "k, samples of each instance (logarithmic; bands: the middle 95 % of the subsets)"
    return _Plan("Solve rate by number of samples", alt, lambda theme: lines(points, title, theme, log=True), table)


def _tests_curve(rows: Sequence[ScalingRow]) -> _Plan:
    points = [Point("solve rate", row.tests or 0, row.solve_rate) for row in rows]
    points += [Point("any sample is right (pass@k)", row.tests or 0, row.pass_at_k) for row in rows]
    table = [["reproduction tests", "solve rate", "any sample is right (pass@k)"]]
    table += [[str(row.tests), _percent(row.solve_rate), _percent(row.pass_at_k)] for row in rows]
    last = rows[-1]
    alt = (
        f"Lines over the number of reproduction tests, with all {last.samples} samples. The solve rate goes from "
        f"{_percent(rows[0].solve_rate)} with {rows[0].tests} to {_percent(last.solve_rate)} with {last.tests}; "
        f"{_percent(last.pass_at_k)} of the instances have a right sample."
    )
    title = "reproduction tests of each instance"
    return _Plan("Solve rate by number of tests", alt, lambda theme: lines(points, title, theme, log=False), table)


# --- rewards


def _rewards(rewards: Mapping[str, Any]) -> Iterator[_Plan]:
    if rewards.get("histogram"):
        yield _histogram("Rewards of all samples", {"samples": rewards["histogram"]})
    chosen = rewards.get("chosen") or {}
    if any(counts["errors"] or any(counts["bins"]) for counts in chosen.values()):
        yield _histogram("Rewards of the chosen patches", chosen)


def _histogram(title: str, counts: Mapping[str, Mapping[str, Any]]) -> _Plan:
    steps = len(next(iter(counts.values()))["bins"])
    starts = [f"{step / steps:.1f}" for step in range(steps)]
    ranges = [f"{start} to {(step + 1) / steps:.1f}" for step, start in enumerate(starts)]
    columns = {series: [known["errors"], *known["bins"]] for series, known in counts.items()}
    bars = [
        Bar(label, series, column[place])
        for place, label in enumerate(["error", *starts])
        for series, column in columns.items()
    ]
    table = [["reward", *columns]]
    for place, label in enumerate(["wrong format (-1)", *ranges]):
        table.append([label, *(str(column[place]) for column in columns.values())])
    title_of_x = f"reward, in steps of {1 / steps:.1f} from the value shown (error: wrong format)"
    what = "patches" if len(columns) > 1 else "samples"
    alt = f"Histogram of rewards from 0 to 1 in steps of {1 / steps:.1f}, with {' against '.join(columns)}."
    return _Plan(title, alt, lambda theme: histogram(bars, title_of_x, what, theme), table)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"
