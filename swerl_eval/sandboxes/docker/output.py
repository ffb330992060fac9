"""A container's output on its way to a log file of bounded size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TAIL_BYTES = 2**20
"""How much of the end of an overlong output is kept: the verdict's markers stand there."""
LINE_WEIGHT = 32
"""What a line counts beside its bytes: whoever reads a log line by line needs time and memory for each of them."""


class LogReader(threading.Thread):
    """Copies a container's output to its log until the container ends."""

    def __init__(self, output: Iterator[bytes], log: CappedLog, stop: threading.Event) -> None:
        super().__init__(name="container-output", daemon=True)
        self._output = output
        self.log = log
        self.error: Exception | None = None
        self.ended_or_stopped = _EitherEvent(stop)

    def run(self) -> None:
        """The thread's work."""
        try:
            with self.log as log:
                for chunk in self._output:
                    log.write(chunk)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            self.error = error
        finally:
            self.ended_or_stopped.set()
        for _ in self._output:  # where the log failed: the engine cannot remove a container whose output nobody takes
            pass


class _EitherEvent:
    """Set when the output has ended, or when somebody asked to stop."""

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
            self._ended.wait(min(left, 0.2))
        return self.is_set()


@dataclass
class CappedLog:
    """A log file of bounded size that keeps the beginning and the end of what was written."""

    path: Path
    max_bytes: int
    truncated: bool = False
    _weight: int = 0
    _tail: bytearray = field(default_factory=bytearray)
    _dropped: int = 0

    def __enter__(self) -> CappedLog:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # a reader of an earlier try that hangs on a silent engine may still hold the file: it keeps its own
        self.path.unlink(missing_ok=True)
        self._file = self.path.open("wb")
        return self

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self.max_bytes - TAIL_BYTES - self._weight
        if room > 0:
            begin, chunk = chunk[:room], chunk[room:]
            self._file.write(begin)
            self._weight += len(begin) + LINE_WEIGHT * begin.count(b"\n")
        if chunk:
            self._tail += chunk
            excess = len(self._tail) - TAIL_BYTES
            if excess > TAIL_BYTES:  # trimmed seldom, so that each byte moves once
                del self._tail[:excess]
                self._dropped += excess

    def __exit__(self, *_: object) -> None:
        excess = max(0, len(self._tail) - TAIL_BYTES)
        self._dropped += excess
        if self._dropped:
            self.truncated = True
            self._file.write(b"\n[swerl-eval: %d bytes of output left out here]\n" % self._dropped)
        self._file.write(self._tail[excess:])
        self._file.close()
