"""How fast pages open and answer in Chromium, and what memory they take."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WINDOW = ViewportSize(width=1280, height=800)
TIMED = """async () => {
  const begun = performance.now();
  %s;
  while (!(%s)) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done));
  return performance.now() - begun;
}"""
"""Milliseconds from an action until something holds and has been painted."""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window and without its own sandbox, which it cannot have as root."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        message = "no Chromium was found: apt-get install chromium"
        raise SystemExit(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser
        browser.close()


def opened(browser: Browser, url: str, ready: str, rounds: int) -> dict[str, float]:
    """Open a page several times, each time in a context of its own.

    Args:
        browser: Chromium.
        url: The page's address.
        ready: A selector of what has to be visible for the page to be ready.
        rounds: How often.

    Returns:
        Medians of the seconds to the first paint and until it is ready, the highest of the latter, the processor time
        of the process that shows the page until then, and the bytes that the page takes: of its script, and of that
        process.
    """
    paints, readies, busy, figures = [], [], [], {}
    for _ in range(rounds):
        with _page(browser) as page:
            begun = time.perf_counter()
            page.goto(url, wait_until="commit")
            page.wait_for_selector(ready)
            readies.append(time.perf_counter() - begun)
            busy.append(_processor_seconds(_largest_process(browser)))
            page.wait_for_function(f"{FIRST_PAINT} > 0")
            paints.append(page.evaluate(FIRST_PAINT) / 1000)
            figures = memory(browser, page)
    seconds = {"paint": paints, "ready": readies, "busy": busy}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "worst": max(readies), **figures}


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WINDOW)
    yield context.new_page()
    context.close()


def on_page(browser: Browser, url: str, ready: str, work: Callable[[Page], Any]) -> Any:
    """Do something on a page that is ready."""
    with _page(browser) as page:
        page.goto(url)
        page.wait_for_selector(ready)
        page.wait_for_timeout(500)
        return work(page)


def timed(page: Page, action: str, until: str) -> float:
    """Return the seconds from an action, in JavaScript, until something holds and has been painted."""
    return float(page.evaluate(TIMED % (action, until))) / 1000


def memory(browser: Browser, page: Page) -> dict[str, float]:
    """Return the bytes that a page's script holds, and those of the largest process that shows pages."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return {"heap": metrics["JSHeapUsedSize"], "resident": _resident(_largest_process(browser))}


def _largest_process(browser: Browser) -> int:
    """Return the process that shows the page: of those that show any, the one with the most memory."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return max((int(each["id"]) for each in processes if each["type"] == "renderer"), key=_resident)


def _resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def middle_and_worst(seconds: Sequence[float]) -> str:
    """Return the median and the highest as text."""
    return f"{statistics.median(seconds):.2f} s (highest {max(seconds):.2f} s)"
