"""Vega-Lite specifications of the report's charts, as plain dicts.

Names are data: they stand in `values` and nowhere else, and what cannot be printed in them is shown as an escape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_SHAPES = ("circle", "square", "triangle-up", "diamond")
WIDTH = 560
"""Of the plot, in pixels."""
_BAR_STEP = 24
_CHARACTER = 7.5
"""Pixels for a character of a label. The reader's font may be wider than the one that the labels are measured with."""
_EXTENT = 52
"""Pixels for the labels of the y axis."""
_FONT = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colours on a transparent background."""

    text: str
    grid: str
    colours: tuple[str, ...]
    """By Okabe and Ito, told apart by people with any colour vision; lighter on dark."""


LIGHT = Theme("#333333", "#dddddd", ("#0072b2", "#d55e00", "#007a58", "#a3497d"))
DARK = Theme("#d8d8d8", "#4a4a4a", ("#56b4e9", "#f0914a", "#2fc99b", "#e39cc5"))


@dataclass(frozen=True)
class Rate:
    """A bar: a share, with its interval."""

    label: str
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A point of a line: shares; without a band where low and high are None."""

    series: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram."""

    label: str
    series: str
    count: int


def rates(bars: Sequence[Rate], theme: Theme) -> Spec:
    """Horizontal bars with their intervals, in the order given."""
    values = [
        {"label": bar.label, "rate": 100 * bar.rate, "low": 100 * bar.low, "high": 100 * bar.high} for bar in bars
    ]
    axis = {"labelLimit": 400, "minExtent": _CHARACTER * max(len(bar.label) for bar in bars)}
    y = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": axis}
    x = {"type": "quantitative", "scale": {"domain": [0, 100]}, "title": "solve rate (%)"}
    layers = [
        {
            "mark": {"type": "bar", "height": {"band": 0.62}, "color": theme.colours[0], "opacity": 0.45},
            "encoding": {"x": {**x, "field": "rate"}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 1.5, "color": theme.text},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 55, "color": theme.text, "opacity": 1},
            "encoding": {"x": {**x, "field": "rate"}},
        },
    ]
    return framed(theme, values, {"encoding": {"y": y}, "layer": layers, "height": {"step": _BAR_STEP}})


def lines(points: Sequence[Point], title: str, theme: Theme, *, log: bool) -> Spec:
    """Lines over the x axis, with bands where there are any."""
    values = [
        {
            "x": point.x,
            "y": 100 * point.y,
            "series": point.series,
            "low": None if point.low is None else 100 * point.low,
            "high": None if point.high is None else 100 * point.high,
        }
        for point in points
    ]
    ticks = sorted({point.x for point in points})
    series = list(dict.fromkeys(point.series for point in points))
    axis = {"values": ticks, "format": "d", "labelOverlap": "greedy", "grid": False}
    scale = {"type": "log", "nice": False} if log else {"nice": False, "zero": True}
    y = {"type": "quantitative", "title": "instances (%)", "scale": {"zero": True}, "axis": {"minExtent": _EXTENT}}
    legend = {"orient": "bottom", "direction": "vertical", "title": None, "labelLimit": 400, "symbolOpacity": 1}
    of_series = {"field": "series", "type": "nominal", "sort": None, "legend": legend}
    colour, dash, shape = (
        {**of_series, "scale": {"domain": series, "range": list(ways[: len(series)])}}
        for ways in (theme.colours, _DASHES, _SHAPES)
    )
    layers = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "area", "opacity": 0.16},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"y": {**y, "field": "y"}, "color": colour, "strokeDash": dash},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"y": {**y, "field": "y"}, "color": colour, "shape": shape},
        },
    ]
    x = {"field": "x", "type": "quantitative", "title": title, "scale": scale, "axis": axis}
    return framed(theme, values, {"encoding": {"x": x}, "layer": layers, "height": 280})


def histogram(bars: Sequence[Bar], x_title: str, y_title: str, theme: Theme) -> Spec:
    """Bars side by side for each series, over labels in the order given."""
    values = [{"label": bar.label, "series": bar.series, "count": bar.count} for bar in bars]
    series = list(dict.fromkeys(bar.series for bar in bars))
    encoding: Spec = {
        "x": {"field": "label", "type": "nominal", "sort": None, "title": x_title, "axis": {"labelAngle": 0}},
        "y": {
            "field": "count",
            "type": "quantitative",
            "title": y_title,
            "axis": {"tickMinStep": 1, "minExtent": _EXTENT},
        },
        "color": {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": series, "range": list(theme.colours[: len(series)])},
            "legend": {"orient": "bottom", "title": None} if len(series) > 1 else None,
        },
    }
    if len(series) > 1:
        encoding["xOffset"] = {"field": "series", "type": "nominal", "sort": None}
    return framed(theme, values, {"mark": "bar", "encoding": encoding, "height": 240})


def framed(theme: Theme, values: list[Spec], parts: Spec) -> Spec:
    """Return a chart with the frame that all have: fonts, colours, width."""
    axis = {"labelColor": theme.text, "titleColor": theme.text, "gridColor": theme.grid, "domainColor": theme.grid}
    fonts = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "transparent",
        "width": WIDTH,
        # more on the left: browsers have wider letters than those that the labels were measured with
        "padding": {"left": 28, "top": 4, "right": 12, "bottom": 4},
        "data": {"values": values},
        **parts,
        "config": {
            "aria": False,
            "font": _FONT,
            "axis": {**axis, **fonts, "ticks": False, "labelPadding": 6},
            "legend": {"labelColor": theme.text, "labelFontSize": 12},
            "view": {"stroke": None},
        },
    }
