"""The contract of `ports.Sandbox`, over the table and over retries. A new sandbox needs an entry in `CASES`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from swerl_eval.core.errors import ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits, Machine
from swerl_eval.demo.setup import BASE_IMAGE
from swerl_eval.ports import Sandbox, SandboxSettings
from swerl_eval.registry import load
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sandboxes.capped_log import TAIL_BYTES
from swerl_eval.sandboxes.retrying import RetryingSandbox
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox
from tests.fake_registry import serving

RETRYING = "retrying"
"""Stands in no table: it is put around whichever sandbox is configured."""
OWNER = "contract-of-sandboxes"
FLOOD = 5_000_000
SCRIPTS = {
    "fails": "exec 2>&1; echo out; echo err >&2; echo again; exit 7",
    "reads": "cat /input/file; printf '%s\n' \"$SWERL_EVAL_WORD\"",
    "waits": "echo begun; sleep 1",
    "hangs": "trap '' TERM INT; echo begun; while :; do sleep 1; done",
    "takes memory": "python3 -c 'print(len(bytearray(10**9)))'",
    "floods": f"echo first; head -c {FLOOD} /dev/zero | tr '\\0' x; echo; echo last",
    "is killed": "echo begun; sleep 600",
}
"""What the jobs of this suite do, by their names."""


def scripted_reply(job: Job) -> Reply:
    """What a real sandbox would do with a job of this suite."""
    if job.name == "is killed":
        message = "the container was killed by somebody else"
        raise SandboxError(message)
    words = "".join(value + "\n" for _, value in job.environment)
    replies = {
        "fails": Reply(b"out\nerr\nagain\n", exit_code=7),
        "reads": Reply(b"".join(content for _, content in job.files) + words.encode()),
        "waits": Reply(b"begun\n", seconds=0.1),
        "hangs": Reply(b"begun\n", seconds=600.0),
        "takes memory": Reply(exit_code=137, out_of_memory=True),
        "floods": Reply(b"first\n" + b"x" * FLOOD + b"\nlast\n"),
    }
    return replies[job.name]


@dataclass
class RunningJobs:
    """A watcher that knows which jobs run."""

    names: set[str] = field(default_factory=set)
    began: int = 0

    def waiting(self, what: str, how: str) -> None:
        """Not looked at."""

    def running(self, container: str, *, now: bool) -> None:
        if now:
            self.began += 1
            self.names.add(container)
        else:
            self.names.discard(container)


@dataclass(frozen=True)
class Case:
    """What the suite needs to know of a sandbox."""

    open: Callable[[SandboxSettings], Sandbox]
    image: str
    """One that it has, with bash and Python."""
    missing_image: str = ""
    """One that cannot be had; empty where every image can."""
    leftovers: Callable[[], Sequence[str]] = tuple
    """What is left of the jobs of this process, after the sandbox was closed."""
    kill_jobs: Callable[[], object] = tuple
    """Kill the running jobs as somebody else would."""


def _scripted(_: pytest.FixtureRequest) -> Iterator[Case]:
    yield Case(lambda settings: ScriptedSandbox(scripted_reply, settings.watcher), "any/image:1")


def _retrying(_: pytest.FixtureRequest) -> Iterator[Case]:
    def opened(settings: SandboxSettings) -> Sandbox:
        return RetryingSandbox(ScriptedSandbox(scripted_reply, settings.watcher), first_pause=0.01)

    yield Case(opened, "any/image:1")


def _docker(request: pytest.FixtureRequest) -> Iterator[Case]:
    from swerl_eval.sandboxes.docker.engine import connect
    from swerl_eval.sandboxes.docker.leftovers import labels
    from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

    request.getfixturevalue("demo_images")
    client = connect()
    own = {"label": [f"{name}={value}" for name, value in labels(OWNER).items()]}

    def containers() -> list[str]:
        return [container["Id"] for container in client.api.containers(all=True, filters=own)]

    def kill() -> None:
        for container in containers():
            client.api.kill(container)

    with serving() as registry:
        yield Case(DockerSandbox.open, BASE_IMAGE, f"localhost:{registry.port}/there-is-none:1", containers, kill)
    client.close()


def _ray(request: pytest.FixtureRequest) -> Iterator[Case]:
    """On a cluster of this machine alone."""
    from swerl_eval.sandboxes.docker.engine import connect
    from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL
    from swerl_eval.sandboxes.ray.sandbox import RaySandbox

    request.getfixturevalue("demo_images")
    request.getfixturevalue("ray_cluster")
    client = connect()

    def containers() -> list[str]:
        own = {"label": f"{OWNER_LABEL}={OWNER}"}  # their processes are those of nodes
        return [container["Id"] for container in client.api.containers(all=True, filters=own)]

    def kill() -> None:
        for container in containers():
            client.api.kill(container)

    with serving() as registry:
        yield Case(RaySandbox.open, BASE_IMAGE, f"localhost:{registry.port}/there-is-none:1", containers, kill)
    client.close()


CASES: dict[str, Callable[[pytest.FixtureRequest], Iterator[Case]]] = {
    "docker": _docker,
    "ray": _ray,
    "scripted": _scripted,
    RETRYING: _retrying,
}
NEEDS = {"docker": [pytest.mark.docker], "ray": [pytest.mark.docker, pytest.mark.ray]}
"""Marks of sandboxes that need something of the machine."""
NAMES = [pytest.param(name, marks=NEEDS.get(name, [])) for name in (*SANDBOXES, RETRYING)]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """One cluster for all sandboxes: a start takes seconds."""
    from swerl_eval.sandboxes.ray.cluster import Cluster

    cluster = Cluster("")
    yield
    cluster.close()


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """The sandbox under contract."""
    make = CASES.get(request.param)
    if make is None:
        pytest.fail(
            f"the sandbox {request.param!r} of the table is not under contract: add a function to CASES in {__file__} "
            "that says how it is opened, which image it has, and how its jobs are killed from outside"
        )
    yield from make(request)


@pytest.fixture
def jobs() -> RunningJobs:
    return RunningJobs()


@pytest.fixture
def settings(tmp_path: Path, jobs: RunningJobs) -> SandboxSettings:
    return SandboxSettings(OWNER, workers=4, cache=tmp_path / "cache", watcher=jobs)


@pytest.fixture
async def sandbox(case: Case, settings: SandboxSettings, jobs: RunningJobs) -> AsyncIterator[Sandbox]:
    """The sandbox, of whose jobs nothing is left after the test."""
    opened = case.open(settings)
    yield opened
    await opened.aclose()
    assert jobs.names == set()
    assert list(case.leftovers()) == []


@pytest.fixture
def make_job(case: Case, tmp_path: Path) -> Callable[..., Job]:
    """Makes the job of a name in `SCRIPTS`."""

    def make(name: str, **changes: Any) -> Job:
        values: dict[str, Any] = {
            "name": name,
            "image": case.image,
            "script": SCRIPTS[name],
            "files": (),
            "limits": Limits(memory=256 * 2**20, cpus=1.0, pids=64, network="none"),
            "timeout": 120.0,
            "log": str(tmp_path / "logs" / "log"),
        }
        return Job(**{**values, **changes})

    return make


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


async def wait_for_a_running_job(jobs: RunningJobs) -> None:
    with anyio.fail_after(240):
        while not jobs.names:
            await anyio.sleep(0.02)


async def test_a_script_that_fails_is_a_result_with_its_output_in_the_log(
    sandbox: Sandbox, case: Case, make_job: Callable[..., Job]
) -> None:
    job = make_job("fails")
    result = await sandbox.run(job)
    assert result == JobResult(7, False, False, result.seconds, job.log, image_id=result.image_id)
    assert Path(job.log).read_bytes() == b"out\nerr\nagain\n"
    assert result.seconds >= 0.0
    assert result.image_id == await sandbox.image_id(case.image)


async def test_files_and_variables_are_in_place(sandbox: Sandbox, make_job: Callable[..., Job]) -> None:
    content = bytes(range(256)) + "é\n".encode()
    job = make_job("reads", files=(("/input/file", content),), environment=(("SWERL_EVAL_WORD", "a 'b' $c"),))
    assert (await sandbox.run(job)).exit_code == 0
    assert Path(job.log).read_bytes() == content + b"a 'b' $c\n"


async def test_a_log_is_written_anew(sandbox: Sandbox, make_job: Callable[..., Job]) -> None:
    job = make_job("fails")
    Path(job.log).parent.mkdir()
    Path(job.log).write_bytes(b"of an earlier try\n" * 1000)
    await sandbox.run(job)
    assert Path(job.log).read_bytes() == b"out\nerr\nagain\n"


async def test_a_flood_of_output_is_a_result_and_its_log_is_bounded(
    sandbox: Sandbox, make_job: Callable[..., Job]
) -> None:
    bound = 2 * TAIL_BYTES
    job = make_job("floods", max_log_bytes=bound)
    result = await sandbox.run(job)
    content = Path(job.log).read_bytes()
    assert (result.exit_code, result.log_truncated) == (0, True)
    assert content.startswith(b"first\nxxx")
    assert content.endswith(b"xxx\nlast\n")
    assert len(content) < bound + 100


async def test_a_long_log_within_its_bound_is_there_as_a_whole(sandbox: Sandbox, make_job: Callable[..., Job]) -> None:
    job = make_job("floods")
    assert not (await sandbox.run(job)).log_truncated
    assert Path(job.log).read_bytes() == b"first\n" + b"x" * FLOOD + b"\nlast\n"


@pytest.mark.slow
async def test_a_script_that_does_not_end_is_killed_at_its_limit_and_that_is_a_result(
    sandbox: Sandbox, make_job: Callable[..., Job]
) -> None:
    job = make_job("hangs", timeout=5.0)
    with within(120):
        result = await sandbox.run(job)
    assert result.timed_out
    assert not result.out_of_memory
    assert 5.0 <= result.seconds < 60.0
    assert Path(job.log).read_bytes() == b"begun\n"


async def test_a_script_that_takes_too_much_memory_is_a_result(sandbox: Sandbox, make_job: Callable[..., Job]) -> None:
    result = await sandbox.run(make_job("takes memory"))
    assert (result.exit_code, result.timed_out, result.out_of_memory) == (137, False, True)


async def test_a_job_that_somebody_else_kills_is_an_error(
    sandbox: Sandbox, case: Case, jobs: RunningJobs, make_job: Callable[..., Job]
) -> None:
    async def kill() -> None:
        await wait_for_a_running_job(jobs)
        await anyio.to_thread.run_sync(case.kill_jobs)

    async with anyio.create_task_group() as group:
        group.start_soon(kill)
        with pytest.raises(SandboxError, match="somebody else"):
            await sandbox.run(make_job("is killed"))
        group.cancel_scope.cancel()


async def test_cancelling_ends_a_job_soon_and_leaves_nothing(
    sandbox: Sandbox, case: Case, jobs: RunningJobs, make_job: Callable[..., Job]
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(sandbox.run, make_job("hangs"))
        await wait_for_a_running_job(jobs)
        with within(60):
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                while jobs.names:
                    await anyio.sleep(0.02)
    # that nothing is left is seen to by the fixture


async def test_an_abort_ends_what_runs_within_seconds(
    sandbox: Sandbox, case: Case, jobs: RunningJobs, make_job: Callable[..., Job]
) -> None:
    if case.leftovers is tuple:
        return  # nothing of it runs

    async def run() -> None:
        with pytest.raises(SandboxError):
            await sandbox.run(make_job("hangs"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await wait_for_a_running_job(jobs)
        with within(60):
            await anyio.to_thread.run_sync(getattr(sandbox, "abort"))  # noqa: B009 - the seam does not demand it
        with anyio.fail_after(240):
            while case.leftovers():
                await anyio.sleep(0.1)


async def test_jobs_run_at_the_same_time_each_with_its_log(
    sandbox: Sandbox, jobs: RunningJobs, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    logs = [str(tmp_path / f"log{number}") for number in range(3)]
    async with anyio.create_task_group() as group:
        for log in logs:
            group.start_soon(sandbox.run, make_job("waits", log=log))
    assert [Path(log).read_bytes() for log in logs] == [b"begun\n"] * 3
    assert jobs.began == 3


async def test_an_image_that_cannot_be_had_is_an_error_that_names_it(
    sandbox: Sandbox, case: Case, make_job: Callable[..., Job]
) -> None:
    if not case.missing_image:
        assert await sandbox.image_id("there/is-none:1")
        return
    with pytest.raises(ImageMissingError, match=case.missing_image):
        await sandbox.image_id(case.missing_image)
    with pytest.raises(ImageMissingError, match=case.missing_image):
        await sandbox.run(make_job("fails", image=case.missing_image))


async def test_a_check_names_the_images_that_cannot_be_had_and_the_reason(sandbox: Sandbox, case: Case) -> None:
    assert await sandbox.check([]) == {}
    assert await sandbox.check([case.image]) == {}
    if case.missing_image:
        missing = await sandbox.check([case.missing_image, case.image])
        assert set(missing) == {case.missing_image}
        assert missing[case.missing_image]
        with pytest.raises(SandboxError, match=case.missing_image):
            await sandbox.check([case.missing_image])


async def test_a_prefetch_returns_at_once_and_disturbs_no_job(
    sandbox: Sandbox, case: Case, make_job: Callable[..., Job]
) -> None:
    with within(10):
        sandbox.prefetch([case.missing_image or case.image, case.image])
    assert (await sandbox.run(make_job("fails"))).exit_code == 7


async def test_the_machines_and_their_pressure_are_told(sandbox: Sandbox) -> None:
    machines = sandbox.machines()
    assert machines
    for machine in machines:
        assert isinstance(machine, Machine)
        assert machine.engine
        assert machine.architecture
        assert machine.cpus > 0
    pressure = sandbox.pressure()
    assert pressure is None or pressure >= 0.0


async def test_without_a_job_an_abort_and_the_closing_do_nothing(case: Case, settings: SandboxSettings) -> None:
    opened = case.open(settings)
    with within(60):
        getattr(opened, "abort", lambda: None)()
        await opened.aclose()
    assert list(case.leftovers()) == []


@pytest.mark.parametrize("name", SANDBOXES)
async def test_every_entry_of_the_table_is_a_class_with_the_methods_of_the_seam(name: str) -> None:
    kind = load("sandbox", name, SANDBOXES)
    assert isinstance(kind, type)
    seam = [
        method for method, member in vars(Sandbox).items() if callable(getattr(Sandbox, method)) and method[0] != "_"
    ]
    assert {"open", "run", "aclose"} <= set(seam)
    for method in seam:
        assert callable(getattr(kind, method)), method


async def test_every_sandbox_of_the_table_is_under_contract() -> None:
    assert set(CASES) == {*SANDBOXES, RETRYING}, "CASES says how a sandbox is opened and what it has"
