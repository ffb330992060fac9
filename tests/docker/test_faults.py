"""What happens to the machine while a run goes on, on a Docker engine of the tests' own.

Every run has to end with the verdicts that the fault did not touch; those that it did touch are `infra_error` with the
reason, never `unresolved`, and the same command finishes them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from gold_run import IMAGES, NAMES, RESOLVED, SOON, GoldRun, kill_what_was_started, pauses, rows_with_pauses
from own_engine import OwnEngine, full, kill, mount_small_disk, own_engine, runs, unmount_below, wait_until

from swerl_eval.core.errors import EngineUnavailableError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images"), pytest.mark.timeout(1500)]
FIRST, SECOND, THIRD = NAMES
ENGINE_DISK = 1500 * 2**20
"""Bytes; the images take 290 MB."""
FAKE_TIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@pytest.fixture(scope="module")
def one_engine() -> Iterator[OwnEngine]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("an engine of the tests' own needs root and dockerd on this machine")
    bridge = Path("/sys/class/net/docker0")
    there = bridge.exists()
    with own_engine(ENGINE_DISK) as engine:
        assert bridge.exists() == there, "the tests' engine has taken the bridge of the machine's engine"
        engine.load(list(IMAGES.values()))
        yield engine
    assert bridge.exists() == there, "the tests' engine has taken the bridge of the machine's engine"


@pytest.fixture
def engine(one_engine: OwnEngine) -> Iterator[OwnEngine]:
    """The engine, up and without a container at the beginning and at the end of each test."""
    yield one_engine
    kill_what_was_started()
    one_engine.start()  # where a failed test left it ended
    if one_engine.containers():
        one_engine.remove_containers()
        pytest.fail("a container is left")


def gold_run(engine: OwnEngine, folder: Path, pausing: Collection[str] = NAMES, workers: int = 3) -> GoldRun:
    rows = rows_with_pauses(folder, pausing)
    return GoldRun(rows, folder, engine.environment, [engine], "--workers", str(workers))


def reasons(errors: str) -> dict[str, str]:
    """The reason that the program gives for each instance."""
    return dict(re.findall(r"^swerl-eval: (demo__\S+): (.*)$", errors, re.M))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_that_is_restarted_in_the_middle_costs_no_verdict(
    engine: OwnEngine, tmp_path: Path, how: signal.Signals
) -> None:
    client = gold_run(engine, tmp_path, [SECOND, THIRD]).start()
    client.wait_for_tests(SECOND, THIRD)
    engine.end(how)
    time.sleep(1)
    engine.start()
    code, errors = client.finish()
    assert (code, client.verdicts) == (0, RESOLVED), errors


def test_an_engine_that_comes_back_when_a_container_has_ended_unseen_makes_no_verdict_of_half_an_output(
    engine: OwnEngine, tmp_path: Path
) -> None:
    # the container outlives the engine and ends with exit code 0 before the engine is back: its output is lost
    client = gold_run(engine, tmp_path).start()
    client.wait_for_tests(*NAMES)
    inside, paused = engine.processes("swerl-eval."), pauses(engine)
    engine.end(signal.SIGKILL)
    kill(paused)
    wait_until(lambda: not any(runs(number) for number in inside), SOON, "the tests end")
    engine.start()
    code, errors = client.finish()
    assert (code, client.verdicts) == (0, RESOLVED), errors


def test_an_engine_that_is_gone_ends_the_run_with_the_other_verdicts_and_a_resume_finishes(
    engine: OwnEngine, tmp_path: Path
) -> None:
    client = gold_run(engine, tmp_path, [SECOND, THIRD], workers=2).start()
    client.wait_for_tests(SECOND, THIRD)  # the first is done by then: there are two workers
    engine.end(signal.SIGKILL)
    try:
        code, errors = client.wait()
    finally:
        engine.start()
    assert code == 1
    assert client.verdicts == {FIRST: "resolved", SECOND: "infra_error", THIRD: "infra_error"}
    assert set(reasons(errors)) == {SECOND, THIRD}
    for reason in reasons(errors).values():
        assert re.search(r"the Docker engine does not answer .* \(tried \d+ times\)$", reason)
    assert "the same command tries the rest again" in errors
    assert engine.containers()  # killed with their engine, and removed by the next start
    client.resume()


def test_an_interrupt_ends_the_wait_for_an_engine_that_is_away(engine: OwnEngine, tmp_path: Path) -> None:
    client = gold_run(engine, tmp_path).start()
    client.wait_for_tests(*NAMES)
    engine.end(signal.SIGKILL)
    try:
        time.sleep(4)
        client.process.send_signal(signal.SIGINT)
        started = time.monotonic()
        code, errors = client.wait()
        assert time.monotonic() - started < 45
    finally:
        engine.start()
        engine.remove_containers()
    assert code == 130
    assert errors.rstrip().endswith("swerl-eval: interrupted; the same command finishes the run")


@contextmanager
def removing_containers(engine: OwnEngine, instance: str, times: int) -> Iterator[list[str]]:
    """Somebody who removes this instance's containers when they run; the list says which."""
    removed: list[str] = []
    stop = threading.Event()

    def remove() -> None:
        with engine.client() as client:
            while not stop.wait(0.1) and len(removed) < times:
                for container in client.api.containers(filters={"name": f"swerl-eval.{instance}"}):
                    client.api.remove_container(container["Id"], force=True)
                    removed.append(container["Id"])

    somebody = threading.Thread(target=remove)
    somebody.start()
    try:
        yield removed
    finally:
        stop.set()
        somebody.join()


