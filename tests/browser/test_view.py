"""The pages of `swerl-eval view` as people use them: the list, a comparison of the chosen, a run as it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.injected_run import make_injected_run
from tests.cli.view.going_run import going_run
from tests.cli.view.serving import served
from tests.reports.comparison_runs import NAMES, made

pytestmark = pytest.mark.browser

BASE = "RRuu" * 3
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
LOOKS = [{**device, "color_scheme": colours} for device in (DESK, PHONE) for colours in ("light", "dark")]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    made(folder / "monday", BASE, created_at="2026-01-01T00:00:00+00:00", model_name="zeta")
    made(folder / "tuesday", "RRRu" + BASE[4:], created_at="2026-01-02T00:00:00+00:00", model_name="alpha")
    made(folder / "wednesday 100%", "RRRR" + BASE[4:], created_at="2026-01-03T00:00:00+00:00", model_name="beta")
    made(folder / "newer", BASE[:-2] + "..", created_at="2026-01-04T00:00:00+00:00", versions={"swebench": "5.1.0"})
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def served_at(results: Path) -> Iterator[str]:
    with served(results) as address:
        yield address


@pytest.fixture
def address(served_at: str, own_servers: set[str]) -> str:
    own_servers.add(served_at)
    return served_at


@pytest.fixture
def runs(page: Page, address: str) -> Page:
    page.goto(address)
    return page


def names(page: Page) -> list[str]:
    return [name.split()[0] for name in page.locator("tbody th").all_inner_texts()]


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"))


def test_the_list_sorts_by_a_column_and_back_brings_the_order_back(runs: Page) -> None:
    assert names(runs) == ["newer", "wednesday", "tuesday", "monday", "broken"]
    runs.get_by_role("button", name="Resolved").click()
    assert names(runs) == ["monday", "newer", "tuesday", "wednesday", "broken"]
    runs.get_by_role("button", name="Resolved").click()
    assert names(runs) == ["wednesday", "tuesday", "monday", "newer", "broken"]
    expect(runs.get_by_role("columnheader", name="Resolved")).to_have_attribute("aria-sort", "descending")
    runs.get_by_role("link", name="wednesday 100%").click()
    expect(runs.get_by_role("heading", level=1)).to_have_text("wednesday 100%")
    runs.go_back()
    assert names(runs) == ["wednesday", "tuesday", "monday", "newer", "broken"]


def test_the_chosen_runs_are_compared(runs: Page) -> None:
    compare = runs.get_by_role("button", name="Compare the chosen runs")
    expect(compare).to_be_disabled()
    runs.get_by_label("Choose wednesday 100%").check()
    expect(compare).to_be_disabled()
    runs.get_by_label("Choose monday").check()
    expect(runs.locator("#chosen")).to_have_text("2 chosen")
    compare.click()
    expect(runs.get_by_role("heading", level=1)).to_have_text("monday and wednesday 100%")
    expect(runs.locator("figure img")).to_have_js_property("complete", True)
    assert runs.evaluate("document.querySelector('figure img').naturalWidth") > 300
    runs.get_by_text("Gained, by wednesday 100% alone").click()
    assert runs.locator("details[open] li code").all_inner_texts() == [NAMES[2], NAMES[3]]
    runs.get_by_role("link", name=f"{NAMES[2]} in wednesday 100%").click()
    expect(runs.get_by_role("heading", level=2, name=NAMES[2])).to_be_visible()
    assert re.search(rf"/runs/wednesday%20100%25/report#open={NAMES[2]}$", runs.url)


def test_three_runs_are_a_trend(runs: Page) -> None:
    for name in ("monday", "tuesday", "wednesday 100%"):
        runs.get_by_label(f"Choose {name}").check()
    runs.get_by_role("button", name="Compare the chosen runs").click()
    expect(runs.get_by_role("heading", name="Official verdict, in the order given")).to_be_visible()
    pairs = runs.locator("section > .of-pair > details > summary").all_inner_texts()
    assert pairs == [
        "tuesday after monday: 1 gained 0 lost",
        "wednesday 100% after monday: 2 gained 0 lost",
        "wednesday 100% after tuesday: 1 gained 0 lost",
    ]


def test_runs_that_differ_in_more_are_compared_on_demand(runs: Page) -> None:
    runs.get_by_label("Choose newer").check()
    runs.get_by_label("Choose monday").check()
    runs.get_by_role("button", name="Compare the chosen runs").click()
    expect(runs.get_by_role("heading", level=1)).to_have_text("Not measured alike")
    expect(runs.locator("main li")).to_have_text(
        ["harness version: swebench 5.0.2 in monday and swebench 5.1.0 in newer"]
    )
    runs.get_by_role("link", name="Compare anyway").click()
    expect(runs.locator(".differs").first).to_contain_text("NOT MEASURED ALIKE")
    runs.get_by_role("link", name="All runs").click()
    expect(runs.get_by_role("heading", level=1)).to_have_text("Runs")


def test_the_keyboard_suffices(runs: Page) -> None:
    runs.keyboard.press("Tab")
    assert focused(runs) == "Skip to the content"
    runs.keyboard.press("Enter")
    seen: list[str] = []
    while "monday" not in seen:  # the last link
        runs.keyboard.press("Tab")
        seen.append(focused(runs))
        if focused(runs) in {"Choose monday", "Choose tuesday"}:
            runs.keyboard.press("Space")
    assert {"Run", "Started", "Choose tuesday", "tuesday"} <= set(seen)
    runs.get_by_role("button", name="Compare the chosen runs").focus()
    runs.keyboard.press("Enter")
    expect(runs.get_by_role("heading", level=1)).to_have_text("monday and tuesday")


def test_a_live_page_changes_while_the_run_goes_on(
    page: Page, own_servers: set[str], mirrors: Path, tmp_path: Path
) -> None:
    with served(tmp_path) as address, going_run(tmp_path, mirrors) as run:
        own_servers.add(address)
        while not (run.folder / "live.json").exists():
            page.wait_for_timeout(50)
        page.goto(f"{address}/runs/going/live")
        figure = page.locator("#figures .fact", has_text="Containers").locator("dd")
        expect(figure).to_have_text("2")
        expect(page.locator("#state")).to_contain_text("running")
        before = page.locator("#instances tr").count()
        run.let_end(3)
        expect(page.locator("#instances tr")).to_have_count(4)
        assert before < 4
        last = page.locator("#stages li").last
        expect(last.locator(".count")).to_have_text("4 of 9")
        expect(last.locator("progress")).to_have_js_property("value", 4)
        # what has not changed stays in its place, with the focus
        link = page.locator("#instances a").last
        link.focus()
        name = link.inner_text()
        run.let_end(100)
        expect(page.locator("#state")).to_contain_text("finished")
        expect(page.locator("#instances tr")).to_have_count(9)
        assert focused(page) == name
        expect(page.locator("#progress")).to_be_hidden()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=2, name=name)).to_be_visible()
        page.go_back()
        expect(page.locator("#instances tr")).to_have_count(9)


def test_a_live_page_says_when_its_server_is_gone(
    page: Page, own_servers: set[str], results: Path, troubles: list[str]
) -> None:
    with served(results) as address:
        own_servers.add(address)
        page.goto(f"{address}/runs/newer/live")
        expect(page.locator("#state")).to_contain_text("incomplete")
    expect(page.locator("#away")).to_be_visible()
    assert all("Failed to load resource" in each for each in troubles)
    troubles.clear()


def test_without_scripts_runs_are_shown_and_compared(new_page: Callable[..., Page], address: str) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(address)
    page.get_by_label("Choose monday").check()
    page.get_by_label("Choose tuesday").check()
    page.get_by_role("button", name="Compare the chosen runs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("monday and tuesday")
    page.goto(f"{address}/runs/newer/live")
    expect(page.locator("#instances tr")).to_have_count(10)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look['viewport']['width']}, {look['color_scheme']}")
def test_the_pages_are_accessible_and_no_wider_than_the_screen(
    new_page: Callable[..., Page],
    address: str,
    axe: Callable[[Page], list[str]],
    troubles: list[str],
    look: dict[str, Any],
) -> None:
    page = new_page(**look)
    trend = "/compare?run=monday&run=tuesday&run=wednesday%20100%25"
    for path in ("/", "/runs/newer/live", trend, "/compare?run=monday&run=newer", "/runs/nowhere/report"):
        page.goto(address + path)
        page.wait_for_timeout(200)
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        assert axe(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"], path
    assert len(troubles) == 1 and "404" in troubles[0]
    troubles.clear()


def test_texts_of_a_run_never_become_markup(
    page: Page, own_servers: set[str], tmp_path: Path, troubles: list[str]
) -> None:
    folder = make_injected_run(tmp_path / "results" / "<img src=x onerror=alert(1)>")
    make_injected_run(folder.with_name("javascript:alert(1)"))
    with served(folder.parent) as address:
        own_servers.add(address)
        for path in ("/", "/runs/javascript:alert(1)/live"):
            page.goto(address + path)
            page.wait_for_timeout(1500)
            assert page.locator("img, iframe, base, main script, [onerror]").count() == 0
        page.goto(address)
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        page.get_by_role("button", name="Compare the chosen runs").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("javascript:alert(1)")
        assert page.locator("img").count() == 1  # the chart
        assert page.locator("iframe, base, script, [onerror], a[href^=javascript]").count() == 0
