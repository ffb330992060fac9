"""The first pulls of a new user: a real registry that lacks an image, limits, hangs, or is away for a while."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from swerl_eval.core.errors import ImageMissingError
from swerl_eval.demo.setup import SUITE
from swerl_eval.ports import SandboxSettings
from swerl_eval.progress import Progress
from swerl_eval.sandboxes.docker import image_check
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.image_check import ASKED_AT_MOST, ENOUGH_SECONDS
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.pulls import RetryPolicy
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from swerl_eval.sources.datasets import load_rows
from tests.fake_registry import FakeRegistry, Fault, Layer, layer, serving
from tests.real_registry import FaultyRegistry, free_port, real_registry_behind_faults, remove_images_of

pytestmark = [pytest.mark.docker, pytest.mark.anyio]
PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
QUICK = RetryPolicy(attempts=60, first=0.2, longest=1.0)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRegistry]:
    with real_registry_behind_faults(tmp_path_factory.mktemp("registry")) as opened:
        yield opened


@pytest.fixture
def registry(front: FaultyRegistry) -> Iterator[FaultyRegistry]:
    front.faults, front.requests = [], []
    yield front
    front.faults = []
    remove_images_of(front.port)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[DockerSandbox]:
    opened = DockerSandbox.open(SandboxSettings("tests-of-registries", cache=tmp_path / "cache", watcher=Progress()))
    yield opened
    await opened.aclose()


def small_layer() -> Layer:
    return layer({f"data-{os.urandom(8).hex()}": os.urandom(100_000)})


def mark() -> str:
    """For a name that no other test has."""
    return os.urandom(4).hex()


# -- the check before a run


async def test_one_image_that_its_registry_lacks_is_named_and_the_others_go_on(
    registry: FaultyRegistry, sandbox: DockerSandbox
) -> None:
    there = [registry.push(f"there-{mark()}", small_layer()) for _ in range(2)]
    absent = f"localhost:{registry.port}/absent:1"
    missing = await sandbox.check([absent, *there])
    assert list(missing) == [absent]
    assert "manifest unknown" in missing[absent]
    assert registry.count("/manifests/") >= 2  # nothing was pulled
    assert registry.count("/blobs/") <= 6


async def test_where_no_image_can_be_had_the_run_is_refused_with_a_remedy_that_fits(
    registry: FaultyRegistry, sandbox: DockerSandbox
) -> None:
    names = [f"localhost:{registry.port}/absent-{number}:1" for number in range(3)]
    with pytest.raises(ImageMissingError) as caught:
        await sandbox.check(names)
    assert re.fullmatch(
        rf"none of the 3 images is here or to be had, such as {names[0][:-3]}\d:1 \(.*manifest unknown.*\); "
        r"build it with `swerl-eval images build`, load it with `docker load`, or check its name and .* address",
        str(caught.value),
    )
    registry.faults = [Fault("/manifests/", status=401, code="UNAUTHORIZED")]
    with pytest.raises(ImageMissingError, match="where it is private, `docker login` to its registry"):
        await sandbox.check(names)


@pytest.mark.parametrize(("status", "code"), [(429, "TOOMANYREQUESTS"), (503, "UNAVAILABLE"), (522, "")])
async def test_a_registry_that_refuses_for_a_moment_is_asked_again(
    registry: FaultyRegistry, sandbox: DockerSandbox, status: int, code: str
) -> None:
    name = registry.push(f"limited-{mark()}", small_layer())
    registry.faults = [Fault("/manifests/", status=status, code=code, times=4)]
    assert await sandbox.check([name]) == {}
    assert registry.faults[0].times == 0


async def test_one_question_that_hangs_holds_up_nobody_and_ends_with_the_check(
    registry: FaultyRegistry, sandbox: DockerSandbox
) -> None:
    names = [registry.push(f"fine-{mark()}", small_layer()), f"localhost:{registry.port}/hanging:1"]
    held = threading.Event()
    registry.faults = [Fault("hanging/manifests", hold=held)]
    started = time.monotonic()
    assert await sandbox.check(names) == {}  # its job will see
    assert time.monotonic() - started < ENOUGH_SECONDS + 60
    held.set()


async def test_a_check_that_hangs_is_cancelled_at_once(
    registry: FaultyRegistry, sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_check, "MOST_SECONDS", 600.0)
    held = threading.Event()
    registry.faults = [Fault("/manifests/", hold=held)]
    started = time.monotonic()
    with anyio.move_on_after(2):
        await sandbox.check([f"localhost:{registry.port}/hanging:1"])
    assert time.monotonic() - started < 60
    held.set()


async def test_no_more_images_are_asked_for_than_tell_whether_the_run_has_a_chance(sandbox: DockerSandbox) -> None:
    with serving() as registry:
        there = [registry.add(f"n{number}-{mark()}", small_layer()) for number in range(ASKED_AT_MOST + 8)]
        assert await sandbox.check(there) == {}
        asked = {request.split("/")[2] for request in registry.requests}
        assert len(asked) == ASKED_AT_MOST
        absent = [f"localhost:{registry.port}/absent-{number}:1" for number in range(ASKED_AT_MOST + 1)]
        assert set(await sandbox.check([*absent, there[-1]])) == set(absent)


# -- pulls


class Noting(Progress):
    """Keeps all that was said of what is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def waiting(self, what: str, how: str) -> None:
        self.seen.append(how)
        super().waiting(what, how)


