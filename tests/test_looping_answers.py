"""Answers of a model that is caught in a loop, through the whole command: it ends, and sooner when it is told to."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swerl_eval.core.types import Rejection
from swerl_eval.demo.setup import SUITE
from swerl_eval.records.run_folder import Run
from tests.fake_server import FakeServer, serving

pytestmark = pytest.mark.slow

FILE = "inkwell/slugs.py"
LINE = "    def claim(self, title: str) -> str:"


def block(search: str, replace: str) -> str:
    return f"```python\n### {FILE}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```\n"


EQUAL = 23 * block(LINE, f"{LINE}\n{LINE}")
"""The same block again and again; each one doubled the lines before equal ones counted once."""
GROWING = "".join(block(LINE, f"{LINE}\n{LINE}\n# {number}") for number in range(23))
"""Blocks that differ and double the line each: 2**23 of it."""


def command(mirrors: Path, results: Path, server: FakeServer, samples: int) -> list[str]:
    return [
        str(Path(sys.executable).parent / "swerl-eval"), "repair", "--dataset", str(SUITE), "-i", "demo__inkwell-1",
        "--repositories", str(mirrors), "--model", "m", "--base-url", server.base_url, "--localization", "oracle",
        "--samples", str(samples), "--results", str(results), "--run-id", "r", "-c", "thinking=false",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "rejection"),
    [(EQUAL, Rejection.SYNTAX_ERROR), (GROWING, Rejection.TOO_LONG)],
    ids=["equal blocks", "growing blocks"],
)
def test_a_model_that_is_caught_in_a_loop_holds_up_no_run(
    mirrors: Path, tmp_path: Path, answer: str, rejection: Rejection
) -> None:
    with serving() as server:
        server.pieces = lambda _: (answer,)
        done = subprocess.run(command(mirrors, tmp_path, server, 3), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [each.rejection for each in Run(tmp_path / "r").candidates.values()] == [rejection] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gets_through_while_such_answers_are_read(
    mirrors: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with serving() as server:
        server.pieces = lambda seed: (f"{GROWING}\n{seed}",)  # all of them different, so that each one is read
        before = processor_seconds()
        process = subprocess.Popen(command(mirrors, tmp_path, server, 200), stderr=subprocess.PIPE, text=True)
        samples = tmp_path / "r" / "samples.jsonl"
        while not (samples.exists() and samples.stat().st_size):
            time.sleep(0.02)
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert said.rstrip().endswith("swerl-eval: interrupted; the same command finishes the run")
    assert processor_seconds() - before < 8  # 1.8; all answers take 20


def processor_seconds() -> float:
    """Of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
