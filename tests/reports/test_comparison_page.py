"""A comparison as a page."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import pytest

from swerl_eval.reports.comparison.build import Comparison, compare
from swerl_eval.reports.comparison.chart import chart_of_rates
from swerl_eval.reports.comparison.page import comparison_page
from swerl_eval.reports.comparison.render import as_text
from swerl_eval.reports.comparison.sides import read_sides
from tests.reports.comparison_runs import NAMES, made, submission

BASE = "RRuu" * 3


def compared(results: Path, *names: str, anyway: bool = False) -> Comparison:
    return compare(read_sides(names, results), 0, anyway=anyway)


def words(page: str) -> str:
    """The page's text, blanks joined."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(text))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made(tmp_path / "monday", BASE, strict="RuuuRRuuRRuu")
    made(tmp_path / "tuesday", "RRRu" + BASE[4:], strict="RRRuRRuuRRuu")
    made(tmp_path / "wednesday", "uRRu" + BASE[4:], strict="uRRuRRuuRRuu")
    made(tmp_path / "newer", BASE, versions={"swebench": "5.1.0"})
    return tmp_path


@pytest.mark.parametrize("names", [("monday", "tuesday"), ("monday", "tuesday", "wednesday"), ("monday", "newer")])
def test_the_page_says_all_that_the_text_says(results: Path, names: tuple[str, ...]) -> None:
    comparison = compared(results, *names, anyway=True)
    page = words(comparison_page(comparison))
    said = [line for line in as_text(comparison).splitlines() if line and not line.startswith("Comparison of")]
    for line in said:
        shown = re.sub(r": (\d+): .*", r": \1", line)  # names are in lists
        assert " ".join(shown.split()) in page, line


def test_every_name_of_each_group_is_listed_folded(tmp_path: Path) -> None:
    many = [f"a__b-{number:02}" for number in range(40)]
    instances = {name: {"repo": "a/b"} for name in many}
    made(tmp_path / "one", "R" * 40, instances=instances)
    made(tmp_path / "two", "R" * 25 + "u" * 15, instances=instances)
    page = comparison_page(compared(tmp_path, "one", "two"))
    folds = re.findall(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", page, re.S)
    listed = {words(title).strip(): re.findall(r"<code>(.*?)</code>", names) for title, names in folds}
    assert listed == {"Lost, by one alone: 15": many[25:], "Both resolved: 25": many[:25]}
    assert "Gained, by two alone: 0" in words(page)


def test_a_trend_has_the_groups_of_each_comparison_by_both_verdicts(results: Path) -> None:
    page = comparison_page(compared(results, "monday", "tuesday", "wednesday"))
    said = re.findall(r"(\w+ after \w+): (\d+) gained (\d+) lost", words(page))
    official = [
        ("tuesday after monday", "1", "0"),
        ("wednesday after monday", "1", "1"),
        ("wednesday after tuesday", "0", "1"),
    ]
    strict = [
        ("tuesday after monday", "2", "0"),
        ("wednesday after monday", "2", "1"),
        ("wednesday after tuesday", "0", "1"),
    ]
    assert said == official + strict


def test_equal_verdicts_are_shown_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made(tmp_path / name, BASE)
    comparison = compared(tmp_path, "a", "b")
    assert [row[1] for row in chart_of_rates(comparison).table] == ["verdict", "official", "official"]
    page = comparison_page(comparison)
    assert "The same figures as by the official verdict." in page
    assert page.count("Both resolved") == 1


def test_the_chart_has_each_rate_with_its_interval(results: Path) -> None:
    chart = chart_of_rates(compared(results, "monday", "tuesday"))
    assert chart.table == [
        ["run", "verdict", "solve rate", "95 % interval"],
        ["monday", "official", "50.0 %", "25.4 to 74.6"],
        ["monday", "strict", "41.7 %", "19.3 to 68.0"],
        ["tuesday", "official", "58.3 %", "32.0 to 80.7"],
        ["tuesday", "strict", "58.3 %", "32.0 to 80.7"],
    ]
    assert "tuesday, strict: 58.3 % (32.0 to 80.7)" in chart.alt
    for drawing in (chart.light, chart.dark):
        assert drawing.startswith(b"<svg")
        assert b"monday" in drawing
    assert chart.light != chart.dark


def test_links_lead_to_the_reports_that_there_are(results: Path) -> None:
    comparison = compared(results, "monday", "tuesday")
    page = comparison_page(comparison, {"tuesday": "/runs/tuesday/report"}, home="/")
    assert f'href="/runs/tuesday/report#open={NAMES[2]}"' in page
    assert "monday/report" not in page
    assert '<a href="/">All runs</a>' in page
    alone = comparison_page(comparison)
    assert re.findall(r'href="([^"]*)"', alone) == ["data:,", "#content"]


def test_the_page_needs_nothing_but_itself_and_runs_nothing(results: Path) -> None:
    page = comparison_page(compared(results, "monday", "tuesday"))
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none'; script-src 'none'; style-src 'sha256-")
    assert "<script" not in page
    assert " style=" not in page
    sources = re.findall(r'src(?:set)?="([^"]*)"', page)
    assert len(sources) == 2
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).startswith(b"<svg")


def test_names_are_no_markup(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>{{ 7*7 }}"
    made(tmp_path / "fine", BASE, instances={f"{bad}-{number}": {} for number in range(12)})
    made(tmp_path / bad, BASE, instances={f"{bad}-{number}": {} for number in range(12)})
    page = comparison_page(compared(tmp_path, "fine", bad))
    assert "<img src=x" not in page
    assert "49" not in words(page).replace("{{ 7*7 }}", "")
    assert bad in words(page)


def test_a_submission_has_no_report_to_link_to(results: Path) -> None:
    file = submission(results / "20260101_theirs", NAMES[:3])
    page = words(comparison_page(compared(results, "monday", str(file))))
    assert "Strict verdicts are not compared: 20260101_theirs has none." in page
    assert "does not record, so not checked" in page
