"""Priority queue that bounds concurrent sampler requests."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

PATCHES = "repair"
"""The stage that samples patches."""
BLOCKING_STAGES = frozenset({"localize", "guide", "regress"})
"""Stages whose answers other requests or tests wait for. The answers are few and short."""


class RequestQueue:
    """Lets at most `limit` requests run at a time, and those of the lowest priority number first.

    In the order of asking, the tests of the first instance would be sampled after the patches of every other instance
    under way, and all containers would be idle until then. For use in one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._places: dict[str, int] = {}
        """The place of each instance, in the order of their registration."""
        self._waiting: list[tuple[int, int, anyio.Event]] = []
        """Heap of priority, number of the request, and the event that grants its slot."""
        self._requests = 0

    def register(self, instance_id: str) -> int:
        """Return the place of an instance; a new one comes behind all others."""
        return self._places.setdefault(instance_id, len(self._places))

    def priority(self, instance_id: str, stage: str) -> int:
        """Return the priority of a request; lower numbers go first.

        Blocking stages of any instance go first, then the instances by their place. Within an instance the patches go
        last, so that its tests run on the original code while the patches are sampled.
        """
        place = self.register(instance_id)
        return 0 if stage in BLOCKING_STAGES else 1 + 2 * place + (stage == PATCHES)

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Wait for a free slot, and hold it during the block."""
        self._requests += 1
        granted = anyio.Event()
        heapq.heappush(self._waiting, (priority, self._requests, granted))
        self._grant()
        try:
            await granted.wait()
            yield
        finally:
            if granted.is_set():
                self._free += 1
            else:  # cancelled while waiting
                self._waiting = [entry for entry in self._waiting if entry[2] is not granted]
                heapq.heapify(self._waiting)
            self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            heapq.heappop(self._waiting)[2].set()
