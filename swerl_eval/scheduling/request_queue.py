"""Priority queue that bounds concurrent sampler requests."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

PATCHES = "repair"
"""The stage that samples patches."""
BLOCKING_STAGES = frozenset({"localize", "guide", "regress"})
"""Stages with few and short answers that other requests or tests wait for."""


class RequestQueue:
    """Bounds what is in flight at the sampler, and says who is next (for one event loop).

    Served in the order of asking, the tests of the first instance would be written after the patches of every other
    one that is under way, and all containers would stand idle until then.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._places: dict[str, int] = {}
        """Of instances, in the order in which they lined up."""
        self._waiting: list[tuple[int, int, anyio.Event]] = []
        """A heap: priority, running number, and what is set when the turn has come."""
        self._asked = 0

    def register(self, instance_id: str) -> int:
        """The place of an instance: behind all that have one, if it has none yet."""
        return self._places.setdefault(instance_id, len(self._places))

    def priority(self, instance_id: str, stage: str) -> int:
        """Lower ones first: what others wait for, of any instance; then by the instance's place.

        Of one instance the patches come last, so that its tests run on the original code while they are drawn.
        """
        place = self.register(instance_id)
        return 0 if stage in BLOCKING_STAGES else 1 + 2 * place + (stage == PATCHES)

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        self._asked += 1
        come = anyio.Event()
        heapq.heappush(self._waiting, (priority, self._asked, come))
        self._next()
        try:
            await come.wait()
            yield
        finally:
            if come.is_set():
                self._free += 1
            else:  # cancelled: nobody is to be given a turn that nobody takes
                self._waiting = [entry for entry in self._waiting if entry[2] is not come]
                heapq.heapify(self._waiting)
            self._next()

    def _next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            heapq.heappop(self._waiting)[2].set()
