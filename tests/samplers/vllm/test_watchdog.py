"""What becomes of an engine's processes when the sampler's own is killed. Needs no vLLM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swerl_eval.samplers.vllm.watchdog import Guard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="vLLM runs on Linux")
ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys, time
from swerl_eval.samplers.vllm import watchdog
if sys.argv[2] == "another start":
    watchdog._start_of = lambda pid: "1"
guard = watchdog.Guard()
guard.watch(int(sys.argv[1]))
guard.watch(None)
print("WATCHING", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("start", ["its own start", "another start"])
def test_a_killed_samplers_processes_are_killed_and_no_other_that_has_a_number_of_theirs(
    start: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # the name stands, as it is, in what the kernel says of a process
    program = tmp_path / "odd) (1 2"
    program.symlink_to(shutil.which("sleep") or "")
    with (
        subprocess.Popen([str(program), "60"], start_new_session=True) as engine,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(engine.pid), start], stdout=subprocess.PIPE, env=environment
        ) as sampler,
    ):
        try:
            assert sampler.stdout is not None
            assert sampler.stdout.readline() == b"WATCHING\n"
            sampler.kill()
            sampler.wait(10)
            if start == "its own start":
                assert engine.wait(10) == -signal.SIGKILL
            else:
                time.sleep(1)
                assert engine.poll() is None
        finally:
            engine.kill()


def test_a_guard_whose_shell_was_killed_is_no_error() -> None:
    guard = Guard()
    guard._shell.kill()
    guard._shell.wait(10)
    guard.watch(os.getpid())
    guard.dismiss()
