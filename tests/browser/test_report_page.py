"""The report's page as people use it: by mouse, by keyboard, by its address, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from swerl_eval.records.run_folder import Run
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import write_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = Run(demo_run)
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(file, run, build_report(run))
    return file.as_uri()


@pytest.fixture
def report(page: Page, address: str) -> Page:
    page.goto(address)
    return page


def names(page: Page) -> list[str]:
    """The instances that the table shows, in its order."""
    return [name.removeprefix("demo__") for name in page.locator("tbody tr[data-id]:visible th a").all_inner_texts()]


def opened(page: Page) -> str:
    """The instance that is open and shown to its end; empty where the table is shown."""
    if page.locator("#instance").is_hidden():
        return ""
    page.wait_for_selector("#instance .part")
    return page.locator("#instance h2").inner_text()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent"))


def test_the_table_has_every_instance_by_name(report: Page) -> None:
    assert names(report) == [f"{name}-{number}" for name in ("inkwell", "ledgerly", "waypost") for number in (1, 2, 3)]
    expect(report.locator("#shown")).to_have_text("9 instances")


def test_typing_filters_by_words_that_must_all_match(report: Page) -> None:
    report.get_by_label("Filter", exact=True).fill("LEDGERLY verdict:resolved")
    assert all(name.startswith("ledgerly") for name in names(report))
    assert "ledgerly-3" not in names(report)  # its patch is empty
    expect(report.locator("#shown")).to_have_text(f"{len(names(report))} of 9")
    assert report.evaluate("location.hash") == "#q=LEDGERLY+verdict%3Aresolved"


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("verdict:unresolved instance:inkwell-3", ["inkwell-3"]),
        ("verdict:resolved instance:inkwell-3", []),
        ("repo:demo/way", ["waypost-1", "waypost-2", "waypost-3"]),
        ("empty", ["ledgerly-3"]),
        ("verdict:empty_patch", ["ledgerly-3"]),
        ('verdict:"empty patch"', ["ledgerly-3"]),
        ("reason:no_match", ["ledgerly-3"]),
        ("nothing:inkwell-1", []),
        ('"', [f"{name}-{number}" for name in ("inkwell", "ledgerly", "waypost") for number in (1, 2, 3)]),
        ("verdict:", [f"{name}-{number}" for name in ("inkwell", "ledgerly", "waypost") for number in (1, 2, 3)]),
    ],
)
def test_a_filter_leaves_these(report: Page, typed: str, left: list[str]) -> None:
    report.locator("#filter").fill(typed)
    assert names(report) == left
    expect(report.locator("#none")).to_be_visible(visible=not left)


def test_a_filter_that_leaves_nothing_can_be_cleared(report: Page) -> None:
    report.locator("#filter").fill("no such thing")
    report.get_by_role("button", name="Clear the filter").click()
    assert len(names(report)) == 9
    assert report.locator("#filter").evaluate("element => element === document.activeElement")


def test_a_button_filters_by_a_verdict_and_back(report: Page) -> None:
    button = report.get_by_role("group", name="Filter by verdict").get_by_role("button", name="empty patch")
    button.click()
    assert names(report) == ["ledgerly-3"]
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    assert len(names(report)) == 9


def test_a_column_sorts_up_and_down_and_missing_values_come_last(report: Page) -> None:
    report.get_by_role("button", name="Votes").click()
    rising = [row.split(" of ")[0] for row in report.locator("td[data-column=votes]").all_inner_texts()]
    assert rising == [*sorted(filter(None, rising), key=int), ""]
    expect(report.locator("th[aria-sort]")).to_have_text("Votes")
    expect(report.locator("th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    report.get_by_role("button", name="Votes").click()
    falling = [row.split(" of ")[0] for row in report.locator("td[data-column=votes]").all_inner_texts()]
    assert falling == [*sorted(filter(None, falling), key=int, reverse=True), ""]
    expect(report.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    report.go_back()
    expect(report.locator("th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    report.go_back()
    expect(report.locator("th[aria-sort]")).to_have_text("Instance")


def test_an_instance_opens_by_its_name_and_back_returns_to_its_row(report: Page) -> None:
    report.locator("#filter").fill("inkwell")
    report.get_by_role("link", name="demo__inkwell-2").click()
    assert opened(report) == "demo__inkwell-2"
    assert focused(report) == "demo__inkwell-2"
    assert report.title() == "demo__inkwell-2 · demo · swerl-eval"
    expect(report.locator("#overview")).to_be_hidden()
    report.go_back()
    assert opened(report) == ""
    assert names(report) == ["inkwell-1", "inkwell-2", "inkwell-3"]
    assert focused(report) == "demo__inkwell-2"
    assert report.title() == "demo · swerl-eval"
    report.go_forward()
    assert opened(report) == "demo__inkwell-2"


def test_an_instance_opens_by_a_click_on_its_row(report: Page) -> None:
    report.locator("tr[data-id=demo__waypost-1] td[data-column=verdict]").click()
    assert opened(report) == "demo__waypost-1"
    report.get_by_role("button", name="Back to the table").click()
    expect(report.locator("#overview")).to_be_visible()


def test_an_instance_shows_its_records(report: Page) -> None:
    report.goto(f"{report.url}#open=demo__inkwell-2")
    opened(report)
    heads = report.locator("#instance h3").all_inner_texts()
    assert heads[:3] == ["Issue", "Files", "Chosen patch and gold patch"]
    assert {"Candidates", "Tests of the candidates", "The model's answer", "Timeline"} <= set(heads)
    expect(report.get_by_role("group", name="Issue")).to_contain_text("Numbered lists")
    chosen = report.get_by_role("group", name="Chosen patch")
    expect(chosen.locator(".line").first).to_contain_text("diff --git a/")
    expect(chosen.locator(".line.added").first).to_be_visible()
    expect(chosen.locator(".t-k").first).to_be_visible()
    expect(report.get_by_role("group", name="Gold patch")).to_contain_text("+++ b/inkwell/blocks.py")


def test_lines_of_a_diff_have_their_numbers_before_and_after(report: Page) -> None:
    report.goto(f"{report.url}#open=demo__inkwell-2")
    opened(report)
    lines = report.get_by_role("group", name="Gold patch").locator(".line")
    shown = lines.evaluate_all("""lines => lines.map(line => [
        ...[...line.querySelectorAll('.no')].map(number => number.dataset.no), line.querySelector('code').textContent[0]
    ])""")
    hunk = next(place for place, line in enumerate(shown) if line[2] == "@")
    assert shown[hunk] == ["", "", "@"]
    before, after = (int(number) for number in shown[hunk + 1][:2])
    for old, new, sign in shown[hunk + 1 :]:
        if sign not in " +-":
            break
        assert (old, new) == ("" if sign == "+" else str(before), "" if sign == "-" else str(after))
        before, after = before + (sign != "+"), after + (sign != "-")


def test_a_hunk_ends_where_its_head_says_whatever_its_lines_look_like(report: Page) -> None:
    patch = """diff --git a/f b/f
