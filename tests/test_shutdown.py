"""How a command ends: real processes, real signals."""

from __future__ import annotations

import importlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SamplerError
from swerl_eval.core.types import Completion, Job, JobResult, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, SandboxSettings, ignore
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import ScriptedSandbox
from swerl_eval.shutdown import FORCED, IN_GOOD_ORDER, SAME_REQUEST_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
HERE = "tests.test_shutdown"
CLOSED: list[str] = []


class Failing:
    """A sampler that has no answer, and cannot be closed either."""

    recorded = False

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    @classmethod
    def open(cls, settings: SamplerSettings) -> Failing:
        return cls(answers=settings.model == "answering")

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        del on_tokens, on_answer
        if not self._answers:
            message = "the model is gone"
            raise SamplerError(message)
        return [Completion("no file", "stop")] * request.n

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def aclose(self) -> None:
        CLOSED.append("sampler")
        message = "the sampler cannot be closed"
        raise RuntimeError(message)


class Closing(ScriptedSandbox):
    """A sandbox that cannot be closed either."""

    @classmethod
    def open(cls, settings: SandboxSettings) -> Closing:
        del settings
        return cls()

    async def run(self, job: Job) -> JobResult:
        raise AssertionError(job.name)

    async def aclose(self) -> None:
        CLOSED.append("sandbox")
        message = "the sandbox cannot be closed"
        raise RuntimeError(message)


def closed() -> list[str]:
    """What the parts have noted, in the module that the run imports by its name."""
    noted: list[str] = importlib.import_module(HERE).CLOSED
    return noted


def failing(config: RunConfig, model: str) -> Runner:
    closed().clear()
    parts = {"sampler": f"{HERE}:Failing", "sandbox": f"{HERE}:Closing", "test_model": model}
    return Runner(config.model_copy(update={**parts, "model": model, "limit": 2}))


def test_every_part_is_closed_and_the_report_written_though_closing_fails(demo_config: RunConfig) -> None:
    runner = failing(demo_config, "answering")
    with runner.open_run() as run, pytest.raises(RuntimeError, match=r"^the sampler cannot be closed$"):
        runner.execute(run)
    assert closed() == ["sampler", "sampler", "sandbox"]
    report = json.loads((run.folder / "report.json").read_bytes())
    assert report["total"] == 2
    assert runner.progress.notices == [
        "while closing: the sampler cannot be closed",
        "while closing: the sandbox cannot be closed",
    ]


def test_what_ended_a_run_is_told_and_not_what_went_wrong_after_it(demo_config: RunConfig) -> None:
    runner = failing(demo_config, "mute")
    with runner.open_run() as run, pytest.raises(SamplerError, match=r"^the model is gone$"):
        runner.execute(run)
    assert closed() == ["sampler", "sampler", "sandbox"]
    assert (run.folder / "report.json").exists()
    assert len(runner.progress.notices) == 3


PROGRAM = """
import os, sys, threading, time
import anyio, anyio.to_thread
from swerl_eval import shutdown
from swerl_eval.shutdown import at_once, exit_soon
from swerl_eval.core.errors import InterruptedRunError
from swerl_eval.shutdown import interruptible

def note(text):
    os.write(1, (text + "\\n").encode())

async def work():
    try:
        await BODY
    finally:
        note("LEAVING")

async def asleep(seconds):
    note("BEGUN")
    await anyio.sleep(seconds)

async def shielded(seconds):
    with anyio.CancelScope(shield=True):
        await asleep(seconds)

async def shielded_until_the_input_ends():
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(lambda: (note("BEGUN"), sys.stdin.read()))

async def blocked(seconds):
    rest(seconds)

def rest(seconds):
    note("BEGUN")
    time.sleep(seconds)

def hang():
    note("HANGING")
    time.sleep(600)

SETTING
try:
    with at_once(hang), at_once(lambda: note("CONTAINERS")), at_once(lambda: 1 / 0):
        anyio.run(interruptible, work)
except InterruptedRunError as error:
    note(str(error))
    EXIT
    sys.exit(130)
"""


