"""What the fixtures of this folder notice: without them a test of a page could pass on a page that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from swerl_eval.core.types import Verdict
from swerl_eval.records.run_folder import Run

pytestmark = pytest.mark.browser

HEAD = "<!doctype html><html lang=en><title>t</title><main><h1>t</h1>"


def noticed(page: Page, troubles: list[str], trouble: str) -> bool:
    """Whether it is noticed in time."""
    until = time.monotonic() + 120
    while not any(trouble in each for each in troubles) and time.monotonic() < until:
        page.wait_for_timeout(50)
    return any(trouble in each for each in troubles)


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        ("<script>console.error('wrong')</script>", "console: wrong"),
        ("<script>throw new Error('thrown')</script>", "an exception: thrown"),
        ("<img alt=x src=http://127.0.0.1:9/x.png>", "a request: http://127.0.0.1:9/x.png"),
    ],
)
def test_what_a_page_does_wrong_is_noticed(
    page: Page, troubles: list[str], tmp_path: Path, body: str, trouble: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(HEAD + body)
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    assert noticed(page, troubles, trouble), troubles
    troubles.clear()


def test_what_a_policy_forbids_is_noticed(page: Page, troubles: list[str], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
    file.write_text(f"<!doctype html>{policy}<p style='color:red'>x")
    page.goto(file.as_uri())
    assert noticed(page, troubles, "console: CSP: style-src-attr inline"), troubles
    troubles.clear()


def test_what_some_cannot_read_is_found(page: Page, axe: Callable[[Page], list[str]], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(HEAD + "<p>fine")
    page.goto(file.as_uri())
    assert axe(page) == []
    file.write_text(HEAD + "<p style='color:#ccc;background:#fff'>faint<button></button>")
    page.goto(file.as_uri())
    assert [each.partition(" ")[0] for each in axe(page)] == ["button-name", "color-contrast"]


def test_the_demo_has_all_that_a_page_shows(demo_run: Path) -> None:
    run = Run(demo_run)
    verdicts = [run.evaluation_of(name) for name in run.manifest.instances]
    assert [each.verdict for each in verdicts if each].count(Verdict.RESOLVED) >= 4
    assert [each.verdict for each in verdicts if each].count(Verdict.UNRESOLVED) >= 1
    assert [each.verdict for each in verdicts if each].count(Verdict.EMPTY_PATCH) == 1
    assert any(each.broken for each in run.evidence.values())
    assert len({each.outcomes for each in run.evidence.values()}) > 1
    assert len(run.rewards) == 72
    assert run.manifest.recorded
