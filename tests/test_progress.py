"""The counters of a process."""

from __future__ import annotations

import time

from swerl_eval.progress import Progress


def test_time_counts_once_however_many_requests_are_in_flight() -> None:
    progress = Progress()
    for step in (1, 1, -1, 1):
        progress.request(step)
        time.sleep(0.01)
    assert progress.sampling_seconds == 0.0  # not before the last one has ended
    for _ in range(2):
        progress.request(-1)
    assert progress.sampling_seconds >= 0.04
