"""What is tried again, when, how often, and that it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits
from swerl_eval.sandboxes.retrying import FULL_DISK_TRIES, PATIENCE, TRIES, RetryingSandbox
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """A loop whose clock jumps to whatever is next: pauses take no time, and the times seen are exact."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def job(tmp_path: Path) -> Job:
    return Job("test", "image", "true", (), Limits(), 60.0, str(tmp_path / "log"))


def failing(error: SandboxError, times: float) -> Callable[[Job], Reply]:
    """Answers that fail so often."""
    failed = 0

    def reply(_: Job) -> Reply:
        nonlocal failed
        failed += 1
        if failed <= times:
            raise error
        return Reply(b"done\n")

    return reply


def around(reply: Callable[[Job], Reply]) -> tuple[RetryingSandbox, ScriptedSandbox]:
    inner = ScriptedSandbox(reply)
    return RetryingSandbox(inner), inner


@pytest.mark.parametrize("error", [SandboxError("killed"), ImageMissingError("gone"), EngineUnavailableError("away")])
async def test_a_failure_that_passes_costs_a_try_and_no_result(tmp_path: Path, error: SandboxError) -> None:
    sandbox, inner = around(failing(error, 1))
    assert (await sandbox.run(job(tmp_path))).exit_code == 0
    assert len(inner.jobs) == 2
    assert (tmp_path / "log").read_bytes() == b"done\n"


@pytest.mark.parametrize("kind", [SandboxError, ImageMissingError])
async def test_what_does_not_pass_is_the_last_error_with_the_number_of_tries(
    tmp_path: Path, kind: type[SandboxError]
) -> None:
    sandbox, inner = around(failing(kind("the reason"), 99))
    with pytest.raises(kind, match=rf"^the reason \(tried {TRIES[kind]} times\)$"):
        await sandbox.run(job(tmp_path))
    assert len(inner.jobs) == TRIES[kind]


async def test_an_engine_that_stays_away_is_waited_for_once_for_all_jobs(tmp_path: Path) -> None:
    times: list[float] = []

    def reply(_: Job) -> Reply:
        times.append(anyio.current_time() - began)
        raise EngineUnavailableError("away")

    began = anyio.current_time()
    sandbox, _ = around(reply)
    with pytest.raises(EngineUnavailableError, match=r"^away \(tried 8 times\)$"):
        await sandbox.run(job(tmp_path))
    assert times == pytest.approx([0, 1, 3, 7, 15, 30, 45, PATIENCE])
    with pytest.raises(EngineUnavailableError, match=r"^away \(tried once\)$"):
        await sandbox.run(job(tmp_path))


async def test_an_engine_that_came_back_is_waited_for_anew(tmp_path: Path) -> None:
    away = EngineUnavailableError("away")
    replies = iter([away, away, None, away, None])

    def reply(_: Job) -> Reply:
        error = next(replies)
        if error is not None:
            raise error
        return Reply()

    sandbox, _ = around(reply)
    await sandbox.run(job(tmp_path))
    await anyio.sleep(PATIENCE)  # all that the first absence has begun to use up
    assert (await sandbox.run(job(tmp_path))).exit_code == 0


class FullDisk(ScriptedSandbox):
    """Whose engine's disk is full for the first jobs."""

    def __init__(self, times: int, *, exceeded: bool = False) -> None:
        super().__init__(lambda _: Reply())
        self._times, self._exceeded = times, exceeded

    async def run(self, job: Job) -> JobResult:
        result = await super().run(job)
        return replace(result, disk_full=len(self.jobs) <= self._times, disk_exceeded=self._exceeded)


async def test_a_job_that_ran_on_a_full_disk_is_run_once_more_and_then_its_result_says_so(tmp_path: Path) -> None:
    passing, lasting, its_own = FullDisk(1), FullDisk(99), FullDisk(99, exceeded=True)
    assert not (await RetryingSandbox(passing).run(job(tmp_path))).disk_full
    assert (await RetryingSandbox(lasting).run(job(tmp_path))).disk_full
    await RetryingSandbox(its_own).run(job(tmp_path))
    assert [len(inner.jobs) for inner in (passing, lasting, its_own)] == [2, FULL_DISK_TRIES, 1]


async def test_what_the_job_does_is_never_tried_again(tmp_path: Path) -> None:
    sandbox, inner = around(lambda _: Reply(exit_code=1, timed_out=True, out_of_memory=True))
    assert (await sandbox.run(job(tmp_path))).timed_out
    assert len(inner.jobs) == 1


async def test_a_pause_can_be_cancelled(tmp_path: Path) -> None:
    sandbox, inner = around(failing(EngineUnavailableError("away"), 99))
    with anyio.move_on_after(10) as scope:
        await sandbox.run(job(tmp_path))
    assert scope.cancelled_caught
    assert len(inner.jobs) == 4
