"""What this tool pulled into an engine, and who uses it now: a small file that several processes share."""

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
"""Seconds to wait for another process, which may remove an image meanwhile."""
FOREIGN_MARK_TTL = 24 * 3600.0
"""Seconds after which a mark of another host's process is not believed any more: nobody here can ask it."""


@dataclass(frozen=True)
class Entry:
    """An image that this tool pulled."""

    digest: str
    """Of the image; another one under the same name was not pulled by this tool."""
    size: int
    """Bytes, layers that others share included."""
    pulled: float
    """Seconds since the epoch."""
    used: float
    """As above: when a job last began or ended."""


class Ledger:
    """The file; without one, this process's memory. Thread safe; locked against other processes for each change.

    Raises `SandboxError` when the file cannot be read or written.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._thread_lock = threading.RLock()
        self._memory = ""
        self._mark = f"{uuid.uuid4().hex[:8]}|{process_mark()}"
        self._held: Counter[str] = Counter()

    def entries(self) -> dict[str, Entry]:
        """All images that this tool pulled, by name; some may be gone."""
        with self._state() as state:
            return {name: Entry(**entry) for name, entry in state["images"].items()}

    def record(self, name: str, digest: str, size: int) -> None:
        """An image was pulled just now."""
        now = time.time()
        with self._state() as state:
            state["images"][name] = asdict(Entry(digest, size, now, now))

    def drop(self, name: str) -> None:
        """An image is here no more, or is not the one that was pulled."""
        with self._state() as state:
            state["images"].pop(name, None)

    @contextlib.contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Mark an image as used or waited for, also one that is not here yet: nobody evicts it meanwhile."""
        self._change(name, 1)
        try:
            yield
        finally:
            self._change(name, -1)

    def _change(self, name: str, step: int) -> None:
        with self._thread_lock:
            if step > 0 and not self._held[name]:
                self._write_mark(name, present=True)
            self._held[name] += step
            if not self._held[name]:
                del self._held[name]
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
        """Remove the first image that can be: `order` sorts the unused ones, `remove` says whether one is gone.

        Locked all the while, so that no job comes to use an image that is being removed.
        """
        with self._state() as state:
            idle = self._idle(state)
            for name in order(idle):
                if remove(name, idle[name]):
                    del state["images"][name]
                    return name
        return None

    def _idle(self, state: Mapping[str, Any]) -> dict[str, Entry]:
        entries = {name: Entry(**entry) for name, entry in state["images"].items()}
        old = time.time() - FOREIGN_MARK_TTL
        return {
            name: entry
            for name, entry in entries.items()
            if not any(_counts(mark, entry.used < old) for mark in state["users"].get(name, ()))
        }

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        with self._thread_lock, self._locked():
            before = self._read()
            state: dict[str, Any] = {"images": {}, "users": {}}
            with contextlib.suppress(ValueError):  # a file cut short by a power failure: begun anew
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
        with self._explained(self._file):
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
        with self._explained(self._file):
            return self._file.read_text(encoding="utf-8") if self._file.exists() else ""

    def _write(self, text: str) -> None:
        if self._file is None:
            self._memory = text
            return
        with self._explained(self._file):
            made = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            made.write_text(text, encoding="utf-8")
            made.replace(self._file)

    @staticmethod
    @contextlib.contextmanager
    def _explained(file: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeDecodeError, filelock.Timeout) as error:
            message = (
                f"the list of pulled images {file} cannot be used ({error}); choose another folder (-c cache=FOLDER)"
            )
            raise SandboxError(message) from error


def _counts(mark: str, old: bool) -> bool:
    """Whether a mark keeps its image from being evicted."""
    process = mark.partition("|")[2]
    return not (old if is_elsewhere(process) else is_gone(process))
