"""Tells work that grows with its input from work that grows with the square of it, also on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 5


def grows_in_proportion(work: Callable[[str], object], piece: str) -> bool:
    """Whether ten times the text takes less than 40 times the thread's time, in the best of some tries.

    Work that is quadratic takes 100 times in each of them; another process can slow down some.
    """

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = time.thread_time()
        work(text)
        return time.thread_time() - start

    return any(seconds(400_000) < 40 * max(seconds(40_000), 0.01) for _ in range(TRIES))
