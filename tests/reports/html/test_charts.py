"""The charts of the page: their numbers, and that their pictures are nothing but pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from swerl_eval.core.metrics import wilson
from swerl_eval.core.selection.scaling import ScalingRow
from swerl_eval.reports.html.charts import MOST_BARS, Chart, charts
from swerl_eval.reports.html.drawing import draw
from swerl_eval.reports.scaling_curves import Curves

HOSTILE = "</text><script>alert(1)</script>&\x01\ud800\u202e\"'{{7*7}}"


def group(name: str, resolved: int, total: int, strict: int | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "total": total,
        "resolved": resolved,
        "solve_rate": resolved / total,
        "interval_95": list(wilson(resolved, total)),
        "strict": strict,
    }


def row(samples: int, tests: int | None, rate: float, reward: float | None = 0.5) -> ScalingRow:
    return ScalingRow(samples, tests, 10, 5, rate, 0.9, (0.8, 1.0), rate, (rate - 0.1, rate + 0.1), reward)


REPORT: dict[str, Any] = {
    "groups": {
        "repository": [group("org/big", 3, 4, 2), group(HOSTILE, 1, 2, 1)],
        "difficulty": [group("1-4 hours", 1, 3), group("other", 0, 1), group("<15 min fix", 2, 2)],
        "year": [group("2020", 2, 3), group("2019", 1, 2)],
    },
    "rewards": {
        "histogram": {"errors": 3, "bins": [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]},
        "chosen": {
            "resolved": {"errors": 0, "bins": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]},
            "unresolved": {"errors": 1, "bins": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]},
        },
    },
}
CURVES = Curves([row(1, None, 0.2), row(10, None, 0.3)], [row(10, 0, 0.1), row(10, 5, 0.3)])


@pytest.fixture(scope="module")
def drawn() -> dict[str, Chart]:
    return {chart.title: chart for chart in charts(REPORT, CURVES)}


def test_every_number_that_a_run_has_is_drawn(drawn: dict[str, Chart]):
    assert list(drawn) == [
        "Solve rate by repository",
        "Solve rate by difficulty",
        "Solve rate by year",
        "Solve rate by number of samples",
        "Solve rate by number of tests",
        "Rewards of all samples",
        "Rewards of the chosen patches",
    ]
    assert all(chart.light and chart.dark and chart.light != chart.dark for chart in drawn.values())
    assert all(len(chart.light) < 20_000 for chart in drawn.values())


def test_pictures_have_no_script_no_style_and_nothing_from_elsewhere(drawn: dict[str, Chart]):
    for chart in drawn.values():
        for svg in (chart.light, chart.dark):
            elements = list(ET.fromstring(svg).iter())
            assert {element.tag.rpartition("}")[2] for element in elements} <= {"svg", "g", "path", "line", "text"}
            names = {name for element in elements for name in element.attrib}
            assert not [name for name in names if name.startswith("on") or "href" in name or name == "style"]
            assert b"url(" not in svg


def test_pictures_are_transparent_and_their_text_differs_between_light_and_dark(drawn: dict[str, Chart]):
    chart = drawn["Solve rate by year"]
    for svg, colour in ((chart.light, "#333333"), (chart.dark, "#d8d8d8")):
        root = ET.fromstring(svg)
        texts = [element for element in root.iter() if element.tag.endswith("text")]
        assert {element.get("fill") for element in texts} == {colour}
        assert not [element for element in root.iter() if element.tag.endswith("rect")]


def test_names_are_shown_as_they_are_written(drawn: dict[str, Chart]):
    root = ET.fromstring(drawn["Solve rate by repository"].light)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "org/big (3/4)" in texts
    assert "</text><script>alert(1)</script>&\\x01\\u… (1/2)" in texts
    assert (
        drawn["Solve rate by repository"].table[2][0]
        == "</text><script>alert(1)</script>&\\x01\\ud800\\u202e\"'{{7*7}}"
    )


def test_axes_have_titles_with_units(drawn: dict[str, Chart]):
    def texts(title: str) -> set[str]:
        return {element.text or "" for element in ET.fromstring(drawn[title].light).iter()}

    assert "solve rate (%)" in texts("Solve rate by year")
    assert "instances (%)" in texts("Solve rate by number of samples")
    assert "reproduction tests of each instance" in texts("Solve rate by number of tests")
    assert {"resolved", "unresolved", "patches"} <= texts("Rewards of the chosen patches")
    assert {"1", "10"} <= texts("Solve rate by number of samples")


def test_years_and_difficulties_have_their_own_order(drawn: dict[str, Chart]):
    assert [cells[0] for cells in drawn["Solve rate by year"].table] == ["year", "2019", "2020"]
    difficulties = [cells[0] for cells in drawn["Solve rate by difficulty"].table]
    assert difficulties == ["difficulty", "<15 min fix", "1-4 hours", "other"]


def test_tables_have_the_numbers(drawn: dict[str, Chart]):
    assert drawn["Solve rate by repository"].table[:2] == [
        ["repository", "resolved", "instances", "solve rate", "95 % interval", "strictly resolved"],
        ["org/big", "3", "4", "75.0 %", "30.1 to 95.4 %", "2"],
    ]
    assert drawn["Solve rate by year"].table[1] == ["2019", "1", "2", "50.0 %", "9.5 to 90.5 %"]
    assert drawn["Solve rate by number of samples"].table[2] == [
        "10", "30.0 %", "30.0 %", "20.0 to 40.0 %", "90.0 %", "80.0 to 100.0 %", "50.0 %",
    ]  # fmt: skip
    assert drawn["Solve rate by number of tests"].table[1:] == [["0", "10.0 %", "90.0 %"], ["5", "30.0 %", "90.0 %"]]
    assert drawn["Rewards of the chosen patches"].table[:3] == [
        ["reward", "resolved", "unresolved"],
        ["wrong format (-1)", "0", "1"],
        ["0.0 to 0.1", "0", "1"],
    ]
    for chart in drawn.values():
        assert {len(cells) for cells in chart.table} == {len(chart.table[0])}


def test_the_words_for_a_chart_say_what_it_shows(drawn: dict[str, Chart]):
    assert "The solve rate goes from 20.0 % with 1 to 30.0 % with 10" in drawn["Solve rate by number of samples"].alt
    assert "2019 (1/2) 50.0 %" in drawn["Solve rate by year"].alt
    assert drawn["Rewards of the chosen patches"].alt.endswith("with resolved against unresolved.")


def test_a_run_without_numbers_has_no_charts():
    assert charts({}, None) == []
    assert charts({"groups": {"year": []}, "rewards": None}, Curves([row(1, None, 0.1)], [])) == []


def test_rewards_that_some_samples_lack_are_left_out_of_the_curve():
    (chart,) = charts({}, Curves([row(1, None, 0.2), row(2, None, 0.3, reward=None)], []))
    assert len(chart.table[0]) == 6
    assert b"highest reward" not in chart.light


def test_of_many_groups_the_largest_are_drawn_and_the_table_has_all():
    groups = [group(f"org/r{number}", 0, 1 + number) for number in range(50)]
    (chart,) = charts({"groups": {"repository": groups}}, None)
    assert len(chart.table) == 51
    assert len(re.findall(rb">org/r", chart.light)) == MOST_BARS
    assert b">org/r49 (0/50)<" in chart.light


@pytest.mark.slow
def test_a_chart_that_ends_the_drawing_process_is_left_out_and_the_others_are_drawn():
    def spec(label: str) -> dict[str, Any]:
        return {"data": {"values": [{"a": label}]}, "mark": "text", "encoding": {"text": {"field": "a"}}}

    fetching = {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point"}
    svgs = draw([spec("one"), spec("\x01"), {"mark": "no such mark"}, fetching, spec("two"), spec("\x01")])
    assert [bool(svg) for svg in svgs] == [True, False, False, False, True, False]
    assert b">two<" in svgs[4]


def test_nothing_to_draw_starts_no_process():
    assert draw([]) == []
