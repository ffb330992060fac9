"""Finds the jobs that were overtaken for too long, and keeps a node free for one that fits into no gap."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Generic

from swerl_eval.sandboxes.ray.waiting import JobKey, JobQueue, Node


class Overdue(Generic[JobKey]):
    """The queues whose next job was overtaken for too long, and the node that is kept free for one of them."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, JobQueue[JobKey]]] = []
        """A heap of queues by `due`, which may have grown after the entry was made."""
        self._watched: set[JobQueue[JobKey]] = set()
        self._kept_free: tuple[Node[JobKey], JobQueue[JobKey]] | None = None

    def watch(self, queue: JobQueue[JobKey]) -> None:
        """Look after a queue that has jobs."""
        if queue not in self._watched:
            self._watched.add(queue)
            heapq.heappush(self._due, (queue.due, queue.number, queue))

    def longest(self, clock: int) -> JobQueue[JobKey] | None:
        """Return the queue that is due the longest, if one is."""
        while self._due and self._due[0][0] < clock:
            due, number, queue = self._due[0]
            if not queue.jobs:
                self._watched.remove(heapq.heappop(self._due)[2])
            elif queue.due > due:
                heapq.heapreplace(self._due, (queue.due, number, queue))
            else:
                return queue
        return None

    def keep_free(self, queue: JobQueue[JobKey], nodes: Iterable[Node[JobKey]]) -> None:
        """Give no other job to one of these nodes until this queue's next job is there."""
        ranked = [(node not in queue.servers, -node.free_cpus, node.number, node) for node in nodes]
        if ranked and self._kept_free is None:
            self._kept_free = (min(ranked)[-1], queue)

    def kept_free_for(self, node: Node[JobKey]) -> JobQueue[JobKey] | None:
        """Return the queue that a node is kept free for."""
        if self._kept_free and not self._kept_free[1].jobs:
            self._kept_free = None  # its job was cancelled
        return self._kept_free[1] if self._kept_free and self._kept_free[0] is node else None

    def forget_node(self, node: Node[JobKey]) -> None:
        """Keep a node free no more."""
        if self._kept_free and self._kept_free[0] is node:
            self._kept_free = None
