"""Computes the rewards of many answers, over a pool of processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import NamedTuple

from swerl_eval.core.reward import calculate_search_replace_reward

CHUNK = 16
"""Answers sent to a process at once: few enough that a slow answer delays few others, enough to hide the transfer."""


class RewardCase(NamedTuple):
    """The arguments of one reward, as `calculate_search_replace_reward` takes them."""

    code_context: Mapping[str, str]
    oracle_new_content: Mapping[str, str]
    output: str


class Rewarded(NamedTuple):
    """A reward without its diffs, which cost more to send back than to compute."""

    value: float
    error: str | None
    """Why the value is -1.0."""


def rewards(cases: Iterable[RewardCase], *, workers: int = 1, strict: bool = False) -> Iterator[Rewarded]:
    """Yield the rewards of the cases, in their order. The cases are read a few chunks ahead.

    More than one worker starts that many new processes (by `spawn`, which is safe beside threads and CUDA). They import
    the main script again, so it needs its `if __name__ == "__main__":`, as everywhere with `multiprocessing`.

    Args:
        cases: The answers with what their rewards need.
        workers: Number of processes; 1 computes in this process.
        strict: Demand the last closing fence too.
    """
    if workers <= 1:
        yield from (_rewarded(case, strict) for case in cases)
        return
    remaining = iter(cases)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running: deque[Future[list[Rewarded]]] = deque()
        try:
            while True:
                while len(running) < 2 * workers and (chunk := list(islice(remaining, CHUNK))):
                    running.append(pool.submit(_rewarded_all, chunk, strict))
                if not running:
                    return
                yield from running.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a caller that stops early does not wait


def _rewarded_all(cases: list[RewardCase], strict: bool) -> list[Rewarded]:
    return [_rewarded(case, strict) for case in cases]


def _rewarded(case: RewardCase, strict: bool) -> Rewarded:
    value, metadata = calculate_search_replace_reward(
        dict(case.code_context), dict(case.oracle_new_content), case.output, strict=strict
    )
    return Rewarded(value, metadata.get("error"))
