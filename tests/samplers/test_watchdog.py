"""The watchdog of an engine's processes, without vLLM. `tests/samplers/openai/test_launch.py` covers its `run` mode."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swerl_eval.samplers.watchdog import Process, Watchdog, descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc; vLLM runs on Linux")
ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, signal, sys, time
from swerl_eval.samplers.watchdog import Process, Watchdog
watchdog = Watchdog()
process = Process.of(int(sys.argv[1]))
other_start = Process(process.pid, "1")
watchdog.watch(other_start if sys.argv[2] == "another start" else process)
if sys.argv[2] == "a fork":
    if os.fork() == 0:  # as a forked engine core does, it holds the watchdog's pipe open
        os.close(1)
        while process.alive:
            time.sleep(0.1)
        os._exit(0)
print("WATCHING", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("case", ["its own start", "another start", "a fork"])
def test_when_a_sampler_is_killed_its_processes_are_and_no_other_that_has_a_number_of_theirs(
    case: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # the name stands, as it is, in what the kernel says of a process
    program = tmp_path / "odd) (1 2"
    program.symlink_to(shutil.which("sleep") or "")
    with (
        subprocess.Popen([str(program), "600"], start_new_session=True) as engine,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(engine.pid), case], stdout=subprocess.PIPE, env=environment
        ) as sampler,
    ):
        try:
            assert sampler.stdout is not None
            assert sampler.stdout.readline() == b"WATCHING\n"
            sampler.kill()
            sampler.wait(60)
            if case == "another start":
                time.sleep(1)
                assert engine.poll() is None
            else:
                assert engine.wait(60) == -signal.SIGKILL
        finally:
            engine.kill()


def test_a_dismissed_watchdog_kills_nothing() -> None:
    with subprocess.Popen(["sleep", "600"]) as engine:
        try:
            process = Process.of(engine.pid)
            assert process is not None
            watchdog = Watchdog()
            watchdog.watch(process)
            watchdog.dismiss()
            time.sleep(0.5)
            assert process.alive
        finally:
            engine.kill()


def test_a_watchdog_that_was_killed_is_no_error() -> None:
    watchdog = Watchdog()
    watchdog._program.kill()
    watchdog._program.wait(60)
    process = Process.of(os.getpid())
    assert process is not None
    watchdog.watch(process)
    watchdog.dismiss()


def test_descendants_are_children_and_their_children() -> None:
    script = f"{sys.executable} -c 'import time; time.sleep(600)' & sleep 600 & echo $! && wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as shell:
        try:
            assert shell.stdout is not None
            last = int(shell.stdout.readline())
            own = [process.pid for process in descendants(os.getpid())]
            below = [process.pid for process in descendants(shell.pid)]
            assert len(below) == 2
            assert last in below
            assert {shell.pid, *below} <= set(own)
            assert shell.pid not in below
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_a_zombie_and_a_number_that_another_process_has_are_not_alive() -> None:
    ended = subprocess.Popen(["sleep", "600"])
    process = Process.of(ended.pid)
    assert process is not None
    assert process.alive
    assert not Process(process.pid, "1").alive
    Process(process.pid, "1").kill()
    assert ended.poll() is None
    process.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not process.alive, "it is a zombie now"
    ended.wait(60)
    assert Process.of(ended.pid) is None
