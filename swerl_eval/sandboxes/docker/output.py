"""Copies a container's output to a log file of bounded size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swerl_eval.core.jobs.sections import Bounded

TAIL_BYTES = 2**20
"""How much of the end of an overlong output is kept. It holds the markers that a verdict needs."""
PIECE_BYTES = 2**16
"""A larger chunk of output is split before it is kept or left out."""

STOP_POLL_SECONDS = 0.2
"""Between two looks at whether the job is asked to stop."""


class LogReader(threading.Thread):
    """Copies a container's output to its log until the container ends."""

    def __init__(self, output: Iterator[bytes], log: CappedLog, stop: threading.Event) -> None:
        super().__init__(name="container-output", daemon=True)
        self._output = output
        self.log = log
        self.error: Exception | None = None
        self.ended_or_stopped = _EitherEvent(stop)

    def run(self) -> None:
        """Copy until the output ends; an error is kept in `error`."""
        try:
            with self.log as log:
                for chunk in self._output:
                    log.write(chunk)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            self.error = error
        finally:
            self.ended_or_stopped.set()
        for _ in self._output:
            pass  # the log failed: the engine cannot remove a container while nobody reads its output


class _EitherEvent:
    """Is set when the output has ended, or when the job is asked to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._ended = threading.Event()

    def set(self) -> None:
        self._ended.set()

    def is_set(self) -> bool:
        return self._ended.is_set() or self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._ended.wait(min(left, STOP_POLL_SECONDS))
        return self.is_set()


@dataclass
class CappedLog:
    """A log file of bounded size that keeps the beginning and the end of what is written (`core.jobs.sections`)."""

    path: Path
    max_bytes: int
    truncated: bool = False

    def __enter__(self) -> CappedLog:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # the reader of an earlier try may still hold the file, on an engine that does not answer: it keeps its own
        self.path.unlink(missing_ok=True)
        self._file = self.path.open("wb")
        self._bounded = Bounded(self._write, self.max_bytes, TAIL_BYTES, tail_weight=len)
        return self

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        for start in range(0, len(chunk), PIECE_BYTES):
            self._bounded.take(chunk[start : start + PIECE_BYTES])

    def __exit__(self, *_: object) -> None:
        with self._file:
            self.truncated = self._bounded.end()

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
