"""Says what a run is doing right now: `live.json` in its folder, written each second while the run goes on.

It is no record: nothing depends on it, it is gone after the run, and a run goes on if it cannot be written. Only a
killed process leaves it behind; then its time, the heartbeat, is old.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.codings import sendable
from swerl_eval.records.atomic import write_bytes

LIVE_FILE = "live.json"
HEARTBEAT_SECONDS = 1.0
STOPPED_AFTER = 15.0
"""Age in seconds of a heartbeat whose process is taken to be gone: a busy machine may be late by some seconds."""
JOIN_SECONDS = 2.0
"""Longest wait for the last write, which a disk that hangs may delay."""


@dataclass(frozen=True)
class StageStatus:
    """How far one stage is."""

    name: str
    done: int
    """Instances that it has finished."""


@dataclass(frozen=True)
class LiveStatus:
    """What a process was doing at its last heartbeat."""

    heartbeat: float
    """Time of the writing, in seconds since 1970."""
    seconds: float
    """Since the start of the process's work."""
    total: int
    """Instances of the run."""
    stages: tuple[StageStatus, ...]
    requests: int = 0
    containers: int = 0
    samples: int = 0
    tokens: int = 0
    tokens_per_second: float = 0.0
    remaining_seconds: float | None = None
    verdicts: dict[str, int] = field(default_factory=dict)
    waits: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def beating(self) -> bool:
        """Whether the process is alive, as its heartbeat says. A time in the future is as wrong as an old one."""
        return abs(time.time() - self.heartbeat) <= STOPPED_AFTER


_ADAPTER = TypeAdapter(LiveStatus)


class LiveStatusWriter:
    """Context manager that keeps `live.json` up to date, from a thread of its own: the run never waits for it.

    Args:
        folder: The run folder.
        snapshot: Returns the fields of a `LiveStatus` but the heartbeat, as plain data. Called in the thread.
    """

    def __init__(self, folder: Path, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._path = folder / LIVE_FILE
        self._snapshot = snapshot
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write_until_done, name="live status", daemon=True)

    def __enter__(self) -> LiveStatusWriter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(JOIN_SECONDS)

    def _write_until_done(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk is the records' matter
                status = {"heartbeat": time.time(), **self._snapshot()}
                write_bytes(self._path, sendable_json(status), durable=False)
            if self._done.wait(HEARTBEAT_SECONDS):
                break
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def sendable_json(value: dict[str, Any]) -> bytes:
    """Return plain data as JSON, also where a text in it holds lone surrogates."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_sendable(value))


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return value


def read_live_status(folder: Path) -> LiveStatus | None:
    """Return what a run's process wrote last; None where there is nothing, or nothing that can be read."""
    try:
        return _ADAPTER.validate_python(orjson.loads((folder / LIVE_FILE).read_bytes()))
    except (OSError, orjson.JSONDecodeError, ValidationError):
        return None
