"""The Docker sandbox against a real engine."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import docker.errors
import pytest

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, Limits
from swerl_eval.demo.setup import BASE_IMAGE
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.capped_log import TAIL_BYTES
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL, PROCESS_LABEL, labels, process_mark
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

pytestmark = [pytest.mark.docker, pytest.mark.anyio, pytest.mark.usefixtures("demo_images")]
OWNER = "tests-of-the-sandbox"
LIMITS = Limits(memory=256 * 2**20, cpus=1.0, pids=128, network="none")


@pytest.fixture
async def sandbox() -> AsyncIterator[DockerSandbox]:
    opened = DockerSandbox.open(SandboxSettings(OWNER, workers=4))
    yield opened
    await opened.aclose()
    assert containers() == []


def described() -> list[dict[str, Any]]:
    """This process's: other tests of this sandbox may be at work on this engine."""
    mine = [f"{name}={value}" for name, value in labels(OWNER).items()]
    descriptions: list[dict[str, Any]] = connect().api.containers(all=True, filters={"label": mine})
    return descriptions


def containers() -> list[str]:
    return [container["Id"] for container in described()]


def job(tmp_path: Path, script: str, **changes: object) -> Job:
    values: dict[str, object] = {
        "name": "test",
        "image": BASE_IMAGE,
        "script": script,
        "files": (),
        "limits": LIMITS,
        "timeout": 60.0,
        "log": str(tmp_path / "log"),
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


async def test_both_streams_are_logged_in_their_order(sandbox: DockerSandbox, tmp_path: Path) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 7"
    result = await sandbox.run(job(tmp_path, f"exec 2>&1; {script}"))
    assert Path(result.log).read_text() == "".join(f"out {i}\nerr {i}\n" for i in (1, 2, 3))
    assert (result.exit_code, result.timed_out, result.out_of_memory, result.log_truncated) == (7, False, False, False)
    assert result.image_id.startswith("sha256:")


async def test_files_are_in_place_before_the_start(sandbox: DockerSandbox, tmp_path: Path) -> None:
    files = (("/tmp/a b/é.bin", bytes(range(256))),)
    result = await sandbox.run(job(tmp_path, "sha256sum < '/tmp/a b/é.bin'", files=files))
    assert Path(result.log).read_text() == "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880  -\n"


async def test_a_script_that_never_ends_is_killed_at_its_limit(sandbox: DockerSandbox, tmp_path: Path) -> None:
    script = "trap '' TERM INT; echo begun; while :; do sleep 1; done"
    started = int(time.time())
    result = await sandbox.run(job(tmp_path, script, timeout=5.0))
    assert result.timed_out
    assert Path(result.log).read_text() == "begun\n"
    mine = [f"{name}={value}" for name, value in labels(OWNER).items()]
    killed = {"type": "container", "event": "kill", "label": mine}
    events = connect().api.events(since=started, until=int(time.time()) + 1, filters=killed, decode=True)
    assert [event["Actor"]["Attributes"]["signal"] for event in events] == ["9"]  # nobody waits for a polite end


async def test_memory_beyond_the_limit_is_a_result(sandbox: DockerSandbox, tmp_path: Path) -> None:
    result = await sandbox.run(job(tmp_path, "python3 -c 'x = bytearray(10**9); print(len(x))'"))
    assert result.out_of_memory
    assert result.exit_code == 137


async def test_a_fork_bomb_ends_at_the_process_limit(sandbox: DockerSandbox, tmp_path: Path) -> None:
    program = """
import os, time
for forked in range(1000):
    try:
        if os.fork() == 0:
            time.sleep(600)
    except BlockingIOError:
        break
print(forked, flush=True)
os._exit(0)
"""
    result = await sandbox.run(job(tmp_path, "python3 /bomb.py", files=(("/bomb.py", program.encode()),)))
    assert result.exit_code == 0
    assert 100 < int(Path(result.log).read_text()) < 128


async def test_a_process_left_in_the_background_holds_nothing_up(sandbox: DockerSandbox, tmp_path: Path) -> None:
    result = await sandbox.run(job(tmp_path, "sleep 600 & setsid sleep 600 & echo done", timeout=300.0))
    assert not result.timed_out
    assert Path(result.log).read_text() == "done\n"


async def test_there_is_no_network_by_policy(sandbox: DockerSandbox, tmp_path: Path) -> None:
    result = await sandbox.run(job(tmp_path, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '"))
    assert Path(result.log).read_text() == "lo\n"


async def test_privileges_cannot_be_gained(sandbox: DockerSandbox, tmp_path: Path) -> None:
    result = await sandbox.run(job(tmp_path, "grep NoNewPrivs /proc/self/status; ls /var/run/docker.sock"))
    log = Path(result.log).read_text()
    assert "NoNewPrivs:\t1" in log
    assert "No such file" in log


async def test_a_flood_of_output_keeps_its_beginning_and_its_end(sandbox: DockerSandbox, tmp_path: Path) -> None:
    cap = 4 * 2**20
    script = "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last"
    result = await sandbox.run(job(tmp_path, script, max_log_bytes=cap))
    content = Path(result.log).read_bytes()
    assert result.log_truncated
    assert content.startswith(b"first\nxxx")
    assert content.endswith(b"xxx\nlast\n")
    assert cap - TAIL_BYTES < len(content) < cap + 100
    note = re.search(rb"\n\[swerl-eval: (\d+) bytes of output left out here\]\n", content)
    assert note is not None
    assert len(content) - len(note[0]) + int(note[1]) == len(b"first\n") + 50_000_000 + len(b"\nlast\n")


async def test_cancelling_removes_the_container(sandbox: DockerSandbox, tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(sandbox.run, job(tmp_path, "echo begun; sleep 600", timeout=600.0))
        while not (tmp_path / "log").exists():
            await anyio.sleep(0.05)
        await anyio.sleep(0.5)
        assert len(containers()) == 1
        group.cancel_scope.cancel()
    await sandbox.aclose()
    assert containers() == []


async def test_a_container_that_somebody_else_removes_is_no_result(sandbox: DockerSandbox, tmp_path: Path) -> None:
    def remove() -> None:
        while not (running := containers()):
            time.sleep(0.05)
        time.sleep(1)
        connect().api.remove_container(running[0], force=True)

    threading.Thread(target=remove).start()
    with pytest.raises(SandboxError):
        await sandbox.run(job(tmp_path, "sleep 600"))


async def test_a_missing_image_is_an_error_with_the_remedy(sandbox: DockerSandbox, tmp_path: Path) -> None:
    name = "swerl-eval/there-is-no-such-image:1"
    with pytest.raises(ImageMissingError, match=rf"the image {name} is not here .*swerl-eval images build"):
        await sandbox.run(job(tmp_path, "true", image=name))


async def test_what_a_crash_left_is_removed_at_the_next_start_and_what_may_live_is_not(tmp_path: Path) -> None:
    client = connect()
    host, _, rest = process_mark().partition(" ")
    gone = process_mark().rpartition(" ")[0] + " 1"  # an earlier process with this one's number
    marks = {"owned, of a dead process": (OWNER, gone), "another's, of a dead process": ("somebody-else", gone)}
    stays = {
        "owned, of a process that lives": (OWNER, process_mark()),
        "another's, of another host": ("somebody-else", f"{host}-2 {rest}"),
    }
    made = {}
    for name, (owner, mark) in (marks | stays).items():
        own = {OWNER_LABEL: owner, PROCESS_LABEL: mark}
        made[client.api.create_container(BASE_IMAGE, command=["sleep", "600"], labels=own)["Id"]] = name
        client.api.start(list(made)[-1])
    opened = DockerSandbox.open(SandboxSettings(OWNER))
    left = {made[container.id] for container in client.containers.list(all=True) if container.id in made}
    for container in made:
        with contextlib.suppress(docker.errors.NotFound):
            client.api.remove_container(container, force=True)
    await opened.aclose()
    assert left == set(stays)


async def test_at_once_every_container_of_this_process_is_killed_and_removed(
    sandbox: DockerSandbox, tmp_path: Path
) -> None:
    ended: list[str] = []

    async def one(number: int) -> None:
        with pytest.raises(SandboxError, match=r"was killed or removed by somebody else|No such container"):
            await sandbox.run(job(tmp_path, "sleep 600", log=str(tmp_path / f"log{number}")))
        ended.append("killed")

    with anyio.fail_after(240):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(one, number)
            while sum(container["State"] == "running" for container in described()) < 3:
                await anyio.sleep(0.1)
            await anyio.to_thread.run_sync(sandbox.abort)
    assert ended == ["killed"] * 3


async def test_jobs_run_side_by_side(sandbox: DockerSandbox, tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(sandbox.run, job(tmp_path, f"echo {number}", log=str(tmp_path / f"log{number}")))
    assert [(tmp_path / f"log{number}").read_text() for number in range(3)] == ["0\n", "1\n", "2\n"]


async def test_no_engine_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailableError, match=r"no Docker engine answers .*apt-get install docker.io"):
        DockerSandbox.open(SandboxSettings(OWNER))
