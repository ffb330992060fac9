"""From the run of one container to a result or an error, on an engine whose answers are scripted."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import EngineUnavailableError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits
from swerl_eval.ports import UNWATCHED
from swerl_eval.sandboxes.docker import container_run, engine_disk
from swerl_eval.sandboxes.docker.container_run import SLOW_END, ContainerRun
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.engine_disk import EngineDisk
from swerl_eval.sandboxes.docker.outcome import Exceeded, job_result
from tests.fake_engine import Answer, Reply, fake_engine

ENDED = {"ExitCode": 0, "OOMKilled": False, "Status": "exited"}
BY_SOMEBODY_ELSE = "the container of test was killed or removed by somebody else"


def a_job(tmp_path: Path, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "name": "test",
        "image": "image:1",
        "script": "true",
        "files": (),
        "limits": Limits(),
        "timeout": 300.0,
        "log": str(tmp_path / "log"),
    }
    return Job(**{**values, **changes})


# -- from the engine's words to the outcome, without any engine


@pytest.mark.parametrize(
    ("state", "exceeded", "expected"),
    [
        ({}, None, {"exit_code": 0}),
        ({"ExitCode": 7}, None, {"exit_code": 7}),
        ({"ExitCode": 137}, Exceeded.TIME, {"exit_code": 137, "timed_out": True}),
        ({"ExitCode": 137}, Exceeded.DISK, {"exit_code": 137, "disk_exceeded": True}),
        ({"ExitCode": 0}, Exceeded.TIME, {"exit_code": 0, "timed_out": True}),
        ({"ExitCode": 137, "OOMKilled": True}, None, {"exit_code": 137, "out_of_memory": True}),
        ({"ExitCode": 1, "OOMKilled": True}, None, {"exit_code": 1, "out_of_memory": True}),
        ({"ExitCode": 137}, None, None),
        ({"ExitCode": 0, "Status": "removing"}, None, None),
        ({"ExitCode": 137, "Status": "removing"}, Exceeded.TIME, None),
    ],
)
def test_what_a_container_s_end_means(
    tmp_path: Path, state: dict[str, Any], exceeded: Exceeded | None, expected: dict[str, Any] | None
) -> None:
    job = a_job(tmp_path)
    inspection = {"State": {**ENDED, **state}, "Image": "sha256:1"}

    def result() -> JobResult:
        return job_result(job, inspection, exceeded=exceeded, seconds=1.5, log_truncated=True, disk_full=True)

    if expected is None:
        with pytest.raises(SandboxError, match=BY_SOMEBODY_ELSE):
            result()
        return
    values: dict[str, Any] = {"timed_out": False, "out_of_memory": False, **expected}
    assert result() == JobResult(
        **values, seconds=1.5, log=job.log, log_truncated=True, image_id="sha256:1", disk_full=True
    )


# -- a whole run


class FakeContainer:
    """A container `c` that prints something and ends, at once or when it is killed."""

    def __init__(self, output: bytes = b"printed\n", *, ends: bool = True, **state: object) -> None:
        self.state = {**ENDED, **state}
        self.ends = ends
        self.output_ends = True
        self.kill_answer: Answer = (204, "")
        self.inspections = [200, 200]
        """Statuses: the first is asked for by the library when it attaches."""
        self.written = 0
        self.looks = 0
        """How often it was asked what the container has written."""
        self.ends_at_look = 0
        self.wait_body = b'{"StatusCode": 0}'
        self._output = output
        self._started, self._ended, self.closed = threading.Event(), threading.Event(), threading.Event()

    def answers(self) -> dict[str, Reply]:
        return {
            "PUT /containers/c/archive": (200, ""),
            "POST /containers/c/attach": lambda: (200, self._attached()),
            "GET /containers/c/json": self._inspect,
            "POST /containers/c/wait": lambda: (200, self._end()),
            "POST /containers/c/start": self._start,
            "POST /containers/c/kill": self._kill,
            "GET /containers/json": self._list,
        }

    def _attached(self) -> Iterator[bytes]:
        self._started.wait(300)
        yield struct.pack(">BxxxL", 1, len(self._output)) + self._output
        self._ended.wait(300)
        if not self.output_ends:
            self.closed.wait(300)

    def _end(self) -> Iterator[bytes]:
        self._ended.wait(300)
        yield self.wait_body

    def _start(self) -> Answer:
        self._started.set()
        if self.ends:
            self._ended.set()
        return 204, ""

    def _kill(self) -> Answer:
        self._ended.set()
        return self.kill_answer

    def _list(self) -> Answer:
        self.looks += 1
        if self.looks == self.ends_at_look:
            self._ended.set()
        return 200, [{"Id": "c", "SizeRw": self.written}]

    def _inspect(self) -> Answer:
        status = self.inspections.pop(0)
        if status != 200:
            return status, {"message": "No such container: c"}
        return 200, {"Config": {"Tty": False}, "State": self.state, "Image": "sha256:1"}


Run = Callable[..., tuple[JobResult, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job in a fake container; returns its result and what was asked of the engine."""

    def execute(
        container: FakeContainer, job: Job | None = None, stop: threading.Event | None = None
    ) -> tuple[JobResult, list[str]]:
        with fake_engine(container.answers()) as engine:
            monkeypatch.setenv("DOCKER_HOST", engine.host)
            client = connect()
            try:
                result = ContainerRun(
                    client,
                    "c",
                    job or a_job(tmp_path),
                    stop or threading.Event(),
                    disk=EngineDisk(None),
                    watcher=UNWATCHED,
                ).execute()
            finally:
                container.closed.set()
                client.close()
            return result, engine.requests

    return execute


