"""What axe-core finds in the pages: nothing serious, in either colours, on a desk or a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from swerl_eval.records.run_folder import Run
from swerl_eval.reports.html.page import report_page
from swerl_eval.reports.summary import build_report

pytestmark = pytest.mark.browser

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 3}
LOOKS = {
    f"{name}, {colours}": {**device, "color_scheme": colours}
    for name, device in (("desk", DESK), ("phone", PHONE))
    for colours in ("light", "dark")
}


@pytest.fixture(scope="module")
def report(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = Run(demo_run)
    file = tmp_path_factory.mktemp("report") / "report.html"
    with file.open("w", encoding="utf-8") as page:
        page.writelines(report_page(run, build_report(run), {}))
    return file.as_uri()


@pytest.fixture(params=LOOKS)
def looked_at(request: pytest.FixtureRequest, new_page: Callable[..., Page]) -> Page:
    options: dict[str, Any] = LOOKS[request.param]
    return new_page(**options)


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.wait_for_timeout(50)


def test_the_report_is_accessible(looked_at: Page, report: str, axe: Callable[[Page], list[str]]) -> None:
    looked_at.goto(report)
    assert axe(looked_at) == []
    unfold(looked_at)
    assert axe(looked_at) == []
    looked_at.goto(f"{report}#q=nothing+has+this")
    assert axe(looked_at) == []


def test_an_opened_instance_is_accessible(looked_at: Page, report: str, axe: Callable[[Page], list[str]]) -> None:
    for name in ("demo__inkwell-2", "demo__ledgerly-3"):  # with a patch, and without one
        looked_at.goto(f"{report}#open={name}")
        looked_at.wait_for_selector("#instance .part")
        assert axe(looked_at) == []
        unfold(looked_at)
        assert axe(looked_at) == []


def test_no_page_is_wider_than_a_phone(new_page: Callable[..., Page], report: str) -> None:
    page = new_page(**PHONE)
    for address in (report, f"{report}#open=demo__inkwell-2"):
        page.goto(address)
        page.wait_for_timeout(200)
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
