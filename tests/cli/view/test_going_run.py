"""The pages while a real run goes on, is killed, and is finished by the same command."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from swerl_eval.records.live_status import LIVE_FILE, read_live_status
from swerl_eval.records.run_folder import Run
from tests.cli.view.going_run import going_run
from tests.cli.view.serving import served

pytestmark = pytest.mark.slow
SECONDS = 240


def until(ask: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    """Ask until the answer fits."""
    end = time.monotonic() + SECONDS
    while not fits(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.1)
    return answer


def get(address: str) -> httpx.Response:
    return httpx.get(address, timeout=SECONDS)


def test_a_run_is_followed_from_its_start_over_its_death_to_its_end(mirrors: Path, tmp_path: Path) -> None:
    with served(tmp_path) as address:

        def live() -> dict[str, Any]:
            answer = get(f"{address}/runs/going/live.json")
            return answer.json() if answer.status_code == 200 else {"state": "", "instances": [], "figures": []}

        with going_run(tmp_path, mirrors) as run:
            data = until(live, lambda data: ["Containers", "2"] in data["figures"])
            assert data["state"] == "running"
            assert [name for name, _, _ in data["stages"]] == ["localized", "repaired", "selected", "evaluated"]
            run.let_end(3)
            data = until(live, lambda data: len(data["instances"]) == 4)  # with the empty patch
            assert until(live, lambda data: data["stages"][-1][1] == 4)["stages"][-1] == ["evaluated", 4, 9]
            first = [name for name, _, _ in data["instances"]]
            run.process.kill()  # as the kernel does it
        stale = time.time() - 60
        os.utime(run.folder / LIVE_FILE, (stale, stale))
        assert live()["state"] == "running"  # its last heartbeat is still young
        content = (run.folder / LIVE_FILE).read_bytes()
        heartbeat = content.partition(b'"heartbeat":')[2].partition(b",")[0]
        (run.folder / LIVE_FILE).write_bytes(content.replace(heartbeat, str(stale).encode()))
        assert (live()["state"], len(live()["instances"])) == ("stopped", 4)

        with going_run(tmp_path, mirrors) as run:
            run.let_end(100)
            assert run.process.wait(SECONDS) == 0
        data = live()
        assert (data["state"], data["stages"], len(data["instances"])) == ("finished", [], 9)
        assert [name for name, _, _ in data["instances"]][-4:] == first
        assert not (run.folder / LIVE_FILE).exists()
        with Run(run.folder) as records:
            assert len(records.evaluations) == 9
        assert get(f"{address}/runs/going/report").text == (run.folder / "report.html").read_text()


def test_a_run_in_good_order_leaves_no_status_behind(mirrors: Path, tmp_path: Path) -> None:
    with served(tmp_path) as address, going_run(tmp_path, mirrors) as run:
        until(lambda: read_live_status(run.folder), lambda status: status is not None and status.containers == 2)
        run.process.terminate()
        assert run.process.wait(SECONDS) == 130
        assert get(f"{address}/runs/going/live.json").json()["state"] == "incomplete"
        assert not (run.folder / LIVE_FILE).exists()
