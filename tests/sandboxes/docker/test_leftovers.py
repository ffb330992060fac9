"""Whose containers may be removed, over real processes of this host and marks of others. No real engine is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.compose import owner_of
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.leftovers import (
    OWNER_LABEL,
    PROCESS_LABEL,
    host_name,
    is_elsewhere,
    is_gone,
    is_leftover,
    labels,
    process_mark,
)
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from tests.fake_engine import Reply, fake_engine

OURS, OTHERS = "0" * 16, "1" * 16

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process can be asked")


@contextmanager
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that waits, and its mark."""
    program = (
        "from swerl_eval.sandboxes.docker.leftovers import process_mark\nprint(process_mark(), flush=True)\ninput()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            yield started, started.stdout.readline().strip()
        finally:
            started.kill()


def changed(**parts: str) -> Callable[[], str]:
    """This process's mark with other parts."""

    def mark() -> str:
        host, boot, namespace, number, started = process_mark().split(" ")
        own = {"host": host, "boot": boot, "namespace": namespace, "number": number, "started": started}
        return " ".join({**own, **parts}.values())

    return mark


def ended() -> str:
    with process() as (started, mark):
        started.kill()
        started.wait()
        return mark


MARKS: dict[str, tuple[Callable[[], str], bool, bool]] = {
    "this process": (process_mark, False, False),
    "one that has ended": (ended, True, True),
    "an earlier one with a number that is used again": (changed(started="1"), True, True),
    "one of an earlier boot": (changed(boot="another"), True, True),
    "one of an earlier boot, in a container": (changed(boot="another", namespace="pid:[1]"), True, True),
    "one of another host": (changed(host="another.0123456789ab"), True, False),
    "one of another host of the same name": (changed(host=f"{host_name().partition('.')[0]}.0"), True, False),
    "one in another PID namespace": (changed(namespace="pid:[1]"), True, False),
    "one of a host that cannot say": (changed(boot="", namespace=""), True, False),
    "a mark of another form": (lambda: "host boot 17 4711", True, False),
    "a number that is none": (changed(number="x"), True, False),
    "no mark": (lambda: "", True, False),
}
"""The mark, and whether a container with it is removed: one of the same owner, one of another."""


@pytest.mark.parametrize("name", MARKS)
def test_what_may_live_stays_and_what_is_surely_dead_goes(name: str) -> None:
    make, ours, others = MARKS[name]
    mark = make()
    removed = {owner: is_leftover({OWNER_LABEL: owner, PROCESS_LABEL: mark}, OURS) for owner in (OURS, OTHERS)}
    assert removed == {OURS: ours, OTHERS: others}


def test_a_living_process_of_the_same_owner_keeps_its_containers_until_it_ends() -> None:
    with process() as (started, mark):
        container = {OWNER_LABEL: OURS, PROCESS_LABEL: mark}
        assert not is_leftover(container, OURS)
        started.kill()
        zombie = Path(f"/proc/{started.pid}/stat")
        while " Z " not in zombie.read_text():
            pass
        assert is_leftover(container, OURS), "nobody has asked for its exit code, but it does nothing any more"


def test_containers_without_an_owner_belong_to_nobody_else() -> None:
    assert not is_leftover({OWNER_LABEL: "", PROCESS_LABEL: "elsewhere"}, "")
    assert not is_leftover({}, "")
    assert not is_leftover(labels(""), "")


@given(st.text(max_size=60))
def test_no_label_is_an_error_and_none_of_an_unknown_form_is_surely_dead(mark: str) -> None:
    assert is_elsewhere(mark)
    assert not is_gone(mark)


def test_an_owner_is_one_folder_and_not_every_folder_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    owner = owner_of(folder)
    assert owner_of(tmp_path / "link") == owner
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    assert owner_of(folder) != owner, "another folder has the name now"
    shutil.rmtree(folder)
    assert owner_of(folder) != owner


def test_a_sandbox_that_is_opened_removes_what_is_surely_dead_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    containers = [
        {"Id": f"{owner[0]}{number}", "Labels": {OWNER_LABEL: owner, PROCESS_LABEL: make()}}
        for number, (make, _, _) in enumerate(MARKS.values())
        for owner in (OURS, OTHERS)
    ]
    removed = {
        f"DELETE /containers/{owner[0]}{number}"
        for number, (_, ours, others) in enumerate(MARKS.values())
        for owner, is_removed in ((OURS, ours), (OTHERS, others))
        if is_removed
    }
    info = {"ID": "x", "ServerVersion": "28", "NCPU": 2, "MemTotal": 2**32, "KernelVersion": "6", "Architecture": "x86"}
    answers: dict[str, Reply] = {
        "GET /info": (200, info),
        "GET /containers/json": (200, containers),
        "DELETE /containers/.*": (204, ""),
    }
    with fake_engine(answers) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        sandbox = DockerSandbox.open(SandboxSettings(OURS))
        assert sandbox.pressure() is None, "the engine may be on another machine"
        anyio.run(sandbox.aclose)
        asked = {request for request in engine.requests if request.startswith("DELETE")}
    assert asked == removed
