"""Texts of a run never become markup, script or address of a page (`injected_run.py`)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Page

from swerl_eval.records.run_folder import Run
from swerl_eval.reports.html.page import report_page
from swerl_eval.reports.summary import build_report
from tests.browser.injected_run import INJECTIONS, instance_id, make_injected_run, marked

pytestmark = pytest.mark.browser

TRAP = """
Object.defineProperty(window, "__injected", {set() { console.error("an injection was run"); }, get() { return 0; }});
"""
FOREIGN = "iframe, form, base, object, embed, img[src=x], meta[http-equiv=refresh], link[rel=stylesheet], [autofocus]"
"""Elements that the injections would make, and no page of ours has."""
SHOWN = (
    "IssueText.text",
    "Localization.file_lists.0.1",
    "Localization.ignored.0",
    "Selection.reason",
    "Evaluation.reason",
    "Evaluation.remark",
    "Evaluation.strict_reason",
    "Evaluation.suspicious.1",
    "Evaluation.gold_files.0",
    "Evaluation.image_id",
    "Evidence.broken.0",
    "Evidence.error",
    "ReproductionTest.script",
    "RegressionTests.files.0",
    "RegressionTests.excluded.1",
    "RegressionTests.note",
    "Candidate.detail",
    "Completion.text",
    "Completion.reasoning",
    "Completion.error",
    "Failure.reason",
    "test 1",
)
"""Fields whose text an opened instance has to show as it is."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_injected_run(tmp_path_factory.mktemp("injected") / "run")


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    """The report's page. One instance has a reason that UTF-8 cannot carry, as no stored record can."""
    run = Run(folder)
    document = build_report(run)
    document["instances"][0]["reason"] = f"\ud800{INJECTIONS[0]}\udfff"
    file = folder.parent / "report.html"
    with file.open("w", encoding="utf-8") as page:
        page.writelines(report_page(run, document, {}))
    return file


def legible(text: str) -> str:
    """Return a text without what pages may leave out or change of it: control characters, and kinds of blanks."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\ufffd]+", " ", text).strip()


def unfold(page: Page) -> None:
    """Open every fold of the page, also those within others."""
    page.evaluate("""async () => {
        for (let left = 1; left > 0;) {
            const closed = [...document.querySelectorAll("details:not([open])")];
            closed.forEach((fold) => { fold.open = true; });
            left = closed.length;
            await new Promise((done) => setTimeout(done));
        }
    }""")


def assert_only_text(page: Page) -> None:
    """No injection made an element, an attribute that acts, or a link that runs something."""
    assert page.locator(FOREIGN).count() == 0
    assert len(page.frames) == 1
    assert page.evaluate("[...document.scripts].filter((each) => !each.type).length") == 1
    attributes = page.evaluate("""[...document.querySelectorAll("*")].flatMap((each) =>
        [...each.attributes].filter(({name}) => name.startsWith("on") || name === "srcdoc")
            .map(({name}) => name))""")
    assert attributes == []
    links = page.evaluate("[...document.querySelectorAll('a')].map((each) => each.getAttribute('href'))")
    assert [link for link in links if not link.startswith("#")] == []


@pytest.mark.parametrize("injection", INJECTIONS, ids=range(len(INJECTIONS)))
def test_an_instance_full_of_an_injection_opens_and_shows_it_as_text(page: Page, report: Path, injection: str) -> None:
    page.add_init_script(TRAP)
    page.goto(report.as_uri())
    number = page.evaluate(
        "id => [...document.querySelectorAll('tr[data-id]')].findIndex((row) => row.dataset.id === id)",
        instance_id(injection),
    )
    assert number >= 0
    unfold(page)
    page.locator("tr[data-id] a").nth(number).click()
    page.wait_for_selector("#instance .part")
    unfold(page)
    assert_only_text(page)
    shown = page.evaluate("document.getElementById('instance').textContent")
    assert [place for place in SHOWN if legible(marked(injection, place)) not in legible(shown)] == []
    assert marked(injection, "log") in shown or not injection.isprintable()  # names are looked for line by line
    assert f"+{injection} (added)" in shown
    assert f"-{injection} (removed)" in shown
    assert page.locator("#instance h2").text_content() == instance_id(injection)


@pytest.mark.parametrize("injection", INJECTIONS, ids=range(len(INJECTIONS)))
def test_an_injection_in_the_address_is_text(page: Page, report: Path, injection: str) -> None:
    page.add_init_script(TRAP)
    page.goto(report.as_uri())
    for name in ("q", "open", "sort", injection):
        page.evaluate("([name, text]) => { location.hash = new URLSearchParams({[name]: text}); }", [name, injection])
        page.wait_for_timeout(20)
        assert_only_text(page)


def test_each_injection_of_the_page_is_in_it(report: Path) -> None:
    """What is tested above is a page that holds them."""

    class Reader(HTMLParser):
        texts: list[str] = []  # noqa: RUF012
        scripts: list[dict[str, str | None]] = []  # noqa: RUF012

        def handle_data(self, data: str) -> None:
            self.texts.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "script":
                self.scripts.append(dict(attrs))

    reader = Reader()
    reader.feed(report.read_text(encoding="utf-8"))
    text = "".join(reader.texts)
    missing = [each for each in INJECTIONS if instance_id(each) not in text]
    assert missing == []
    assert [script for script in reader.scripts if "type" not in script] == [{}]
    assert len(reader.scripts) == 1 + len(INJECTIONS)
