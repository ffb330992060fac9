"""Servers that we start ourselves: real processes, each with a worker of its own, started and killed for real."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import Launch, SamplerSettings, ignore
from swerl_eval.samplers.openai import launch as launch_module
from swerl_eval.samplers.openai.sampler import OpenAISampler

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests" / "fake_server.py"
SERVE = shlex.join([sys.executable, str(FAKE), "--port", "{port}"])


class Bench:
    """A sampler with servers of its own, and what is known of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.logs = folder / "logs"
        self.said: list[str] = []

    def open(self, command: str, copies: int = 1, **more: Any) -> OpenAISampler:
        launch = Launch(command, self.logs, copies, **more)
        return OpenAISampler.open(SamplerSettings(model="m", launch=launch, notify=self.said.append))

    def serve(self, *options: str, notes: str = "0") -> str:
        return f"{SERVE} --notes {shlex.quote(str(self.notes))}/{notes} {shlex.join(options)}"

    def lives(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted(self.notes.glob("*/life-*.json"))]

    def pids(self) -> list[int]:
        return [pid for life in self.lives() for pid in life["pids"]]

    def asked(self) -> Counter[tuple[int, int]]:
        lines = [line for file in self.notes.glob("*/requests-*.jsonl") for line in file.read_text().splitlines()]
        return Counter((json.loads(line)["seed"], json.loads(line)["n"]) for line in lines)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # servers of our own are never reached through a proxy
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    bench = Bench(tmp_path)
    yield bench
    for pid in bench.pids():
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
async def opened(bench: Bench) -> AsyncIterator[Callable[..., OpenAISampler]]:
    """Opens samplers, which are closed at the end; then none of their processes is left."""
    samplers: list[OpenAISampler] = []

    def open_one(command: str, copies: int = 1, **more: Any) -> OpenAISampler:
        samplers.append(bench.open(command, copies, **more))
        return samplers[-1]

    yield open_one
    for sampler in samplers:
        await sampler.aclose()
    assert not [pid for pid in bench.pids() if alive(pid)]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # a zombie has ended; nobody has asked for its exit code


