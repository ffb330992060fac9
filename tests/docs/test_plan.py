"""The worked plan on the page is what its script gives, and its arithmetic meets the tables that it cites."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from docs import make_plan, plan_inputs
from docs.make_plan import (
    PAGE,
    gpu_hours,
    gpu_ms,
    hours_of_tests,
    number,
    plan,
    read_share,
    replaced,
    run_hours,
    spread,
)
from docs.plan_inputs import CASES, HIGH, INPUTS, LIKELY, LOW
from tests.docs.pages import ROOT

# answer tokens a second of Llama 3.3 70B, FP8, one H200, by tokens in and out: the table that PROMPT_MS names
PUBLISHED = {
    (128, 128): 3803,
    (128, 2048): 4336,
    (128, 4096): 2872,
    (500, 2000): 3666,
    (1000, 1000): 2909,
    (1000, 2000): 2994,
    (2048, 128): 442,
    (2048, 2048): 2003,
    (5000, 500): 566,
    (20000, 2000): 283,
}


def test_the_page_has_the_plan_that_the_script_gives() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == replaced(page, plan()), "run python -m docs.make_plan"


def test_only_the_part_between_the_markers_is_replaced() -> None:
    page = f"before\n{make_plan.BEGIN}old\n{make_plan.END}after\n"
    assert replaced(page, "new\n") == f"before\n{make_plan.BEGIN}new\n{make_plan.END}after\n"


def test_a_page_without_markers_is_left_as_it_is() -> None:
    with pytest.raises(ValueError, match="markers"):
        replaced("before\nafter\n", "new\n")


def test_every_figure_of_the_inputs_is_in_the_table_with_its_source() -> None:
    entered = [value for value in vars(plan_inputs).values() if isinstance(value, plan_inputs.Input)]
    assert entered == INPUTS
    for each in INPUTS:
        assert f"| {each.what} | " in plan() and f" | {each.source} |" in plan()


def test_sources_are_links_settings_or_called_assumptions() -> None:
    named = ("](", "`", "assumption", "same", "default", "Verified", "gold patches")
    assert [each.what for each in INPUTS if not any(word in each.source for word in named)] == []


@pytest.mark.parametrize(("tokens_in", "tokens_out"), PUBLISHED)
def test_the_fit_meets_each_published_rate_within_a_tenth(tokens_in: int, tokens_out: int) -> None:
    rate = tokens_out / gpu_ms(tokens_in, 1, tokens_out, tokens_in) * 1000
    assert rate == pytest.approx(PUBLISHED[tokens_in, tokens_out], rel=0.1)


def test_one_file_has_one_order_and_is_read_once() -> None:
    assert read_share(1, 500) == pytest.approx(1 / 500)


def test_two_files_in_many_orders_are_read_as_two_beginnings_and_two_ends() -> None:
    assert read_share(2, 1000) == pytest.approx(4 / 2000)


def test_a_single_sample_reads_all() -> None:
    assert read_share(5, 1) == pytest.approx(1)


def test_the_share_of_three_files_is_near_the_measured_one() -> None:
    table = (ROOT / "results/sampling.md").read_text("utf-8")
    [measured] = re.findall(r"^\| 3 \|.* 1/([\d.]+) \|$", table, re.MULTILINE)
    assert read_share(3, 64) == pytest.approx(1 / float(measured), rel=0.15)


@pytest.mark.parametrize("case", CASES)
def test_keeping_prefixes_and_drawing_less_never_cost_more(case: int) -> None:
    assert gpu_hours(case, 0.5) < gpu_hours(case) < gpu_hours(case, kept=False)


def test_each_figure_rises_from_its_favourable_to_its_unfavourable_end() -> None:
    for hours in (gpu_hours, lambda case: hours_of_tests(case, 80), lambda case: run_hours(case, 8, 4)):
        assert hours(LOW) < hours(LIKELY) < hours(HIGH)


def test_a_run_takes_as_long_as_its_longer_side() -> None:
    assert run_hours(LIKELY, 1, 1) == run_hours(LIKELY, 1, 20)
    assert run_hours(LIKELY, 64, 1) == run_hours(LIKELY, 6400, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.03, "< 0.1"), (0.164, "0.16"), (4.52, "4.5"), (36.4, "36"), (613, "610"), (9180.0, "9,200")],
)
def test_figures_are_rounded_to_two_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_range_is_left_out_where_both_ends_are_the_same() -> None:
    assert (spread([5, 5, 5]), spread([1, 2, 3])) == ("5.0", "2.0 (1.0 to 3.0)")


def test_other_prices_are_printed_and_the_page_is_left_alone() -> None:
    before = PAGE.read_bytes()
    result = CliRunner().invoke(_app(), ["--gpu-hour", "2.5", "--host-hour", "1"])
    assert result.output == plan(2.5, 1)
    assert "| $ for an hour of an H200 | 2.5 | yours |" in result.output
    assert "| $ for an hour of a host | 1 | yours |" in result.output
    assert PAGE.read_bytes() == before


def test_twice_the_price_is_twice_the_cost_of_sampling() -> None:
    def dollars(price: float) -> float:
        row = next(line for line in plan(price).splitlines() if line.startswith("| prefixes are kept"))
        return float(row.split("|")[-2].split()[0].replace(",", ""))

    assert dollars(20) == pytest.approx(2 * dollars(10), rel=0.05)


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(make_plan.main)
    return app