def test_a_container_that_somebody_removes_once_costs_no_verdict(engine: OwnEngine, tmp_path: Path) -> None:
    client = gold_run(engine, tmp_path).start()
    with removing_containers(engine, SECOND, times=1) as removed:
        wait_until(lambda: removed, SOON, "it is removed")
        code, errors = client.finish()
    assert len(removed) == 1
    assert (code, client.verdicts) == (0, RESOLVED), errors


def test_containers_that_somebody_always_removes_are_an_infra_error_of_their_instance_alone(
    engine: OwnEngine, tmp_path: Path
) -> None:
    client = gold_run(engine, tmp_path).start()
    with removing_containers(engine, SECOND, times=99) as removed:
        wait_until(lambda: len(removed) >= 3, SOON, "it is removed each time")
        code, errors = client.finish()
    assert (code, len(removed)) == (1, 3)
    assert client.verdicts == {**RESOLVED, SECOND: "infra_error"}
    assert reasons(errors)[SECOND].endswith("(tried 3 times)")
    client.resume()


def test_an_image_that_vanishes_is_an_infra_error_of_its_instance_alone(engine: OwnEngine, tmp_path: Path) -> None:
    client = gold_run(engine, tmp_path, [FIRST], workers=1).start()
    client.wait_for_tests(FIRST)
    with engine.client() as api:
        image = api.images.get(IMAGES[THIRD])
        api.api.remove_image(IMAGES[THIRD])
        try:
            code, errors = client.finish()
        finally:
            assert image.tag(IMAGES[THIRD].removesuffix(":latest"), "latest")
    assert code == 1
    assert client.verdicts == {**RESOLVED, THIRD: "infra_error"}
    assert re.match(
        rf"the image {IMAGES[THIRD]} is not here and cannot be pulled .*swerl-eval images build.*tried once",
        reasons(errors)[THIRD],
    )
    client.resume()


def test_a_full_disk_of_the_engine_is_an_infra_error_and_never_unresolved(engine: OwnEngine, tmp_path: Path) -> None:
    client = gold_run(engine, tmp_path, [SECOND, THIRD], workers=2).start()
    client.wait_for_tests(SECOND, THIRD)
    with full(engine.disk):
        code, errors = client.finish()
    assert code == 1, errors
    assert client.verdicts[FIRST] == "resolved"
    assert "unresolved" not in client.verdicts.values()
    assert "infra_error" in client.verdicts.values()
    for reason in reasons(errors).values():
        assert re.search("disk is full|no space left on device", reason)
    client.resume()


