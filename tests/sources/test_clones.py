"""Clones that take long, are cancelled, killed, incomplete or refused: with real git over files and HTTP."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import filelock
import hypothesis.strategies as st
import pytest
from hypothesis import given

from swerl_eval.core.errors import SourceError
from swerl_eval.core.types import Instance
from swerl_eval.demo.setup import ANSWERS, SUITE
from swerl_eval.progress import Progress
from swerl_eval.sources.git import REASON_CHARACTERS, STDERR_BYTES, git, reasons
from swerl_eval.sources.repositories import Repositories

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def run_git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.invalid", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, name: str) -> Instance:
    """One more commit of a file that has no other content in common with the others."""
    (folder / "a.py").write_text(f"# {name}\n")
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "--quiet", "-m", name)
    return Instance("o__n-1", "o/n", run_git(folder, "rev-parse", "HEAD"), "It fails.", "registry/o__n-1")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of a server that takes every request and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/{{repo}}"


def processes(mark: str) -> list[str]:
    """Command lines of living processes with such a word in them, but for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode()
            if mark in line and int(path.parent.name) != os.getpid():
                found.append(line)
    return found


def eventually_none(mark: str, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while processes(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def unfinished(cache: Path) -> list[str]:
    return [path.name for path in (cache / "repositories").iterdir() if not path.name.endswith(".lock")]


async def until(words: str, repositories: Repositories, instance: Instance) -> float:
    """Cancel a snapshot once such a process runs; returns the seconds from then to its end."""
    async with anyio.create_task_group() as group:
        group.start_soon(repositories.snapshot, instance)
        with anyio.fail_after(120):
            while not any(words in line for line in processes(words)):
                await anyio.sleep(0.05)
        started = time.monotonic()
        group.cancel_scope.cancel()
    return time.monotonic() - started


async def test_a_cancelled_clone_of_a_server_that_hangs_ends_at_once_without_a_process_or_a_folder_left(
    tmp_path: Path, hanging: str
) -> None:
    asked: list[str] = []

    def read_image(image: str, stop: threading.Event) -> Iterator[bytes]:
        asked.append(image)
        yield b""

    cache = tmp_path / "cache"
    instance = Instance("o__n-1", "o/n", "d" * 40, "It fails.", "registry/o__n-1")
    seconds = await until(
        f"remote-http origin {hanging[:20]}", Repositories(cache, None, read_image, hanging), instance
    )
    assert seconds < 60
    assert eventually_none(hanging[:-7])
    assert unfinished(cache) == []
    assert asked == []  # cancelled work: no other way to the repository is tried


async def test_a_cancelled_clone_ends_its_index_pack_and_what_the_server_side_runs(
    tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = commit(origin, "one")
    hook = tmp_path / "slow-hook"
    hook.write_text("#!/bin/sh\nsleep 3600\n")
    hook.chmod(0o755)
    (tmp_path / "config").write_text(f'[uploadpack]\n packObjectsHook = {hook}\n[protocol "file"]\n allow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    cache = tmp_path / "cache"
    assert await until(str(hook), Repositories(cache, clone_url=origin.as_uri()), instance) < 60
    assert eventually_none(str(tmp_path))
    assert unfinished(cache) == []


def test_a_process_that_is_killed_outright_leaves_no_git_behind(tmp_path: Path, hanging: str) -> None:
    program = (
        "import anyio, sys; from pathlib import Path; from swerl_eval.core.types import Instance\n"
        "from swerl_eval.sources.repositories import Repositories\n"
        "instance = Instance('o__n-1', 'o/n', 'd' * 40, '', '')\n"
        "anyio.run(Repositories(Path(sys.argv[1]), clone_url=sys.argv[2]).snapshot, instance)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "cache"), hanging]) as process:
        end = time.monotonic() + 120
        while not processes(f"remote-http origin {hanging[:20]}"):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert eventually_none(hanging[:-7])


async def test_who_waits_for_another_process_says_so_and_can_be_cancelled(tmp_path: Path, origin: Path) -> None:
    instance, progress = commit(origin, "one"), Progress()
    repositories = Repositories(tmp_path / "cache", clone_url=str(origin), watcher=progress)
    (tmp_path / "cache" / "repositories").mkdir(parents=True)
    lock = filelock.FileLock(tmp_path / "cache" / "repositories" / "o__n.git.lock")
    with lock, anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            for _ in range(60):  # more than there are threads: none of them is held
                group.start_soon(repositories.snapshot, instance)
            while not progress.waits:
                await anyio.sleep(0.05)
            assert progress.waits == {"o/n": "another process makes its clone"}
            assert await anyio.to_thread.run_sync(lambda: "free") == "free"
            group.cancel_scope.cancel()
    assert progress.waits == {}
    assert (await repositories.snapshot(instance)).paths() == ["a.py"]


async def test_a_clone_that_lacks_a_commit_fetches_it(tmp_path: Path, origin: Path) -> None:
    first = commit(origin, "one")
    repositories = Repositories(tmp_path / "cache", clone_url=str(origin))
    assert (await repositories.snapshot(first)).read("a.py") == "# one\n"
    later = commit(origin, "two")
    assert (await repositories.snapshot(later)).read("a.py") == "# two\n"
    # one that no branch leads to is given by its name alone, where the server allows that
    run_git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    left = commit(origin, "three")
    run_git(origin, "reset", "--quiet", "--hard", "HEAD~1")
    assert (await repositories.snapshot(left)).read("a.py") == "# three\n"


async def test_a_commit_that_the_server_lacks_too_is_asked_for_once(tmp_path: Path, origin: Path) -> None:
    first = commit(origin, "one")
    repositories = Repositories(tmp_path / "cache", clone_url=str(origin))
    await repositories.snapshot(first)
    unknown = Instance("o__n-2", "o/n", "d" * 40, "", "")
    for _ in range(2):
        with pytest.raises(SourceError, match=rf"o__n\.git lacks the commit, and so does {origin};"):
            await repositories.snapshot(unknown)
        if origin.exists():
            origin.rename(tmp_path / "moved")  # the second time the server is not asked


async def test_a_partial_clone_is_passed_over_as_a_mirror_and_replaced_in_the_cache(
    tmp_path: Path, origin: Path
) -> None:
    instance = commit(origin, "one")
    commit(origin, "two")
    run_git(origin, "config", "uploadpack.allowFilter", "true")
    mirrors, cache = tmp_path / "mirrors", tmp_path / "cache"
    mirrors.mkdir()
    partial = ("clone", "--quiet", "--bare", "--filter=blob:none", origin.as_uri())
    run_git(tmp_path, *partial, str(mirrors / "o__n.git"))
    (cache / "repositories").mkdir(parents=True)
    run_git(tmp_path, *partial, str(cache / "repositories" / "o__n.git"))
    with pytest.raises(SourceError, match=r"mirrors/o__n\.git lacks files of the commit"):
        await Repositories(tmp_path / "other", mirrors, clone_url="/nonexistent").snapshot(instance)
    found = await Repositories(cache, mirrors, clone_url=str(origin)).snapshot(instance)
    assert found.read("a.py") == "# one\n"
    assert unfinished(cache) == ["o__n.git"]


async def test_the_reason_that_git_gives_is_shown_whole(tmp_path: Path) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/o/n"
        with pytest.raises(
            SourceError, match=rf"fatal: unable to access '{url}/': The requested URL returned error: 403"
        ):
            await git("clone", "--", url, str(tmp_path / "x"), timeout=60)
        server.shutdown()


async def test_a_git_that_takes_too_long_is_killed(tmp_path: Path, hanging: str) -> None:
    with pytest.raises(SourceError, match="git did not end within 1 s"):
        await git("ls-remote", hanging, timeout=1)
    assert eventually_none(hanging)


def test_all_lines_that_git_marks_as_reasons_are_told_and_no_other() -> None:
    said = "Cloning into 'x'...\nerror: RPC failed\nremote: Counting\nfatal: early EOF\nfatal: early EOF\n"
    assert reasons(said) == "error: RPC failed; fatal: early EOF"
    assert reasons("something odd\n\n") == "something odd"
    assert reasons("") == ""


@given(st.text(max_size=2 * STDERR_BYTES))
def test_a_reason_is_one_line_of_bounded_length(said: str) -> None:
    assert len(reasons(said)) <= REASON_CHARACTERS + 2
    assert len(reasons(said).splitlines()) <= 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_clones_and_nothing_of_it_is_left(
    tmp_path: Path, hanging: str, how: signal.Signals
) -> None:
    address = hanging.removesuffix("{repo}")
    (tmp_path / "config").write_text(f'[url "{address}"]\n insteadOf = https://github.com/\n')
    # no step of the end has a limit of its own here: what waits for one does not end
    program = (
        "from swerl_eval import shutdown\nshutdown.CLOSE_SECONDS, shutdown.exit_soon.__defaults__ = 600.0, (600.0,)\n"
        "from swerl_eval.cli.app import main\nmain()\n"
    )
    command = [sys.executable, "-c", program, "localize", "--dataset", str(SUITE)]
    command += ["--sampler", "replay", "--answers", str(ANSWERS), "--results", str(tmp_path / "results")]
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": str(tmp_path / "config"),
        "SWERL_EVAL_CACHE": str(tmp_path / "cache"),
        "DOCKER_HOST": "unix:///nonexistent",
    }
    # a group of its own: a terminal sends a Ctrl-C to all of it
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        end = time.monotonic() + 120
        while not processes(f"remote-https origin {address}") and not processes(f"remote-http origin {address}"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, how)
        said, _ = process.communicate(timeout=120)
    assert (process.returncode, said.splitlines()[-1]) == (
        130,
        "swerl-eval: interrupted; the same command finishes the run",
    ), said
    assert eventually_none(address)
    assert [path.name for path in (tmp_path / "cache" / "repositories").iterdir() if path.suffix != ".lock"] == []
