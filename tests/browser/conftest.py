"""Pages in a real Chromium. A test fails for whatever a page says on the console, throws, or asks of the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.browser.scripted_demo import run_demo

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_TOOLS = Path(os.environ.get("SWERL_EVAL_PAGE_TOOLS", ROOT / ".page-tools"))
SERIOUS = {"serious", "critical"}
PATIENCE = 240_000
"""Longest wait for what a page is to show, in milliseconds: the machine may be busy with other tests."""
expect.set_options(timeout=PATIENCE)
LOCAL = ("file:", "data:", "blob:", "about:")
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", event => {
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window.

    One for each file of tests: while Playwright runs, its thread counts as one with a running event loop, in which
    tests with asyncio cannot run.
    """
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("no Chromium was found: scripts/test installs it, or apt-get install chromium")
    with sync_playwright() as playwright:
        # without the browser's own sandbox, which it cannot have as root; the pages are made by these tests
        launched = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield launched
        launched.close()


@pytest.fixture
def troubles() -> list[str]:
    """What went wrong in the test's pages. The test fails for it, unless it takes it out itself."""
    return []


@pytest.fixture
def own_servers() -> set[str]:
    """Origins of the servers that the test started, such as `http://127.0.0.1:8000`: pages may ask these."""
    return set()


@pytest.fixture
def new_page(browser: Browser, troubles: list[str], own_servers: set[str]) -> Iterator[Callable[..., Page]]:
    """Opens a page in a context of its own; takes the options of a context, such as `viewport` and `color_scheme`."""
    contexts: list[BrowserContext] = []

    def allowed(url: str) -> bool:
        return url.startswith((*LOCAL, *(f"{origin}/" for origin in own_servers)))

    def asked(request: Request) -> None:
        if not allowed(request.url):
            troubles.append(f"a request: {request.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(f"console: {message.text}")

    def opened(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        context.add_init_script(REPORT_VIOLATIONS)
        context.route(lambda url: not allowed(url), lambda route: route.abort())
        context.on("request", asked)
        context.on("weberror", lambda error: troubles.append(f"an exception: {error.error}"))
        context.on("console", said)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page in a context of its own."""
    return new_page()


@pytest.fixture(scope="session")
def demo_run(mirrors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the bundled suite with its recorded answers. Tests read it only."""
    with ThreadPoolExecutor(1) as thread:  # this thread may have Playwright's event loop
        return thread.submit(run_demo, mirrors, tmp_path_factory.mktemp("demo")).result()


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """Returns the serious and critical findings of axe-core on a page as it is now, each with its first place."""
    file = PAGE_TOOLS / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.fail(f"{file} is missing: scripts/test without options sets the tools of the pages up")
    program = file.read_text(encoding="utf-8")

    def findings(page: Page) -> list[str]:
        page.evaluate(program)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{found['id']} ({found['impact']}), {len(found['nodes'])} times: {found['nodes'][0]['html'][:200]}"
            for found in result["violations"]
            if found["impact"] in SERIOUS
        ]

    return findings
