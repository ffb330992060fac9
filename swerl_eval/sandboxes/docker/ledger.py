"""Ledger of the images that this tool pulled into an engine, and of who uses them: a file shared by processes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock

from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.docker.leftovers import is_elsewhere, is_gone, process_mark

LOCK_TIMEOUT = 600.0
"""Seconds to wait for another process, which may be removing an image."""
FOREIGN_MARK_TTL = 24 * 3600.0
"""Seconds after an image's last use at which marks of other hosts' processes expire: they cannot be asked from here."""


@dataclass(frozen=True)
class Entry:
    """An image that this tool pulled."""

    digest: str
    """Content digest. An image with the same name and another digest was not pulled by this tool."""
    size: int
    """Bytes, including layers that other images share."""
    pulled: float
    """Seconds since the epoch."""
    used: float
    """Seconds since the epoch when a job last began or ended."""


class Ledger:
    """The pulled images and their users, in a file, or in this process's memory where there is no file.

    Thread safe. Each change locks the file against other processes. Every method raises `SandboxError` when the file
    cannot be read or written.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._thread_lock = threading.RLock()
        self._memory = ""
        self._mark = f"{uuid.uuid4().hex[:8]}|{process_mark()}"
        self._uses: Counter[str] = Counter()

    def entries(self) -> dict[str, Entry]:
        """All images that this tool pulled, by name. Some may have been removed by others."""
        with self._state() as state:
            return {name: Entry(**entry) for name, entry in state["images"].items()}

    def record(self, name: str, digest: str, size: int) -> None:
        """Add an image that was pulled just now."""
        now = time.time()
        with self._state() as state:
            state["images"][name] = asdict(Entry(digest, size, now, now))

    def drop(self, name: str) -> None:
        """Take out an image that is gone, or is not the one that was pulled."""
        with self._state() as state:
            state["images"].pop(name, None)

    @contextlib.contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Mark an image as in use inside the block, so that no process evicts it. It need not be pulled yet."""
        self._count_use(name, 1)
        try:
            yield
        finally:
            self._count_use(name, -1)

    def _count_use(self, name: str, change: int) -> None:
        with self._thread_lock:
            if change > 0 and not self._uses[name]:
                self._write_mark(name, present=True)
            self._uses[name] += change
            if not self._uses[name]:
                del self._uses[name]
                self._write_mark(name, present=False)

    def _write_mark(self, name: str, *, present: bool) -> None:
        with self._state() as state:
            marks = [mark for mark in state["users"].pop(name, []) if mark != self._mark]
            if present:
                marks.append(self._mark)
            if marks:
                state["users"][name] = marks
            if name in state["images"]:
                state["images"][name]["used"] = time.time()

    def evict(
        self, order: Callable[[Mapping[str, Entry]], Sequence[str]], remove: Callable[[str, Entry], bool]
    ) -> str | None:
        """Remove one unused image. The ledger stays locked, so that no job begins to use the image meanwhile.

        Args:
            order: Sorts the names of the unused images; those it leaves out stay.
            remove: Removes an image; returns whether it is gone.

        Returns:
            The name of the first image that `remove` could remove, or None.
        """
        with self._state() as state:
            unused = self._unused(state)
            for name in order(unused):
                if remove(name, unused[name]):
                    del state["images"][name]
                    return name
        return None

    def _unused(self, state: Mapping[str, Any]) -> dict[str, Entry]:
        entries = {name: Entry(**entry) for name, entry in state["images"].items()}
        oldest = time.time() - FOREIGN_MARK_TTL
        return {
            name: entry
            for name, entry in entries.items()
            if not any(_is_valid(mark, expired=entry.used < oldest) for mark in state["users"].get(name, ()))
        }

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        with self._thread_lock, self._locked():
            before = self._read()
            state: dict[str, Any] = {"images": {}, "users": {}}
            with contextlib.suppress(ValueError):  # a file cut short by a power failure: start over
                state |= json.loads(before or "{}")
            yield state
            after = json.dumps(state, indent=1, sort_keys=True)
            if after != before:
                self._write(after)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        with self._with_remedy(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(f"{self._file}.lock", timeout=LOCK_TIMEOUT)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> str:
        if self._file is None:
            return self._memory
        with self._with_remedy(self._file):
            return self._file.read_text(encoding="utf-8") if self._file.exists() else ""

    def _write(self, text: str) -> None:
        if self._file is None:
            self._memory = text
            return
        with self._with_remedy(self._file):
            temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._file)

    @staticmethod
    @contextlib.contextmanager
    def _with_remedy(file: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeDecodeError, filelock.Timeout) as error:
            message = (
                f"the list of pulled images {file} cannot be used ({error}); choose another folder (-c cache=FOLDER)"
            )
            raise SandboxError(message) from error


def _is_valid(mark: str, *, expired: bool) -> bool:
    """Whether a mark keeps its image: its process lives, or cannot be asked and the mark is not `expired`."""
    process = mark.partition("|")[2]
    return not (expired if is_elsewhere(process) else is_gone(process))
