"""Decides which node runs which job, so that few layers are pulled and no node is idle.

A node that has room takes, of what fits, the first of these that there is:

1. a job that was overtaken for too long, so that it gets a further node;
2. a job whose image the node claims: it has it, is getting it, or was promised it; the oldest first;
3. a job whose image nobody claims, of a layer group that the node has pulled from;
4. a job whose image nobody claims, of the group with the most such images for each node that serves it;
5. a job of the longest backlog elsewhere, if that fills its nodes at least `WORTH_A_PULL` times.

Time is counted in jobs placed, so that the same calls give the same placements. A job that is overtaken by `PATIENCE`
times as many jobs as run is handed to one more node. If it is too large for any gap, a node is kept free for it.

Limits are caps, not reservations: few jobs use theirs. A job counts as its processors and as at most `JOB_MEMORY`, but
it is never placed on a node that has less memory in all than its limit.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from swerl_eval.sandboxes.ray.waiting import Claim, Image, JobKey, JobQueue, Node, Ticket, Unclaimed

UNKNOWN_CPUS = 1.0
"""Processors that a job counts for which asks for none."""
JOB_MEMORY = 2 * 2**30
"""Bytes that a job counts for at most; few test suites need more (as in `scheduling.workers`)."""
WORTH_A_PULL = 0.5
"""How often a backlog has to fill all nodes that serve it before another node pulls its image, too."""
PATIENCE = 3
"""A job waits for the nodes that claim its image while others are placed: this many for each one that runs."""
LEAD = 1
"""Images that are promised to a node beyond those that it has jobs of."""


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
    """Which node runs which job. Pure: no clock, no Ray. Not safe for threads.

    Args:
        lead: How many images are promised to a node beyond those that it has jobs of, for pulls ahead.
    """

    def __init__(self, lead: int = LEAD) -> None:
        self._lead = lead
        self._nodes: dict[str, Node[JobKey]] = {}
        self._images: dict[str, Image[JobKey]] = {}
        self._waiting: dict[JobKey, JobQueue[JobKey]] = {}
        self._running: dict[JobKey, Node[JobKey]] = {}
        self._unclaimed: Unclaimed[JobKey] = Unclaimed()
        self._serving: Counter[str] = Counter()
        """Nodes that claim images of a group."""
        self._oldest: list[tuple[int, int, JobQueue[JobKey]]] = []
        """A heap of queues by `since`, which may have grown after the entry was made."""
        self._kept_free: tuple[Node[JobKey], JobQueue[JobKey]] | None = None
        self._promises: list[tuple[str, str]] = []
        self._node_count = self._queue_count = self._job_count = self._clock = 0

    def add_node(self, node: str, cpus: float, memory: int, images: Collection[str] = ()) -> None:
        """Take in a node, with the images that it has already.

        Raises:
            ValueError: There is a node of this name, or it has no processors.
        """
        if node in self._nodes or _thousandths(cpus) <= 0:
            message = f"node {node!r}: it is there already, or has no processors ({cpus})"
            raise ValueError(message)
        self._node_count += 1
        added: Node[JobKey] = Node(node, self._node_count, _thousandths(cpus), memory)
        added.free_cpus, added.free_memory = added.cpus, added.memory
        self._nodes[node] = added
        for name in images:
            self._claim(self._image(name), added).held = True

    def remove_node(self, node: str) -> list[JobKey]:
        """Forget a node and the jobs that ran there; return these in the order in which they were placed."""
        removed = self._nodes.pop(node, None)
        if removed is None:
            return []
        lost = list(removed.jobs)
        for job in lost:
            del self._running[job]
        for image in list(removed.claims):
            self._drop_claim(image, removed)
        if self._kept_free and self._kept_free[0] is removed:
            self._kept_free = None
        return lost

    def expect(self, images: Sequence[str]) -> None:
        """Note images that jobs will come for, in this order; they are promised to nodes ahead. A hint."""
        for name in images:
            image = self._image(name)
            image.expected = True
            self._unclaimed.update(image)
        self._promise()

    def add(self, job: JobKey, need: Need) -> None:
        """Queue a job. Raises `ValueError` if it is queued or running already."""
        if job in self._waiting or job in self._running:
            message = f"job {job!r} is queued or running already"
            raise ValueError(message)
        queue = self._queue(need)
        self._job_count += 1
        if not queue.listed:
            queue.listed = True
            heapq.heappush(self._oldest, (max(self._clock, queue.served), queue.number, queue))
        queue.put(job, Ticket(self._job_count, self._clock))
        self._waiting[job] = queue
        queue.image.expected = False
        self._unclaimed.update(queue.image)

    def place(self) -> list[tuple[JobKey, str]]:
        """Return what starts now and where, until nothing more fits."""
        placed: list[tuple[JobKey, str]] = []
        # first what nodes have claimed, so that nobody pulls what is about to start elsewhere
        for anything in (False, True):
            if not self._waiting:
                break
            roomy = [(-node.free_cpus, node.number, node) for node in self._nodes.values() if node.free_cpus]
            heapq.heapify(roomy)
            while roomy and self._waiting:
                _, number, node = heapq.heappop(roomy)
                queue = self._choose(node, anything=anything)
                if queue is not None:
                    placed.append((self._start(queue, node), node.name))
                    if node.free_cpus:
                        heapq.heappush(roomy, (-node.free_cpus, number, node))
        self._promise()
        return placed

    def end(self, job: JobKey, *, holds_image: bool = True) -> None:
        """Note that a job ended or was cancelled, queued or running, and whether its node has the image now.

        A job that is not known, such as one of a removed node, is ignored.
        """
        if job in self._waiting:
            queue = self._waiting.pop(job)
            queue.take(job)
            self._unclaimed.update(queue.image)
            if not queue.jobs and self._kept_free and self._kept_free[1] is queue:
                self._kept_free = None
        elif job in self._running:
            node = self._running.pop(job)
            image = node.finish(job).image
            claim = node.claims[image]
            claim.running -= 1
            claim.held = holds_image
            if not claim.held and not claim.running:
                self._drop_claim(image, node)

    def fits_nowhere(self, job: JobKey) -> bool:
        """Whether a job is queued that no node could take even if it were empty; so it is while there is no node."""
        queue = self._waiting.get(job)
        return queue is not None and not any(node.could_take(queue) for node in self._nodes.values())

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
        claimants = self._images[image].claimants if image in self._images else {}
        held = (node.name for node in claimants if node.claims[self._images[image]].held)
        return next(held, next((node.name for node in claimants), None))

    def promises(self) -> list[tuple[str, str]]:
        """Return the images, with their nodes, that were promised since the last call: they can be pulled ahead."""
        promises, self._promises = self._promises, []
        return promises

    def _choose(self, node: Node[JobKey], *, anything: bool) -> JobQueue[JobKey] | None:
        """Return the queue that gives a node its next job; with `anything`, also one whose image it does not claim."""
        if self._kept_free and self._kept_free[0] is node:
            return self._kept_free[1] if node.can_take(self._kept_free[1]) else None
        overdue = self._overdue(node)
        if overdue:
            return overdue
        ready = (queue for queue in node.ready if node.can_take(queue))
        claimed = min(ready, key=lambda queue: queue.first.number, default=None)
        if claimed or not anything:
            return claimed
        return next(self._new_images(node), None) or self._backlog_elsewhere(node)

    def _new_images(self, node: Node[JobKey]) -> Iterator[JobQueue[JobKey]]:
        """Yield the queues whose image nobody claims and that fit now, the best first."""
        for image in self._by_layers(node):
            for queue in image.queues.values():
                if queue.jobs and not queue.servers and node.can_take(queue):
                    yield queue

    def _by_layers(self, node: Node[JobKey]) -> Iterator[Image[JobKey]]:
        """Yield the images that nobody claims: those that share layers with the node's, then the others."""
        if not self._unclaimed:
            return
        for group in reversed(node.groups):
            yield from self._unclaimed.of(group)
        others = [
            (-count / (1 + self._serving[group]), group)
            for group, count in self._unclaimed.groups()
            if group not in node.groups
        ]
        for _, group in sorted(others):
            yield from self._unclaimed.of(group)

    def _backlog_elsewhere(self, node: Node[JobKey]) -> JobQueue[JobKey] | None:
        """Return the queue with the most jobs of the node with the longest backlog that is worth another pull."""
        busy = [(-other.rounds, other.number, other) for other in self._nodes.values() if other.rounds >= WORTH_A_PULL]
        for _, _, other in sorted(busy):
            worth = [
                (queue.image.group in node.groups, len(queue.jobs), -queue.number, queue)
                for queue in other.ready
                if node.can_take(queue) and all(server.rounds >= WORTH_A_PULL for server in queue.servers)
            ]
            if worth:
                return max(worth)[-1]
        return None

    def _overdue(self, node: Node[JobKey]) -> JobQueue[JobKey] | None:
        """Return the queue that was passed over the longest, if that is too long and this node may help."""
        queue = self._longest_unserved()
        patience = PATIENCE * max(len(self._running), len(self._nodes))
        if queue is None or self._clock - queue.since <= patience:
            return None
        if not node.can_take(queue):
            if not self._kept_free and self._clock - queue.since > 2 * patience:
                self._keep_free(queue)
            return None
        if node in queue.servers and len(queue.servers) < len(self._able(queue)):
            return None
        queue.served = self._clock
        return queue

    def _longest_unserved(self) -> JobQueue[JobKey] | None:
        while self._oldest:
            since, number, queue = self._oldest[0]
            if not queue.jobs:
                heapq.heappop(self._oldest)
                queue.listed = False
            elif queue.since > since:
                heapq.heapreplace(self._oldest, (queue.since, number, queue))
            else:
                return queue
        return None

    def _keep_free(self, queue: JobQueue[JobKey]) -> None:
        """Give no other job to the node that has the most room for this one, until it is there."""
        able = [(node not in queue.servers, -node.free_cpus, node.number, node) for node in self._able(queue)]
        if able:
            self._kept_free = (min(able)[-1], queue)

    def _able(self, queue: JobQueue[JobKey]) -> list[Node[JobKey]]:
        return [node for node in self._nodes.values() if node.could_take(queue)]

    def _start(self, queue: JobQueue[JobKey], node: Node[JobKey]) -> JobKey:
        kept_free = self._kept_free is not None and self._kept_free[1] is queue
        if kept_free or node not in queue.servers:
            queue.served = self._clock
        if kept_free:
            self._kept_free = None
        job = queue.take()
        del self._waiting[job]
        node.start(job, queue)
        self._running[job] = node
        self._clock += 1
        self._claim(queue.image, node).running += 1
        return job

    def _promise(self) -> None:
        """Promise images that nobody claims to the nodes that have no promise open."""
        for node in self._nodes.values():
            while self._unclaimed and len(node.promised) < self._lead:
                image = next(self._by_layers(node), None)
                if image is None or image.claimants:
                    break
                self._claim(image, node)
                node.promised[image] = None
                self._promises.append((image.name, node.name))

    def _claim(self, image: Image[JobKey], node: Node[JobKey]) -> Claim:
        if image in node.claims:
            return node.claims[image]
        claim = node.claims[image] = Claim()
        image.claimants[node] = None
        if image.group not in node.groups:
            self._serving[image.group] += 1
        node.groups[image.group] = node.groups.get(image.group, 0) + 1
        for queue in image.queues.values():
            queue.add_server(node)
        self._unclaimed.update(image)
        return claim

    def _drop_claim(self, image: Image[JobKey], node: Node[JobKey]) -> None:
        del node.claims[image], image.claimants[node]
        node.promised.pop(image, None)
        node.groups[image.group] -= 1
        if not node.groups[image.group]:
            del node.groups[image.group]
            self._serving[image.group] -= 1
        for queue in image.queues.values():
            queue.drop_server(node)
        self._unclaimed.update(image)

    def _image(self, name: str) -> Image[JobKey]:
        image = self._images.get(name)
        if image is None:
            numbers = [int(number) for number in re.findall(r"\d+", name)]
            image = self._images[name] = Image(name, layer_group(name), numbers)
        return image

    def _queue(self, need: Need) -> JobQueue[JobKey]:
        image = self._image(need.image)
        kind = (_thousandths(need.cpus) or _thousandths(UNKNOWN_CPUS), max(0, need.memory))
        queue = image.queues.get(kind)
        if queue is None:
            self._queue_count += 1
            counted = min(kind[1] or JOB_MEMORY, JOB_MEMORY)
            queue = image.queues[kind] = JobQueue(self._queue_count, image, *kind, counted)
            for node in image.claimants:
                queue.add_server(node)
        return queue


def _thousandths(cpus: float) -> int:
    return round(cpus * 1000)
