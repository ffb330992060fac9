"""Copies a container's output to its log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from swerl_eval.sandboxes.capped_log import CappedLog

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
