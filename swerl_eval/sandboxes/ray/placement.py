"""Decides which node runs which job, so that few layers are pulled and no node is idle.

A node that has room takes, of what fits, the first of these that there is:

1. the job that was overtaken for too long, if it was;
2. a job whose image the node claims: it has it, is getting it, or was promised it; the oldest first;
3. if it had no job yet: the oldest job that the nodes which claim its image have no room for. It has to pull in any
   case, and so the jobs that take long, which a run asks for first, are spread widely;
4. a job whose image nobody claims, of a layer group that the node has pulled from, with the nearest number;
5. a job whose image nobody claims, of the group with the most such images for each node that serves it;
6. a job of the longest backlog elsewhere: for a node that runs nothing, if the nodes that claim its image have no room
   for all of it; for others, if each of these has enough waiting to be filled `WORTH_A_PULL` times.

Time is counted in jobs placed, so that the same calls give the same placements. A job that is overtaken by `PATIENCE`
times as many jobs as there were when it came may go to any node. If it is too large for every gap, a node is kept free.

Limits are caps, not reservations: few jobs use theirs. A job counts as its limits, and as at most `JOB_CPUS` and
`MEMORY_PER_JOB`, but it is never placed on a node that has less in all than its limits.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic

from swerl_eval.core.capacity import step
from swerl_eval.sandboxes.ray.claims import Claims
from swerl_eval.sandboxes.ray.overdue import Overdue
from swerl_eval.sandboxes.ray.waiting import JobKey, JobQueue, Node, Ticket

UNKNOWN_CPUS = 1.0
"""Processors that a job counts for which asks for none."""
WORTH_A_PULL = 2.0
"""How often what waits for a node has to fill it before a node that is at work pulls an image to help."""
PATIENCE = 3
"""How often all jobs that there were when a job came may be placed before it."""
LEAD = 1
"""Images that are promised to a node before there are jobs for them."""


@dataclass(frozen=True)
class Need:
    """What a job asks of a node."""

    image: str
    cpus: float
    """0: nothing was asked for; the job counts as `UNKNOWN_CPUS`."""
    memory: int
    """Bytes; 0: not known."""


def layer_group(image: str) -> str:
    """Return what the names of images that share layers have in common: the repository, as far as a name tells."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"-\d+$", "", name)