def all_gone(pids: list[int], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def asking(seed: int, n: int = 1) -> SampleRequest:
    return SampleRequest("a__b-1", "repair", (Message("user", "Fix it."),), tuple(range(n)), seed, 1.0, 1.0, 64)


async def sample(sampler: OpenAISampler, seed: int, n: int = 1) -> list[str]:
    completions: list[Completion] = await sampler.sample(asking(seed, n), ignore)
    return [completion.text for completion in completions]


async def test_it_starts_with_the_first_request_says_what_it_waits_for_and_is_stopped_at_the_end(bench: Bench) -> None:
    sampler = bench.open(bench.serve("--loading", "0.5"))
    await anyio.sleep(0.2)
    assert not bench.logs.exists(), "nothing is started before it is needed"
    assert await sample(sampler, 7, 2) == ["answer 7", "answer 8"]
    log = bench.logs / "server-0.log"
    assert bench.said[0] == f"server 0: waiting until it is ready (log: {log})"
    assert bench.said[1].startswith("server 0 is ready after ")
    assert "life 0 listens on " in log.read_text()
    pids = bench.pids()
    assert len(pids) == 2
    assert all(map(alive, pids))
    await sampler.aclose()
    assert not any(map(alive, pids)), "the server and its worker are gone when it is closed"


async def test_one_that_was_never_used_starts_nothing(bench: Bench) -> None:
    sampler = bench.open(bench.serve())
    await sampler.aclose()
    assert not bench.logs.exists()
    assert not bench.lives()


async def test_words_before_the_program_are_its_environment_and_placeholders_are_filled(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    command = f"FAKE_COLOUR='deep blue {{index}}' {bench.serve('--fail', '', notes='{index}')}"
    sampler = opened(command, copies=2, first=4)
    for seed in range(4):
        assert await sample(sampler, seed) == [f"answer {seed}"]
    with anyio.fail_after(120):
        while len(bench.lives()) < 2:
            await anyio.sleep(0.05)
    assert [life["colour"] for life in bench.lives()] == ["deep blue 4", "deep blue 5"]
    assert [Path(life["arguments"][3]).name for life in bench.lives()] == ["4", "5"]
    assert sorted(file.name for file in bench.logs.iterdir()) == ["server-4.log", "server-5.log"]


async def test_braces_of_other_kinds_and_the_shells_signs_stay_as_they_are(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    odd = '{"temperature": 0.5} $HOME; exit 1 `id` {} &&'
    sampler = opened(f"FAKE_COLOUR={shlex.quote(odd)} {bench.serve()}")
    await sample(sampler, 1)
    assert bench.lives()[0]["colour"] == odd


async def test_requests_are_served_as_soon_as_one_of_several_is_ready(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve("--loading", "{index}000", notes="{index}"), copies=2)
    with anyio.fail_after(120):
        assert await sample(sampler, 1) == ["answer 1"]
    assert not [line for line in bench.said if line.startswith("server 1 is ready")]


async def test_one_that_ends_before_it_is_ready_is_told_with_the_end_of_its_log_and_not_started_again(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve("--fail", "CUDA out of memory. Tried to allocate 20 GiB"))
    with anyio.fail_after(120), pytest.raises(SamplerError) as caught:
        await sample(sampler, 1)
    log = bench.logs / "server-0.log"
    assert str(caught.value).startswith(
        f"server 0: ended with exit code 1 before it was ready; the end of {log}:\nCUDA out of memory."
    )
    assert log.read_text().count("CUDA out of memory. Tried to allocate 20 GiB\n") == 1
    with pytest.raises(SamplerError, match="CUDA out of memory"):
        await sample(sampler, 2)


async def test_one_that_is_not_ready_in_time_is_stopped_and_told(
    bench: Bench, opened: Callable[..., OpenAISampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_ready(address: str) -> bool:
        until = time.monotonic() + 120
        while not bench.lives() and time.monotonic() < until:  # it is to have begun when its time is up
            time.sleep(0.05)
        return is_healthy(address)

    is_healthy = launch_module.is_healthy
    monkeypatch.setattr(launch_module, "is_healthy", never_ready)
    sampler = opened(bench.serve("--loading", "600"), timeout=1.5)
    with anyio.fail_after(120), pytest.raises(SamplerError, match=r"was not ready within 2 s \(-c launch_timeout\)"):
        await sample(sampler, 1)
    assert bench.pids()
    assert all_gone(bench.pids(), 0)


async def test_when_one_of_several_cannot_start_the_others_do_the_work(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    broken = bench.folder / "broken.py"
    broken.write_text(
        f"import runpy, sys\nsys.exit('GPU 1 is gone') if sys.argv[1] == '1' else None\n"
        f"del sys.argv[1]\nrunpy.run_path({str(FAKE)!r}, run_name='__main__')\n"
    )
    sampler = opened(f"{sys.executable} {broken} {{index}} --port {{port}} --notes {bench.notes}/{{index}}", copies=2)
    with anyio.fail_after(120):
        while not any(line.startswith("server 1 ended with exit code 1") for line in bench.said):
            assert (await sample(sampler, 1)) == ["answer 1"]
        assert (await sample(sampler, 2)) == ["answer 2"]


async def test_one_that_crashes_is_started_again_and_only_what_was_lost_is_asked_again(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve("--deaths", "2", "--die-at", "3"))
    with anyio.fail_after(120):
        for seed in range(0, 40, 4):
            assert await sample(sampler, seed, 4) == [f"answer {seed + k}" for k in range(4)]
    lost = {(8, 4): 2, (16, 4): 2}  # the third request of each of the first two lives
    assert bench.asked() == Counter({(seed, 4): 1 for seed in range(0, 40, 4)} | lost)
    assert [line for line in bench.said if "ended" in line] == ["server 0 ended with exit code 3"] * 2
    assert len(bench.lives()) == 3


async def test_while_one_is_started_again_the_others_take_its_requests(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve("--deaths", "1", "--die-at", "2", "--loading", "0.3", notes="{index}"), copies=2)
    answers: dict[int, list[str]] = {}

    async def one(seed: int) -> None:
        answers[seed] = await sample(sampler, seed, 2)

    with anyio.fail_after(120):
        for start in range(0, 80, 20):
            async with anyio.create_task_group() as group:
                for seed in range(start, start + 20, 2):
                    group.start_soon(one, seed)
            await anyio.sleep(0.2)
    assert answers == {seed: [f"answer {seed}", f"answer {seed + 1}"] for seed in range(0, 80, 2)}
    asked = {(seed, 2) for seed in range(0, 80, 2)}
    # of a request whose stream broke, an answer that was whole is not asked for again
    assert asked <= set(bench.asked()) <= asked | {(seed, 1) for seed in range(80)}
    assert bench.asked().total() > 40, "a server died with requests in it"


async def test_one_that_crashes_again_and_again_is_given_up_on_with_the_end_of_its_log(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve("--deaths", "100"))
    with anyio.fail_after(120), pytest.raises(SamplerError) as caught:
        await sample(sampler, 1)
    lives = launch_module.RESTARTS + 1
    assert len(bench.lives()) == lives
    assert str(caught.value).startswith(f"server 0: crashed {lives} times; at last it ended with exit code 3; the end")
    assert f"life {lives - 1} listens on" in str(caught.value)
    assert f"life {lives - 2} listens on" not in str(caught.value), "the end of this start's log alone"


async def test_a_server_killed_from_outside_takes_its_worker_along_and_comes_again(
    bench: Bench, opened: Callable[..., OpenAISampler]
) -> None:
    sampler = opened(bench.serve())
    await sample(sampler, 1)
    server, worker = bench.pids()
    os.kill(server, signal.SIGKILL)
    with anyio.fail_after(120):
        assert await sample(sampler, 2) == ["answer 2"]
    assert all_gone([server, worker], 0)
    assert [line for line in bench.said if "ended" in line] == ["server 0 ended with exit code 137"]


async def test_one_that_takes_no_notice_is_ended_by_force(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "GRACE", 1.0)
    monkeypatch.setattr(launch_module, "STOP_SECONDS", 300.0)
    sampler = bench.open(bench.serve("--stubborn"))
    await sample(sampler, 1)
    with anyio.fail_after(120):
        await sampler.aclose()
    assert not any(map(alive, bench.pids()))


UNREAPED = """
import ctypes, os, sys, time
from pathlib import Path
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.prctl(0x59616D61, -1, 0, 0, 0)  # PR_SET_PTRACER: any process may trace this one
server = os.getpid()
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    libc.ptrace(0x4206, server, None, None)  # PTRACE_SEIZE: nobody hears of its end before this tracer has
    os.close(write)
    until = time.monotonic() + 600
    while not Path(sys.argv[1] + ".told").exists() and time.monotonic() < until:
        time.sleep(0.1)
    os._exit(0)
os.close(write)
os.read(read, 1)
Path(sys.argv[1]).write_text(str(server))
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs ptrace")
async def test_one_that_does_not_even_end_when_killed_is_given_up_with_a_line_that_names_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "GRACE", 0.2)
    server = bench.folder / "server.py"
    server.write_text(UNREAPED)
    pid = bench.folder / "pid"
    sampler = bench.open(shlex.join([sys.executable, str(server), str(pid), "{port}"]))
    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(sample, sampler, 1)
            while not (pid.exists() and pid.read_text()):
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        await sampler.aclose()
    pid.with_name("pid.told").touch()
    assert bench.said[-1] == (
        f"server 0 is given up: process {pid.read_text()} does not end though it was killed: it hangs in the kernel"
    )


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is asked to end has more time than a test takes."""
    for name in ("GRACE", "STOP_SECONDS"):
        monkeypatch.setattr(launch_module, name, 300.0)


@pytest.mark.usefixtures("patience")
async def test_at_once_all_are_killed_without_being_asked(bench: Bench) -> None:
    sampler = bench.open(bench.serve("--stubborn", notes="{index}"), copies=2)
    with anyio.fail_after(120):
        while len(bench.pids()) < 4:
            await sample(sampler, 1)
        sampler.abort()
        assert all_gone(bench.pids())
        await sampler.aclose()


@pytest.mark.usefixtures("patience")
async def test_at_once_also_ends_the_wait_for_one_that_was_asked(bench: Bench) -> None:
    sampler = bench.open(bench.serve("--stubborn"))
    with anyio.fail_after(120):
        await sample(sampler, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(sampler.aclose)
            await anyio.sleep(0.5)
            assert alive(bench.pids()[0])
            sampler.abort()
    assert not any(map(alive, bench.pids()))


async def test_closing_while_it_is_starting_leaves_nothing(bench: Bench) -> None:
    sampler = bench.open(bench.serve("--loading", "600"))
    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(sample, sampler, 1)
            while not bench.lives():
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        await sampler.aclose()
    assert len(bench.pids()) == 2
    assert not any(map(alive, bench.pids()))


CLIENT = """
import sys, anyio
from pathlib import Path
from swerl_eval.shutdown import interruptible
from swerl_eval.core.types import Message, SampleRequest
from swerl_eval.ports import Launch, SamplerSettings, ignore
from swerl_eval.samplers.openai.sampler import OpenAISampler

async def work():
    sampler = OpenAISampler.open(SamplerSettings(model="m", launch=Launch(sys.argv[1], Path(sys.argv[2]))))
    try:
        await sampler.sample(SampleRequest("a__b-1", "repair", (Message("user", "x"),), (0,), 1, 1.0, 1.0, 8), print)
        print("ANSWERED", flush=True)
        await anyio.sleep(600)
    finally:
        with anyio.CancelScope(shield=True):
            await sampler.aclose()

anyio.run(interruptible, work)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["TERM", "INT", "KILL"])
def test_however_the_client_ends_no_server_is_left(number: signal.Signals, bench: Bench) -> None:
    command = [sys.executable, "-c", CLIENT, bench.serve(), str(bench.logs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        assert any(b"ANSWERED" in line for line in client.stdout)
        pids = bench.pids()
        assert all(map(alive, pids))
        client.send_signal(number)
        client.wait(120)
        # those that are asked to stop wait until all is stopped
        assert all_gone(pids, 60 if number is signal.SIGKILL else 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_when_client_and_guard_are_killed_at_once_the_server_ends_too(bench: Bench) -> None:
    command = [sys.executable, "-c", CLIENT, bench.serve(), str(bench.logs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        assert any(b"ANSWERED" in line for line in client.stdout)
        server, worker = bench.pids()
        guard = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        assert b"watchdog.py" in Path(f"/proc/{guard}/cmdline").read_bytes()
        os.kill(guard, signal.SIGKILL)
        client.kill()
        client.wait(120)
        assert all_gone([server])
        os.kill(worker, signal.SIGKILL)  # a real server's workers end with it


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("serve-it --port {port}", "there is no program 'serve-it' here"),
        ("python", "needs {port}, where the server takes the port to listen on"),
        ("A=1 B=2", "names no program"),
        ("", "names no program"),
        ("python 'x {port}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_is_told_before_anything_is_started(
    command: str, complaint: str, bench: Bench
) -> None:
    with pytest.raises(UsageError) as caught:
        bench.open(command)
    assert complaint in str(caught.value)


def test_the_models_name_stands_where_the_command_wants_it(tmp_path: Path) -> None:
    launch = Launch("A={model} python --model {model} --port {port} --gpu {index}", tmp_path)
    assert launch_module.split_command(launch, "/models/my model") == [
        "A=/models/my model", "python", "--model", "/models/my model", "--port", "{port}", "--gpu", "{index}",
    ]  # fmt: skip


@pytest.mark.parametrize(("health", "ready"), [(200, True), (503, False), (404, True), (401, False)])
async def test_a_server_is_ready_when_it_says_so_or_has_no_page_to_say_it(health: int, ready: bool) -> None:
    from tests.fake_server import serving

    with serving() as server:
        server.health = health
        assert launch_module.is_healthy(server.base_url.removesuffix("/v1")) is ready
