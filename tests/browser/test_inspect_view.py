"""`inspect view` shows the export of a run: in its list, in the log's table, and a sample with its parts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from swerl_eval.reports.exports.inspect_log import InspectExporter
from tests.reports.exported_runs import EMPTY, FAILING, FIXED, make

pytestmark = pytest.mark.browser
START_SECONDS = 240


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of an `inspect view` of two exported runs."""
    InspectExporter().export(make(tmp_path / "one", FIXED, FAILING, EMPTY), tmp_path / "logs" / "one", {})
    other = make(tmp_path / "two", FIXED, model_name="org/other", recorded=True)
    InspectExporter().export(other, tmp_path / "logs" / "two", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "inspect_ai", "view", "--log-dir", str(tmp_path / "logs")]
    homes = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with (tmp_path / "view.log").open("wb") as log, subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path, env={**os.environ, **homes}, stdout=log, stderr=log,
    ) as server:  # fmt: skip
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("inspect view did not start")


def test_inspect_view_shows_the_runs_the_instances_of_one_and_an_answer(address: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 950})
    page.set_default_timeout(240_000)
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(address)
    row = page.get_by_role("row").filter(has_text="org/model")
    expect(row).to_contain_text("0.333", timeout=240_000)
    row.get_by_text("verified", exact=True).click()
    for text in (FIXED, FAILING, EMPTY, "high_95"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    page.get_by_text(FAILING, exact=True).first.click()
    expect(page.get_by_text("It is one too few.").first).to_be_visible()
    page.get_by_text("Scoring", exact=True).first.click()
    expect(page.get_by_text("t.py::f2").first).to_be_visible()
    page.goto(address)
    page.get_by_role("row").filter(has_text="org/other").get_by_text("verified", exact=True).click()
    expect(page.get_by_text("grading only", exact=True).first).to_be_visible()
    page.close()
