"""Draws the rates of a comparison with their intervals: side by side, or as a trend where there are more than two."""

from __future__ import annotations

from typing import Any

from swerl_eval.reports.comparison.build import Comparison
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.html.chart_specs import DARK, LIGHT, Spec, Theme, framed
from swerl_eval.reports.html.charts import Chart
from swerl_eval.reports.html.drawing import draw

_VERDICTS = ("official", "strict")
_ROW = 30
"""Height of a side's row for each verdict, in pixels."""
_FEW_NAMES = 6
"""Names that have room below a trend without being turned."""


def chart_of_rates(comparison: Comparison) -> Chart:
    """Return the chart of the solve rates of all sides."""
    rows = _rows(comparison)
    make = _trend if len(comparison["sides"]) > 2 else _beside
    light, dark = draw([make(rows, theme) for theme in (LIGHT, DARK)])
    head = ["run", "verdict", "solve rate", "95 % interval"]
    table = [[r["side"], r["verdict"], f"{r['rate']:.1f} %", f"{r['low']:.1f} to {r['high']:.1f}"] for r in rows]
    said = "; ".join(f"{name}, {verdict}: {share} ({interval})" for name, verdict, share, interval in table)
    return Chart("Solve rates with their 95 % intervals", f"Points with intervals. {said}", light, dark, [head, *table])


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a point for each side and verdict, in percent; of equal verdicts only the official one."""
    alike = all(side["strict"] == side["official"] for side in comparison["sides"])
    return [
        {
            "side": printable(side["name"]),
            "verdict": verdict,
            "rate": 100 * side[verdict]["solve_rate"],
            "low": 100 * side[verdict]["interval_95"][0],
            "high": 100 * side[verdict]["interval_95"][1],
        }
        for side in comparison["sides"]
        for verdict in _VERDICTS
        if side[verdict] is not None and not (alike and verdict == "strict")
    ]


def _beside(rows: list[dict[str, Any]], theme: Theme) -> Spec:
    """One row below the other."""
    parts = {"layer": _points(rows, theme, along="y", across="x", angle=0), "height": _ROW * len(rows)}
    return framed(theme, rows, parts)


def _trend(rows: list[dict[str, Any]], theme: Theme) -> Spec:
    """Lines from left to right, in the order of the sides."""
    sides = {row["side"] for row in rows}
    layers = _points(rows, theme, along="x", across="y", angle=0 if len(sides) <= _FEW_NAMES else -30)
    line = {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {**layers[1]["encoding"]}}
    del line["encoding"]["shape"]
    return framed(theme, rows, {"layer": [line, *layers], "height": 260})


def _points(rows: list[dict[str, Any]], theme: Theme, along: str, across: str, angle: int) -> list[Spec]:
    """Return a layer of intervals and one of points."""
    verdicts = list(dict.fromkeys(row["verdict"] for row in rows))
    legend = {"title": None, "orient": "top", "symbolOpacity": 1} if len(verdicts) > 1 else None
    axis = {"labelLimit": 220, "labelAngle": angle}
    place = {
        along: {"field": "side", "type": "nominal", "title": None, "sort": None, "axis": axis},
        f"{along}Offset": {"field": "verdict", "type": "nominal", "sort": verdicts},
        "color": {
            "field": "verdict",
            "type": "nominal",
            "scale": {"domain": verdicts, "range": list(theme.colours[: len(verdicts)])},
            "legend": legend,
        },
    }
    rate = {"type": "quantitative", "title": "solve rate (%)", "scale": {"zero": True, "nice": True}}
    shape = {"field": "verdict", "type": "nominal", "scale": {"domain": verdicts}, "legend": None}
    return [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5},
            "encoding": {**place, across: {**rate, "field": "low"}, f"{across}2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {**place, across: {**rate, "field": "rate"}, "shape": shape},
        },
    ]
