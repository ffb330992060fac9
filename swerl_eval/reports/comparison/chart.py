"""Draws the rates of a comparison with their intervals: side by side, or as a trend where there are more than two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swerl_eval.reports.comparison.build import Comparison
from swerl_eval.reports.comparison.names import printable


@dataclass(frozen=True)
class Chart:
    title: str
    alt: str
    light: bytes
    dark: bytes
    table: list[list[str]]


_LOOKS = {
    "light": ("#1b2126", "#dfe3e7", ["#1f5fbf", "#a5400a"]),
    "dark": ("#e3e7eb", "#2e353d", ["#84b3f7", "#f5a877"]),
}


def drawn(spec):
    import vl_convert

    out = []
    for ink, line, colours in _LOOKS.values():
        config = {
            "background": "transparent",
            "view": {"stroke": None},
            "font": "system-ui, sans-serif",
            "axis": {
                "labelColor": ink,
                "titleColor": ink,
                "gridColor": line,
                "domainColor": line,
                "tickColor": line,
                "labelFontSize": 13,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
            },
            "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 13},
            "range": {"category": colours},
        }
        out.append(
            vl_convert.vegalite_to_svg(
                {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec, "config": config},
                vl_version="5.21",
            ).encode()
        )
    return tuple(out)


_VERDICTS = ("official", "strict")
_ROW = 34
"""Height of a side's row, for each verdict."""
_WIDTH = 560


def chart_of_rates(comparison: Comparison) -> Chart:
    """Return the chart of the solve rates of all sides."""
    rows = _rows(comparison)
    verdicts = list(dict.fromkeys(row["verdict"] for row in rows))
    names = [printable(side["name"]) for side in comparison["sides"]]
    trend = len(names) > 2
    rate = {"field": "rate", "type": "quantitative", "title": "solve rate, %", "scale": {"zero": True, "nice": True}}
    side = {"field": "side", "type": "nominal", "title": None, "sort": names}
    verdict = {"field": "verdict", "type": "nominal", "sort": verdicts}
    legend = {"title": None, "orient": "top", "symbolOpacity": 1} if len(verdicts) > 1 else None
    along, across = ("x", "y") if trend else ("y", "x")
    place = {
        along: {**side, "axis": {"labelLimit": 220, "labelAngle": 0 if not trend or len(names) < 6 else -30}},
        f"{along}Offset": {"field": "verdict", "sort": verdicts},
        "color": {**verdict, "legend": legend},
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45},
            "encoding": {**place, across: {**rate, "field": "low"}, f"{across}2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {**place, across: rate, "shape": {**verdict, "legend": None}},
        },
    ]
    if trend:
        line = {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {**place, across: rate}}
        layers.insert(0, line)
    size = {"height": 260} if trend else {"height": _ROW * len(names) * len(verdicts)}
    spec = {"data": {"values": rows}, "layer": layers, "width": _WIDTH, **size}
    head = ["run", "verdict", "solve rate", "95 % interval"]
    table = [[r["side"], r["verdict"], f"{r['rate']:.1f} %", f"{r['low']:.1f} to {r['high']:.1f}"] for r in rows]
    said = "; ".join(f"{name}, {verdict}: {share} ({interval})" for name, verdict, share, interval in table)
    light, dark = drawn(spec)
    return Chart("Solve rates with 95 % intervals", f"Solve rates. {said}", light, dark, [head, *table])


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a point of the chart for each side and verdict, in percent; equal verdicts are shown once."""
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
