"""One node of the cluster: an actor that runs jobs on the Docker engine of the machine it lives on.

Its Docker sandbox is the one that runs jobs on a single machine: limits, disk budget, list of pulled images and
leftovers are those of the node. What goes back to the driver is data: numbers, names, and the bytes of logs.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import filelock

import swerl_eval
from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import SandboxSettings

PIECE_BYTES = 4 * 2**20
"""Of a log, at a time."""
WITH_RESULT_BYTES = 2**20
"""A log up to this length comes with the result."""
NEWS_SECONDS = 5.0
"""After so long there is an answer even if nothing has changed: the load is told with it."""
LOOK_SECONDS = 0.05
"""Between two looks at whether something has changed."""
FOLDER, LOCK = "swerl-eval-node", "lock"


@dataclass(frozen=True)
class Description:
    """What a node is."""

    version: str
    """Of this package there."""
    machine: Machine
    images: tuple[str, ...]
    """Names of the images that its engine has."""


@dataclass(frozen=True)
class Ended:
    """How a job ended, and the log if it is short."""

    result: JobResult
    log: bytes
    log_size: int
    """Bytes in all; if `log` is shorter, the node keeps the log until `drop_log`."""


@dataclass(frozen=True)
class News:
    """What a node is doing."""

    number: int
    waits: Mapping[str, str]
    """What it waits for, and how that stands."""
    containers: frozenset[str]
    """Those that run."""
    pressure: float | None


class Board:
    """A `ports.Watcher` that keeps the present state, to be asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._waits: dict[str, str] = {}
        self._containers: set[str] = set()

    @property
    def number(self) -> int:
        """Grows with each change."""
        return self._number

    def waiting(self, what: str, how: str) -> None:
        """Something is waited for; nothing: no more."""
        with self._lock:
            if self._waits.get(what, "") == how:
                return
            self._number += 1
            if how:
                self._waits[what] = how
            else:
                del self._waits[what]

    def running(self, container: str, *, now: bool) -> None:
        """A container has begun to run, or runs no more."""
        with self._lock:
            self._number += 1
            (self._containers.add if now else self._containers.discard)(container)

    def news(self, pressure: float | None) -> News:
        """The present state."""
        with self._lock:
            return News(self._number, dict(self._waits), frozenset(self._containers), pressure)


@dataclass
class _RunningJob:
    scope: anyio.CancelScope
    ended: anyio.Event


class Node:
    """The actor. Its methods run concurrently on one event loop; jobs are told apart by keys of the driver."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._board = Board()
        self._settings = replace(settings, watcher=self._board)
        self._jobs: dict[str, _RunningJob] = {}
        self._cancelled: set[str] = set()
        """Jobs whose cancellation came before they did."""

    async def open(self) -> Description:
        """Connect to the engine, and remove what a crashed process of the same owner left there.

        Raises:
            SandboxError: The engine cannot be used.
        """
        from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

        self._folder = await anyio.to_thread.run_sync(LogFolder)
        self._sandbox = await anyio.to_thread.run_sync(DockerSandbox.open, self._settings)
        (machine,) = self._sandbox.machines()
        images = await anyio.to_thread.run_sync(self._sandbox.image_names)
        return Description(swerl_eval.__version__, machine, tuple(images))

    async def run(self, key: str, job: Job) -> Ended:
        """Run a job; its log is a file of the node.

        Raises:
            SandboxError: As `ports.Sandbox.run`; or the job was cancelled.
        """
        if key in self._cancelled:
            self._cancelled.discard(key)
            message = f"{job.name} was cancelled"
            raise SandboxError(message)
        log = self._log(key)
        running = self._jobs[key] = _RunningJob(anyio.CancelScope(), anyio.Event())
        kept = False
        try:
            with running.scope:
                result = await self._sandbox.run(replace(job, log=str(log)))
                size = await anyio.to_thread.run_sync(_size, log)
                kept = size > WITH_RESULT_BYTES
                text = b"" if kept else await anyio.to_thread.run_sync(log.read_bytes)
                return Ended(result, text, size)
        finally:
            del self._jobs[key]
            running.ended.set()
            if not kept:
                log.unlink(missing_ok=True)
        message = f"{job.name} was cancelled"
        raise SandboxError(message)

    async def cancel(self, key: str) -> None:
        """End a job; returns when its container is killed."""
        running = self._jobs.get(key)
        if running is None:
            self._cancelled.add(key)
            return
        running.scope.cancel()
        await running.ended.wait()

    async def read_log(self, key: str, start: int) -> bytes:
        """The next piece of a log that did not come with its result."""
        return await anyio.to_thread.run_sync(_read, self._log(key), start)

    async def drop_log(self, key: str) -> None:
        """Remove a log that was read, or is not wanted."""
        await anyio.to_thread.run_sync(lambda: self._log(key).unlink(missing_ok=True))

    async def news(self, after: int) -> News:
        """What the node is doing, as soon as that is something else than with the number `after`."""
        end = time.monotonic() + NEWS_SECONDS
        while self._board.number == after and time.monotonic() < end:
            await anyio.sleep(LOOK_SECONDS)
        return self._board.news(self._sandbox.pressure())

    async def present(self, images: Sequence[str]) -> list[str]:
        """Those of the images that the engine has."""
        return await anyio.to_thread.run_sync(self._sandbox.present, images)

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """As `ports.Sandbox.check`."""
        return await self._sandbox.check(images)

    async def image_id(self, image: str) -> str:
        """As `ports.Sandbox.image_id`."""
        return await self._sandbox.image_id(image)

    async def prefetch(self, images: Sequence[str]) -> None:
        """As `ports.Sandbox.prefetch`."""
        self._sandbox.prefetch(images)

    async def abort(self) -> None:
        """As `ports.Sandbox.abort`."""
        await anyio.to_thread.run_sync(self._sandbox.abort)

    async def aclose(self) -> None:
        """As `ports.Sandbox.aclose`."""
        await self._sandbox.aclose()
        await anyio.to_thread.run_sync(self._folder.remove)

    def _log(self, key: str) -> Path:
        return self._folder.path / key


class LogFolder:
    """A new folder for the logs of this process; those that dead processes left are removed.

    A process holds a lock on its folder as long as it lives.
    """

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*/{LOCK}"):
            lock = filelock.FileLock(left, timeout=0, thread_local=False)
            with contextlib.suppress(filelock.Timeout, OSError), lock:
                shutil.rmtree(left.parent, ignore_errors=True)
        self.path = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-"))
        self._lock = filelock.FileLock(self.path / LOCK, thread_local=False)
        self._lock.acquire()

    def remove(self) -> None:
        """Remove it with all logs in it."""
        shutil.rmtree(self.path)
        self._lock.release()


def _size(file: Path) -> int:
    return file.stat().st_size


def _read(file: Path, start: int) -> bytes:
    with contextlib.closing(file.open("rb")) as opened:
        opened.seek(start)
        return opened.read(PIECE_BYTES)
