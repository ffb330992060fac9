"""Runs trackers beside a run: whatever becomes of one, the run goes on, and does not wait for it but at the end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swerl_eval.ports import Notify, Tracker, TrackerSettings

FINISH_SECONDS = 60.0
"""Time that all trackers together have at the end: they send the report."""
_WAITING = 3
"""Figures that may wait for a tracker that is slow. More are left out."""
_REASON_CHARACTERS = 300


class BackgroundTracker:
    """One tracker, in a thread of its own. After its first failure it gets nothing more, which is said once.

    Args:
        name: In the message.
        kind: The tracker's class.
        settings: What it is opened with.
        notify: Called with the message.
    """

    def __init__(self, name: str, kind: type[Tracker], settings: TrackerSettings, notify: Notify) -> None:
        self._name = name
        self._kind = kind
        self._settings = settings
        self._notify = notify
        self._calls: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given_up = False

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the tracker. Returns at once."""
        self._thread = threading.Thread(target=self._work, args=(run_id, config), name=self._name, daemon=True)
        self._thread.start()

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Pass figures on, unless the tracker is too slow. Returns at once."""
        if self._calls.qsize() < _WAITING:
            self._calls.put(lambda tracker: tracker.log(figures, step))

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Pass the end on. Returns at once; `join` waits for it."""
        self._calls.put(lambda tracker: tracker.finish(report, table, artifacts))
        self._calls.put(None)

    def join(self, deadline: float) -> None:
        """Wait until the tracker has finished, or until a time of the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                self._given_up = True
                self._notify(f"tracker {self._name} is given up: it did not finish within {FINISH_SECONDS:.0f} s")

    def _work(self, run_id: str, config: Mapping[str, Any]) -> None:
        try:
            tracker = self._kind.open(run_id, config, self._settings)
            while (call := self._calls.get()) is not None:
                call(tracker)
        except BaseException as error:  # noqa: BLE001 - whatever a library raises, SystemExit too
            if not self._given_up:
                words = " ".join(str(error).split())[:_REASON_CHARACTERS]
                self._notify(f"tracker {self._name} failed and gets nothing more: {type(error).__name__}: {words}")


class Tracking:
    """All trackers of a run; there may be none.

    Args:
        trackers: By name.
    """

    def __init__(self, trackers: Sequence[BackgroundTracker] = ()) -> None:
        self._trackers = trackers

    def __bool__(self) -> bool:
        return bool(self._trackers)

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open them. Returns at once."""
        for tracker in self._trackers:
            tracker.start(run_id, config)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Pass figures on. Returns at once."""
        for tracker in self._trackers:
            tracker.log(figures, step)

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Pass the end on, and wait for it, for `FINISH_SECONDS` at most."""
        deadline = time.monotonic() + FINISH_SECONDS
        for tracker in self._trackers:
            tracker.finish(report, table, artifacts)
        for tracker in self._trackers:
            tracker.join(deadline)