--- a/f
+++ b/f
@@ -7,3 +7,2 @@ def f():
 x
--- y
+++ z
-w
\\ No newline at end of file
--- a/g
+++ b/g
@@ -0,0 +1 @@
+new
@@ -4 +5,2 @@

+last
@@ -9,2 +9 @@
-a
-b
+c"""
    numbered = "text => placesOfDiff(text.split('\\n')).map(({kind, before, after}) => [kind, before, after])"
    places = report.evaluate(numbered, patch)
    assert places == [
        ["file", None, None], ["head", None, None], ["head", None, None], ["hunk", None, None],
        ["kept", 7, 7], ["removed", 8, None], ["added", None, 8], ["removed", 9, None],
        ["head", None, None], ["head", None, None], ["head", None, None], ["hunk", None, None],
        ["added", None, 1], ["hunk", None, None], ["kept", 4, 5], ["added", None, 6],
        ["hunk", None, None], ["removed", 9, None], ["removed", 10, None], ["added", None, 9],
    ]  # fmt: skip


def test_a_candidate_is_drawn_when_it_is_opened(report: Page) -> None:
    report.goto(f"{report.url}#open=demo__inkwell-2")
    opened(report)
    last = report.locator(".candidate").last
    assert last.locator(".diff").count() == 0
    last.locator("summary").click()
    expect(last.locator(".diff .line").nth(3)).to_be_visible()
    last.locator("summary").click()
    expect(last.locator(".diff")).to_be_hidden()
    last.locator("summary").click()
    expect(last.locator(".diff")).to_be_visible()  # there is one


def test_an_address_leads_to_an_instance_with_filter_and_order(page: Page, address: str) -> None:
    page.goto(f"{address}#q=inkwell&sort=instance.desc&open=demo__inkwell-2")
    assert opened(page) == "demo__inkwell-2"
    page.get_by_role("button", name="Next").click()
    assert opened(page) == "demo__inkwell-1"
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Back to the table").click()
    assert names(page) == ["inkwell-3", "inkwell-2", "inkwell-1"]


def test_an_address_of_no_instance_says_so(page: Page, address: str) -> None:
    page.goto(f"{address}#open=demo__unknown-1&sort=nothing.desc")
    expect(page.locator("#instance")).to_contain_text("This run has no instance of this name.")
    page.keyboard.press("Escape")
    assert len(names(page)) == 9


def test_the_keyboard_alone_is_enough(report: Page) -> None:
    report.keyboard.press("/")
    report.keyboard.type("inkwell")
    assert names(report) == ["inkwell-1", "inkwell-2", "inkwell-3"]
    report.keyboard.press("ArrowDown")
    assert focused(report) == "demo__inkwell-1"
    report.keyboard.press("j")
    report.keyboard.press("ArrowDown")
    report.keyboard.press("ArrowDown")
    assert focused(report) == "demo__inkwell-3"
    report.keyboard.press("k")
    report.keyboard.press("ArrowUp")
    report.keyboard.press("ArrowDown")
    assert focused(report) == "demo__inkwell-2"
    report.keyboard.press("Enter")
    assert opened(report) == "demo__inkwell-2"
    report.keyboard.press("n")
    assert opened(report) == "demo__inkwell-3"
    report.keyboard.press("n")
    report.keyboard.press("p")
    report.keyboard.press("p")
    assert opened(report) == "demo__inkwell-1"
    report.keyboard.press("Escape")
    expect(report.locator("#overview")).to_be_visible()
    assert focused(report) == "demo__inkwell-1"
    assert names(report) == ["inkwell-1", "inkwell-2", "inkwell-3"]


def test_the_skip_link_leads_to_the_content_and_keeps_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}#q=inkwell")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    assert page.evaluate("location.hash") == "#q=inkwell"


def test_the_link_of_what_is_shown_can_be_copied(new_page: Callable[..., Page], address: str) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{address}#open=demo__inkwell-2")
    opened(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#said")).to_have_text("The link is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{address}#open=demo__inkwell-2"


def test_recorded_answers_are_said_to_be_recorded(report: Page) -> None:
    expect(report.locator(".banner").first).to_contain_text("RECORDED answers.")
    expect(report.locator("body")).not_to_contain_text("INCOMPLETE")


def test_the_page_is_dark_where_the_reader_wants_it_dark(new_page: Callable[..., Page], address: str) -> None:
    brightness = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)[0]"
    dark, light = (new_page(color_scheme=scheme) for scheme in ("dark", "light"))
    for page in (dark, light):
        page.goto(address)
    assert dark.evaluate(brightness) < 60
    assert light.evaluate(brightness) > 200


@pytest.mark.parametrize("width", [375, 320])
def test_on_a_phone_nothing_but_diffs_and_tables_scrolls_sideways(
    new_page: Callable[..., Page], address: str, width: int
) -> None:
    page = new_page(viewport={"width": width, "height": 700})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("link", name="demo__inkwell-2").click()
    opened(page)
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_javascript_the_figures_and_the_table_are_there(new_page: Callable[..., Page], address: str) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(address)
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator(".number").first).to_be_visible()
    assert len(names(page)) == 9
    expect(page.locator("#filter")).to_be_hidden()


def test_the_head_of_the_table_stays_in_sight(new_page: Callable[..., Page], address: str) -> None:
    page = new_page(viewport={"width": 1280, "height": 400})
    page.goto(address)
    page.locator("tbody tr").last.scroll_into_view_if_needed()
    page.mouse.wheel(0, 200)
    page.wait_for_timeout(100)
    tools, head = (page.locator(which).bounding_box() for which in (".tools", ".instances thead th >> nth=0"))
    assert tools is not None
    assert head is not None
    assert tools["y"] == 0
    assert abs(head["y"] - tools["height"]) <= 1