KILL = "POST /containers/c/kill"


def test_a_container_that_ends_by_itself_is_not_killed_and_its_output_is_logged(run: Run, tmp_path: Path) -> None:
    result, requests = run(FakeContainer(ExitCode=7))
    assert (result.exit_code, result.image_id, result.log_truncated) == (7, "sha256:1", False)
    assert (tmp_path / "log").read_bytes() == b"printed\n"
    assert KILL not in requests
    assert requests.index("POST /containers/c/wait") < requests.index("POST /containers/c/start")


def test_a_container_at_its_time_limit_is_killed(run: Run, tmp_path: Path) -> None:
    result, requests = run(FakeContainer(ends=False, ExitCode=137), a_job(tmp_path, timeout=0.5))
    assert (result.timed_out, result.disk_exceeded, requests.count(KILL)) == (True, False, 1)
    assert 0.5 <= result.seconds < 60
    assert (tmp_path / "log").read_bytes() == b"printed\n"


def test_a_container_that_writes_too_much_is_killed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_run, "DISK_CHECK_SECONDS", 0.1)
    container = FakeContainer(ends=False, ExitCode=137)
    container.written = 1001
    result, requests = run(container, a_job(tmp_path, limits=Limits(disk=1000)))
    assert (result.timed_out, result.disk_exceeded, requests.count(KILL)) == (False, True, 1)


def test_a_container_that_keeps_its_disk_limit_is_left_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_run, "DISK_CHECK_SECONDS", 0.05)
    container = FakeContainer(ends=False)
    container.written, container.ends_at_look = 1000, 3
    result, requests = run(container, a_job(tmp_path, limits=Limits(disk=1000)))
    assert (result.timed_out, result.disk_exceeded, KILL in requests) == (False, False, False)
    assert container.looks >= 3


def test_memory_that_ran_out_is_a_result(run: Run) -> None:
    result, _ = run(FakeContainer(ExitCode=137, OOMKilled=True))
    assert (result.exit_code, result.out_of_memory) == (137, True)


def test_a_container_that_somebody_else_kills_or_removes_is_an_error(run: Run) -> None:
    with pytest.raises(SandboxError, match=BY_SOMEBODY_ELSE):
        run(FakeContainer(ExitCode=137))
    with pytest.raises(SandboxError, match=BY_SOMEBODY_ELSE):
        run(FakeContainer(Status="removing"))
    removed = FakeContainer()
    removed.inspections = [200, 404]
    with pytest.raises(SandboxError, match=r"waiting for the end of test: .*No such container"):
        run(removed)


def test_a_job_that_is_stopped_is_killed_at_once(run: Run, tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(SandboxError, match=BY_SOMEBODY_ELSE):  # nobody waits for it any more
        run(FakeContainer(ends=False, ExitCode=137), a_job(tmp_path), stop)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"message": "No such container: c"}),
        (409, {"message": "container c is not running"}),
        (500, {"message": f"tried to kill container, but {SLOW_END}"}),
    ],
)
def test_a_kill_that_finds_the_container_ended_or_slow_is_no_error(run: Run, tmp_path: Path, answer: Answer) -> None:
    container = FakeContainer(ends=False, ExitCode=137)
    container.kill_answer = answer
    assert run(container, a_job(tmp_path, timeout=0.3))[0].timed_out


def test_a_kill_that_fails_is_an_error(run: Run, tmp_path: Path) -> None:
    container = FakeContainer(ends=False, ExitCode=137)
    container.kill_answer = (500, {"message": "the driver failed"})
    with pytest.raises(SandboxError, match="killing a container: the driver failed"):
        run(container, a_job(tmp_path, timeout=0.3))


def test_an_output_that_does_not_end_after_a_kill_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeContainer):
        def _kill(self) -> Answer:
            monkeypatch.setattr(container_run, "END_SECONDS", 0.5)  # only now: the limit of requests before is the same
            return super()._kill()

    container = Silent(ends=False, ExitCode=137)
    container.output_ends = False
    with pytest.raises(SandboxError, match="the output of test did not end after its container was killed"):
        run(container, a_job(tmp_path, timeout=0.3))


def test_an_engine_that_does_not_tell_the_end_it_was_asked_for_is_an_engine_that_was_away(run: Run) -> None:
    container = FakeContainer()
    container.wait_body = b""
    with pytest.raises(EngineUnavailableError, match="waiting for the end of test"):
        run(container)


def test_a_log_that_cannot_be_written_ends_the_container_and_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    log = tmp_path / "file" / "log"
    container = FakeContainer(ends=False, ExitCode=137)
    with pytest.raises(SandboxError, match=rf"writing the output of test to {log}: "):
        run(container, a_job(tmp_path, log=str(log)))


# -- the engine's disk


def test_a_disk_that_was_full_at_a_look_counts_as_full_for_what_ran_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = EngineDisk(tmp_path)
    began = time.monotonic()
    assert not disk.full_since(began)
    with monkeypatch.context() as patch:
        patch.setattr(engine_disk, "FULL_BELOW", 2**62)
        disk.look()
    time.sleep(0.01)
    assert disk.full_since(began)
    assert not disk.full_since(time.monotonic())
    assert disk.has_free(1)
    assert not disk.has_free(2**62)


def test_the_disk_of_another_machine_is_never_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_disk, "FULL_BELOW", 2**62)
    disk = EngineDisk(None)
    assert disk.has_free(2**62)
    assert not disk.full_since(0.0)