class Placement(Generic[JobKey]):
    """Which node runs which job. Pure: no clock, no Ray. Not safe for threads."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node[JobKey]] = {}
        self._waiting: dict[JobKey, JobQueue[JobKey]] = {}
        self._queues: dict[JobQueue[JobKey], None] = {}
        """Those that have jobs."""
        self._waiting_by_size: Counter[tuple[int, int]] = Counter()
        """Jobs that wait, by what they count for. Nodes with less room than any of them needs are not asked."""
        self._running: dict[JobKey, Node[JobKey]] = {}
        self._claims: Claims[JobKey] = Claims(layer_group)
        self._overdue: Overdue[JobKey] = Overdue()
        self._helpable: dict[bool, list[JobQueue[JobKey]]] = {}
        """Queues that a node may help with which runs something, or nothing; until the next job is placed."""
        self._node_count = self._job_count = 0
        self._clock = 0
        """Jobs that were placed."""

    def add_node(self, node: str, cpus: float, memory: int, images: Collection[str] = ()) -> None:
        """Take in a node, with the images that it has already.

        Raises:
            ValueError: There is a node of this name, or it has no processors.
        """
        if node in self._nodes or _thousandths(cpus) <= 0:
            message = f"node {node!r} is there already, or has no processors ({cpus})"
            raise ValueError(message)
        self._node_count += 1
        added: Node[JobKey] = Node(node, self._node_count, _thousandths(cpus), memory)
        self._nodes[node] = added
        for name in images:
            self._claims.claim(self._claims.image(name), added).held = True

    def remove_node(self, node: str) -> list[JobKey]:
        """Forget a node and the jobs that ran there; return these in the order in which they were placed."""
        removed = self._nodes.pop(node, None)
        if removed is None:
            return []
        for job in removed.jobs:
            del self._running[job]
        for image in list(removed.claims):
            self._claims.drop(image, removed)
        self._overdue.forget_node(removed)
        return list(removed.jobs)

    def expect(self, images: Sequence[str]) -> None:
        """Note images that jobs will come for, in this order. A hint: see `promises`."""
        for name in images:
            image = self._claims.image(name)
            image.expected = True
            self._claims.update(image)

    def add(self, job: JobKey, need: Need) -> None:
        """Queue a job. Raises `ValueError` if it is queued or running already."""
        if job in self._waiting or job in self._running:
            message = f"job {job!r} is queued or running already"
            raise ValueError(message)
        cpus = _thousandths(need.cpus) or _thousandths(UNKNOWN_CPUS)
        queue = self._claims.queue(need.image, cpus, max(0, need.memory))
        self._job_count += 1
        self._waiting[job] = queue
        self._waiting_by_size[queue.size] += 1
        self._queues[queue] = None
        queue.put(job, Ticket(self._job_count, self._clock + self._patience()))
        self._overdue.watch(queue)
        queue.image.expected = False
        self._claims.update(queue.image)

    def look_at_load(self, node: str, pressure: float) -> None:
        """Let a node that is overloaded run one job fewer than it does now, and later one more after the other.

        Args:
            node: The node.
            pressure: Its load, as `ports.Sandbox.pressure` tells it.
        """
        loaded, change = self._nodes[node], step(pressure)
        if change < 0:
            loaded.most_jobs = max(1, min(len(loaded.jobs), loaded.most_jobs) - 1)
        else:
            loaded.most_jobs += change

    def place(self) -> list[tuple[JobKey, str]]:
        """Return what starts now and where, until nothing more fits. The nodes with the most room are asked first."""
        placed: list[tuple[JobKey, str]] = []
        self._helpable.clear()
        # first what nodes have claimed, so that nobody pulls what is about to start elsewhere
        placed += self._fill(self._claimed)
        # again: nodes that had nothing to help with may have it now that others are full
        while more := self._fill(self._next):
            placed += more
        return placed

    def _fill(self, choose: Callable[[Node[JobKey]], JobQueue[JobKey] | None]) -> list[tuple[JobKey, str]]:
        """Place one job after the other, each on the node with the most room of those that something is chosen for."""
        placed: list[tuple[JobKey, str]] = []
        if not self._waiting:
            return placed
        least = [min(sizes) for sizes in zip(*self._waiting_by_size, strict=True)]
        roomy = [(-node.free_cpus, node.number, node) for node in self._nodes.values() if node.has(*least)]
        heapq.heapify(roomy)
        while roomy and self._waiting:
            _, number, node = heapq.heappop(roomy)
            queue = choose(node)
            if queue is not None:
                placed.append((self._start(queue, node), node.name))
                heapq.heappush(roomy, (-node.free_cpus, number, node))
        return placed

    def end(self, job: JobKey, *, holds_image: bool = True) -> None:
        """Note that a job ended or was cancelled, queued or running, and whether its node has the image now.

        A job that is not known, such as one of a removed node, is ignored.
        """
        if job in self._waiting:
            self._take(self._waiting[job], job)
        elif job in self._running:
            node = self._running.pop(job)
            image = node.finish(job).image
            claim = node.claims[image]
            claim.running -= 1
            claim.held = holds_image
            if not claim.held and not claim.running:
                self._claims.drop(image, node)

    def fits_nowhere(self, job: JobKey) -> bool:
        """Whether a job is queued that no node could take even if it were empty; so it is while there is no node."""
        queue = self._waiting.get(job)
        return queue is not None and not self._able(queue)

    def nodes(self) -> tuple[str, ...]:
        """Return the names of the nodes, in the order in which they came."""
        return tuple(self._nodes)

    def running(self, node: str) -> int:
        """Return the number of jobs that were placed on a node and have not ended."""
        return len(self._nodes[node].jobs)

    def queued(self) -> int:
        """Return the number of jobs that wait."""
        return len(self._waiting)

    def node_for(self, image: str) -> str | None:
        """Return the node that holds an image, else the one that is getting it or was promised it, else None."""
        claimants = self._claims.of(image)
        return claimants[0].name if claimants else None

    def promises(self) -> list[tuple[str, str]]:
        """Promise expected images to nodes; return the new promises, image and node, which can be pulled ahead.

        Only while no job waits: then nodes have nothing better to pull.
        """
        promises: list[tuple[str, str]] = []
        for node in self._nodes.values():
            while not self._waiting and len(node.promised) < LEAD:
                image = next(self._claims.unclaimed(node), None)
                if image is None:
                    break
                self._claims.claim(image, node)
                node.promised[image] = None
                promises.append((image.name, node.name))
        return promises

    def _claimed(self, node: Node[JobKey]) -> JobQueue[JobKey] | None:
        """Return the queue for a node's next job, without any pull but for a job that waited too long."""
        kept_free_for = self._overdue.kept_free_for(node)
        if kept_free_for:
            return kept_free_for if node.can_take(kept_free_for) else None
        queue = self._overdue.longest(self._clock)
        if queue and node.can_take(queue) and (node not in queue.servers or set(queue.servers) >= self._able(queue)):
            queue.grace = self._clock + self._patience()
            return queue
        if queue and not any(other.can_take(queue) for other in self._nodes.values()):
            self._overdue.keep_free(queue, self._able(queue))
            if self._overdue.kept_free_for(node):
                return None
        own = (queue for queue in node.ready if node.has_worked or node.claims[queue.image].held)
        return min(filter(node.can_take, own), key=_age, default=None)

    def _next(self, node: Node[JobKey]) -> JobQueue[JobKey] | None:
        """Return the queue for a node's next job."""
        claimed = self._claimed(node)
        if claimed or self._overdue.kept_free_for(node):
            return claimed
        if not node.has_worked:
            return min(filter(node.can_take, [*node.ready, *self._helped_by(node)]), key=_age, default=None)
        new = (queue for image in self._claims.unclaimed(node) for queue in image.queues.values() if not queue.servers)
        chosen = next((queue for queue in new if queue.jobs and node.can_take(queue)), None)
        return chosen or max(filter(node.can_take, self._helped_by(node)), key=_backlog, default=None)

    def _helped_by(self, node: Node[JobKey]) -> list[JobQueue[JobKey]]:
        """Return the queues that are worth a further pull by this node."""
        is_idle = not node.jobs
        if is_idle not in self._helpable:
            is_worth = self._overflows if is_idle else _is_long
            self._helpable[is_idle] = list(filter(is_worth, self._queues))
        return self._helpable[is_idle]

    def _overflows(self, queue: JobQueue[JobKey]) -> bool:
        """Whether the nodes that serve a queue have no room for all of it."""
        free = (node for node in queue.servers if self._overdue.kept_free_for(node) in (None, queue))
        return len(queue.jobs) > sum(node.room(queue) for node in free)

    def _able(self, queue: JobQueue[JobKey]) -> set[Node[JobKey]]:
        return {node for node in self._nodes.values() if node.could_take(queue)}

    def _patience(self) -> int:
        return PATIENCE * (len(self._waiting) + len(self._running) + len(self._nodes))

    def _start(self, queue: JobQueue[JobKey], node: Node[JobKey]) -> JobKey:
        if node not in queue.servers or self._overdue.kept_free_for(node):
            queue.grace = self._clock + self._patience()
            self._overdue.forget_node(node)
        job = self._take(queue)
        node.start(job, queue)
        self._running[job] = node
        self._clock += 1
        self._claims.claim(queue.image, node).running += 1
        self._helpable.clear()
        return job

    def _take(self, queue: JobQueue[JobKey], job: JobKey | None = None) -> JobKey:
        """Take a job out of its queue, the next one if none is named."""
        job = queue.take(job)
        del self._waiting[job]
        self._waiting_by_size[queue.size] -= 1
        if not self._waiting_by_size[queue.size]:
            del self._waiting_by_size[queue.size]
        if not queue.jobs:
            del self._queues[queue]
        self._claims.update(queue.image)
        return job


def _thousandths(cpus: float) -> int:
    return round(cpus * 1000)


def _age(queue: JobQueue[JobKey]) -> int:
    return queue.first.number


def _backlog(queue: JobQueue[JobKey]) -> tuple[float, int]:
    return len(queue.jobs) / (1 + len(queue.servers)), -queue.number


def _is_long(queue: JobQueue[JobKey]) -> bool:
    return all(node.rounds >= WORTH_A_PULL for node in queue.servers)
