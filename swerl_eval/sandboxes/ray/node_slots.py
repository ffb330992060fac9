"""Jobs that wait for a node, and those that have one: futures around the placement."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.core.types import Machine
from swerl_eval.ports import ignore
from swerl_eval.sandboxes.ray.placement import Need, Placement


@dataclass
class Slot:
    """A job's place on a node."""

    key: int
    node: str
    holds_image: bool = True
    """Whether the node has the image afterwards; set by whoever has the slot."""


class NodeSlots:
    """Who runs where. To be used on one event loop, but for nodes that are added before.

    Args:
        on_promise: Called with a node and an image that jobs will run there, which can be pulled ahead.
    """

    def __init__(self, on_promise: Callable[[str, str], None] = ignore) -> None:
        self._on_promise = on_promise
        self._placement: Placement[int] = Placement()
        self._keys = itertools.count()
        self._machines: dict[str, Machine] = {}
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._needs: dict[int, Need] = {}
        """Of all jobs that the placement knows."""
        self._no_node = ""

    def add_node(self, node: str, machine: Machine, images: Collection[str]) -> None:
        """Use a node from now on."""
        self._machines[node] = machine
        self._placement.add_node(node, machine.cpus, machine.memory, images)
        self._start()

    def remove_node(self, node: str, reason: str) -> int:
        """Use a node no more; whoever has a slot on it finds out by itself.

        Args:
            node: The node.
            reason: What jobs are told if it was the last one.

        Returns:
            How many jobs it was running.
        """
        del self._machines[node]
        lost = self._placement.remove_node(node)
        for key in lost:
            self._needs.pop(key, None)
        if not self._machines:
            self._no_node = f"no node of the Ray cluster is left that jobs could run on; the last one: {reason}"
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(EngineUnavailableError(self._no_node))
        else:
            for key in list(self._waiting):
                self._fit(key)
            self._start()
        return len(lost)

    @asynccontextmanager
    async def slot(self, need: Need) -> AsyncIterator[Slot]:
        """Wait for a node, and have a part of it inside the block.

        Raises:
            EngineUnavailableError: There is no node any more.
        """
        if not self._machines:
            raise EngineUnavailableError(self._no_node)
        slot = Slot(next(self._keys), "")
        future = self._waiting[slot.key] = asyncio.get_running_loop().create_future()
        self._needs[slot.key] = need
        self._placement.add(slot.key, need)
        self._fit(slot.key)
        try:
            self._start()
            slot.node = await future
            yield slot
        finally:
            self._end(slot)

    def expect(self, images: Sequence[str]) -> None:
        """Jobs will come for these images, in this order."""
        self._placement.expect(images)
        self._start()

    def look_at_load(self, node: str, pressure: float) -> None:
        """Give a node fewer or more jobs by its load."""
        self._placement.look_at_load(node, pressure)
        self._start()

    def node_for(self, image: str) -> str | None:
        """The node that has an image or is about to, if there is one."""
        return self._placement.node_for(image)

    def _start(self) -> None:
        for key, node in self._placement.place():
            future = self._waiting.pop(key)
            if not future.done():  # else it was cancelled just now, and ends
                future.set_result(node)
        for image, node in self._placement.promises():
            self._on_promise(node, image)

    def _end(self, slot: Slot) -> None:
        self._waiting.pop(slot.key, None)
        if self._needs.pop(slot.key, None) is not None:
            self._placement.end(slot.key, holds_image=slot.holds_image)
            self._start()

    def _fit(self, key: int) -> None:
        """Let a waiting job that asks for more than any node has take the whole of the largest one."""
        if not self._placement.fits_nowhere(key):
            return
        largest = max(self._machines.values(), key=lambda machine: (machine.memory, machine.cpus))
        need = self._needs[key]
        self._placement.end(key)
        self._needs[key] = replace(
            need,
            cpus=min(need.cpus or largest.cpus, largest.cpus),
            memory=min(need.memory, largest.memory),
        )
        self._placement.add(key, self._needs[key])