@contextmanager
def started(body: str, ending: str = "pass", setting: str = "") -> Iterator[subprocess.Popen[str]]:
    program = PROGRAM.replace("BODY", body).replace("EXIT", ending).replace("SETTING", setting)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "BEGUN\n"
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, list[str], list[str]]:
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output.splitlines(), errors.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_ends_the_work_in_good_order_and_says_so(number: signal.Signals) -> None:
    with started("asleep(600)") as process:
        process.send_signal(number)
        code, output, errors = ended(process)
    assert code == 130
    assert output == ["LEAVING", "interrupted; the same command finishes the run"]
    assert errors == [f"swerl-eval: {IN_GOOD_ORDER}"]


@pytest.mark.parametrize(
    "body",
    ["shielded(600)", "blocked(600)", "anyio.to_thread.run_sync(rest, 600)"],
    ids=["a part that takes its time", "an event loop that stands still", "a thread that nobody can end"],
)
def test_a_second_signal_ends_the_process_at_once_whatever_it_does(body: str) -> None:
    with started(body) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline() == f"swerl-eval: {IN_GOOD_ORDER}\n"
        time.sleep(2 * SAME_REQUEST_SECONDS)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        code, output, errors = ended(process)
    assert code == 130
    assert sorted(set(output) - {"LEAVING"}) == ["CONTAINERS", "HANGING"]
    assert errors == [f"swerl-eval: {FORCED}"]


def test_a_signal_that_a_launcher_hands_on_once_more_is_one() -> None:
    with started("shielded_until_the_input_ends()", setting="shutdown.SAME_REQUEST_SECONDS = 600.0") as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        code, output, errors = ended(process)
    assert (code, output) == (0, ["LEAVING"]), "the work came to its end"
    assert errors == [f"swerl-eval: {IN_GOOD_ORDER}"]


def test_a_thread_that_was_given_up_does_not_hold_up_the_end() -> None:
    body = "anyio.to_thread.run_sync(rest, 600, abandon_on_cancel=True)"
    with started(body, "exit_soon(130, 0.5)") as process:
        process.send_signal(signal.SIGINT)
        code, output, _ = ended(process)
    assert (code, output[-1]) == (130, "interrupted; the same command finishes the run")


def test_signals_mean_what_they_meant_before_once_the_work_has_ended() -> None:
    program = (
        "import anyio, signal\nfrom swerl_eval.shutdown import interruptible\n"
        "before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]\n"
        "anyio.run(interruptible, anyio.sleep, 0)\n"
        "assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


SHOWING = """
import sys, anyio
from pathlib import Path
from swerl_eval import shutdown
from swerl_eval.cli.display import Display
from swerl_eval.progress import Progress
from swerl_eval.shutdown import interruptible
import functools

async def work():
    Path(sys.argv[1], "begun").touch()
    with anyio.CancelScope(shield=True):
        await anyio.sleep(600)

def notify(notice):
    progress.notify(notice)
    Path(sys.argv[1], "told").touch()

shutdown.AT_ONCE_SECONDS = 60.0
progress = Progress(total=3)
with Display(progress, ("localize",), "my-run"):
    anyio.run(functools.partial(interruptible, work, notify=notify))
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


@pytest.mark.parametrize("terminal", [True, False], ids=["on a terminal", "in plain lines"])
def test_an_end_at_once_gives_the_terminal_back_and_says_what_it_was(terminal: bool, tmp_path: Path) -> None:
    master, slave = pty.openpty() if terminal else os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", SHOWING, str(tmp_path)]
    with subprocess.Popen(command, stderr=slave, stdout=slave, env=environment) as process:
        os.close(slave)
        wait_for(tmp_path / "begun")
        process.send_signal(signal.SIGINT)
        wait_for(tmp_path / "told")
        time.sleep(2 * SAME_REQUEST_SECONDS)
        process.send_signal(signal.SIGINT)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # a terminal that nobody writes to any more
            pass
        assert process.wait(120) == 130
    os.close(master)
    text = shown.decode()
    assert IN_GOOD_ORDER in text
    assert text.rstrip().endswith(FORCED)
    if terminal:
        assert text.count("\x1b[?25l") == 1
        assert "\x1b[?25h" in text.partition("\x1b[?25l")[2], "the cursor is shown again"