async def test_a_registry_that_is_away_for_ten_seconds_costs_no_image(registry: FaultyRegistry, tmp_path: Path) -> None:
    name = f"away-{mark()}"
    registry.push(name, small_layer())
    away = FaultyRegistry(port=free_port(), real_port=registry.real_port)
    progress = Noting()
    images = Images(connect(), tmp_path, retry_policy=QUICK, watcher=progress)
    with ExitStack() as served:
        comes_back = threading.Timer(10, lambda: served.enter_context(serving(away)))
        comes_back.start()
        assert images.ensure(f"localhost:{away.port}/{name}:1").digest
        comes_back.join()
    remove_images_of(away.port)
    said = r"tried again at \d\d:\d\d:\d\d: pulling .*connection refused"
    assert [how for how in progress.seen if re.match(said, how)]
    assert progress.waits == {}


async def test_a_registry_that_says_when_it_is_to_be_asked_again_is_not_asked_before(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    name = registry.push(f"progress-{mark()}", small_layer())
    registry.faults = [
        Fault("/manifests/", status=429, code="TOOMANYREQUESTS", message="retry-after: 4s", retry_after=4, times=2)
    ]
    progress = Noting()
    images = Images(connect(), tmp_path, retry_policy=QUICK, watcher=progress)
    started = time.monotonic()
    assert images.ensure(name).digest
    assert 4 <= time.monotonic() - started < 120
    assert [how for how in progress.seen if re.fullmatch(r"rate limited until \d\d:\d\d:\d\d", how)]


async def test_a_pull_tells_how_much_of_it_has_come(registry: FaultyRegistry, tmp_path: Path) -> None:
    big = layer({"data": os.urandom(5_000_000)})
    name = registry.push(f"big-{mark()}", big)
    progress = Noting()
    Images(connect(), tmp_path, watcher=progress).ensure(name)
    seen = progress.seen
    assert seen[:2] == ["waiting for other pulls", "pulling"]
    assert seen[-1] == ""
    assert seen[-2] == "pulling, 5.0 of 5.0 MB"


# -- the commands


def write_rows(file: Path, images: Sequence[str]) -> list[str]:
    """A dataset of the bundled suite's first rows with these images; returns the ids."""
    rows = [{**row, "image": image} for row, image in zip(load_rows(str(SUITE), None), images, strict=False)]
    file.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    return [row["instance_id"] for row in rows]


# no step of the end has a limit of its own: what waits for one does not end
ENDLESS = """
from swerl_eval import shutdown
shutdown.CLOSE_SECONDS, shutdown.exit_soon.__defaults__ = 600.0, (600.0,)
from swerl_eval.cli.app import main
main()
"""


def interrupted(words: list[str], registry: FakeRegistry, path: str) -> tuple[int, str]:
    """Send a SIGINT once the registry was asked; exit code and output."""
    command = [sys.executable, "-c", ENDLESS, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 120
        while not any(re.search(path, request) for request in registry.requests):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.mark.parametrize("command", ["pull", "evaluate"])
def test_an_interrupt_ends_a_command_whose_registry_hangs_at_once(
    registry: FaultyRegistry, tmp_path: Path, command: str
) -> None:
    held = threading.Event()
    registry.faults = [Fault("/manifests/", hold=held)]
    # names of its own: the engine may still ask for what the other command wanted
    name = f"hanging-{command}"
    write_rows(tmp_path / "rows.jsonl", [f"localhost:{registry.port}/{name}-{number}:1" for number in range(3)])
    words = {
        "pull": ["images", "pull"],
        "evaluate": ["evaluate", "--predictions", "gold", "--results", str(tmp_path), "--run-id", "run"],
    }[command]
    code, output = interrupted([*words, "--dataset", str(tmp_path / "rows.jsonl")], registry, name)
    held.set()
    assert (code, output.splitlines()[-1]) == (130, "swerl-eval: interrupted; the same command finishes the run")


@pytest.mark.usefixtures("demo_images")
def test_a_run_whose_registry_lacks_one_image_says_so_at_its_start_and_carries_out_the_others(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    first = str(next(iter(load_rows(str(SUITE), None)))["image"])
    here, absent = (f"localhost:{registry.port}/{name}:1" for name in ("here", "absent"))
    connect().api.tag(first, here.removesuffix(":1"), "1")
    names = write_rows(tmp_path / "rows.jsonl", [here, absent])
    command = [PROGRAM, "evaluate", "--predictions", "gold", "--results", str(tmp_path), "--run-id", "run"]
    command += ["--dataset", str(tmp_path / "rows.jsonl"), "-c", "strict=off", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    line = rf"1 of 2 images are neither here nor in their registry; their instances will be infra_error: {absent} \("
    assert re.search(line, done.stderr)
    report = json.loads((tmp_path / "run" / "report.json").read_bytes())
    assert {row["instance_id"]: row["verdict"] for row in report["instances"]} == dict(
        zip(names, ("resolved", "infra_error"), strict=True)
    )


def test_the_state_of_images_is_a_line_an_image_in_a_pipe(registry: FaultyRegistry, tmp_path: Path) -> None:
    there = registry.push(f"{'long-' * 20}{mark()}", small_layer())
    absent = f"localhost:{registry.port}/{'longer-' * 20}:1".replace("-:", ":")
    connect().images.pull(there)
    write_rows(tmp_path / "rows.jsonl", [there, absent])
    command = [PROGRAM, "images", "check", "--dataset", str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert (done.returncode, lines[0]) == (1, ["image", "here", "own MB", "shared MB", "from", "last used"])
    rows = {line[0]: line[1:] for line in lines[1:3]}
    assert rows == {there: ["yes", "0.1", "0.0", "elsewhere", ""], absent: ["no", "", "", "", ""]}