def test_a_full_disk_of_the_client_stops_the_run_in_one_line_and_loses_nothing(
    engine: OwnEngine, tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(3 * 2**30)
    client = gold_run(engine, disk / "results", [SECOND, THIRD], workers=2).start()
    client.wait_for_tests(SECOND, THIRD)
    with full(disk):
        code, errors = client.finish()
    messages = [line for line in errors.splitlines() if line.startswith("swerl-eval: ")]
    assert code == 1
    assert messages[-1] == (
        f"swerl-eval: {disk}/results/run cannot be written: No space left on device; free some of its disk, then run "
        "the same command again (nothing that was stored is lost)"
    )
    stored = (disk / "results/run/evaluations.jsonl").read_bytes()
    assert json.loads(stored.splitlines()[0])["verdict"] == "resolved"
    client.resume()
    assert (disk / "results/run/evaluations.jsonl").read_bytes().startswith(stored)
    for journal in (disk / "results/run").glob("*.jsonl"):
        assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_log_that_finds_no_room_is_an_error_of_its_job_that_names_it(
    engine: OwnEngine, tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    log = small_disk(4 * 2**20) / "log"
    with pytest.raises(SandboxError, match=rf"to {log}: No space left on device; free some of this machine's disk"):
        run_job(engine, "head -c 20000000 /dev/zero", log)


@pytest.mark.skipif(FAKE_TIME is None, reason="needs libfaketime (apt-get install libfaketime)")
def test_a_clock_that_jumps_changes_no_report_and_times_nothing_out(engine: OwnEngine, tmp_path: Path) -> None:
    undisturbed = gold_run(engine, tmp_path).start()
    assert undisturbed.finish()[0] == 0
    expected = undisturbed.report
    shutil.rmtree(tmp_path / "run")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    jumping = gold_run(engine, tmp_path).start(
        {
            "LD_PRELOAD": str(FAKE_TIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    jumping.wait_for_tests(*NAMES)
    clock.write_text("+2d")
    time.sleep(1.5)
    clock.write_text("-1d")
    code, errors = jumping.finish()
    assert (code, jumping.verdicts) == (0, RESOLVED), errors
    assert jumping.report == expected
    times = [json.loads(line)["time"] for line in (jumping.folder / "events.jsonl").read_bytes().splitlines()]
    assert max(times) - min(times) > 80_000, "the client's clock has not jumped at all"


def test_what_a_killed_client_left_is_removed_by_any_next_start_and_a_live_one_keeps_its_own(
    engine: OwnEngine, tmp_path: Path
) -> None:
    killed = gold_run(engine, tmp_path / "killed").start()
    killed.wait_for_tests(*NAMES)
    left = set(engine.containers())
    assert len(left) == 3
    killed.process.kill()
    killed.process.communicate()
    assert set(engine.containers()) == left
    live = gold_run(engine, tmp_path / "live").start()
    wait_until(lambda: len(set(engine.containers()) - left) == 3, SOON, "the live run has its containers")
    own = set(engine.containers()) - left
    assert set(engine.containers()) == own, "what the killed run left is removed first"
    assert gold_run(engine, tmp_path / "third", ()).start().wait()[0] == 0
    assert set(engine.containers()) == own, "the live run's containers are its own business"
    assert (live.finish()[0], live.verdicts) == (0, RESOLVED)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a small filesystem."""
    made = tmp_path / "disk"

    def make(size: int) -> Path:
        mount_small_disk(made, size)
        return made

    yield make
    unmount_below(made)


def run_job(engine: OwnEngine, script: str, log: Path, before: Callable[[], None] = lambda: None) -> JobResult:
    """Run one job by a sandbox on the tests' engine, without any further try; `before` comes when that is open."""

    async def run() -> JobResult:
        sandbox = DockerSandbox.open(SandboxSettings("tests-of-faults"))
        try:
            before()
            return await sandbox.run(Job("test", IMAGES[FIRST], script, (), Limits(network="none"), 60.0, str(log)))
        finally:
            await sandbox.aclose()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.host)
        return anyio.run(run)


def test_closing_a_sandbox_whose_engine_is_gone_neither_hangs_nor_raises(engine: OwnEngine, tmp_path: Path) -> None:
    started = time.monotonic()
    try:
        with pytest.raises(EngineUnavailableError, match="does not answer"):
            run_job(engine, "true", tmp_path / "log", lambda: engine.end(signal.SIGKILL))
        assert time.monotonic() - started < 10
    finally:
        engine.start()
