"""What the placement knows of nodes, images and the jobs that wait for them, with its indexes. Decides nothing."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

JobKey = TypeVar("JobKey", bound=Hashable)


@dataclass(eq=False)
class Node(Generic[JobKey]):
    """A machine: what it has, what is free of it, and which images it claims."""

    name: str
    number: int
    """Nodes are numbered in the order in which they came."""
    cpus: int
    """Thousandths of a processor: sums of whole numbers do not drift."""
    memory: int
    """Bytes; 0: not known, and not counted."""
    free_cpus: int = field(init=False)
    free_memory: int = field(init=False)
    has_worked: bool = False
    """Whether it had a job."""
    jobs: OrderedDict[JobKey, JobQueue[JobKey]] = field(default_factory=OrderedDict)
    """What runs here, in the order in which it was placed."""
    claims: dict[Image[JobKey], Claim] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    """Claimed images of each group. The group that was joined last stands last."""
    last_image: dict[str, Image[JobKey]] = field(default_factory=dict)
    """The image of each group that was claimed last."""
    promised: dict[Image[JobKey], None] = field(default_factory=dict)
    """Claimed images without any job here yet."""
    ready: dict[JobQueue[JobKey], None] = field(default_factory=dict)
    """Queues with jobs for claimed images that fit here when the node is empty."""
    backlog: int = 0
    """Thousandths of processors that the jobs in `ready` ask for."""

    def __post_init__(self) -> None:
        self.free_cpus, self.free_memory = self.cpus, self.memory

    @property
    def rounds(self) -> float:
        """How often the whole node is filled by what waits for it."""
        return self.backlog / self.cpus

    def could_take(self, queue: JobQueue[JobKey]) -> bool:
        """Whether one job of this kind fits when the node is empty."""
        return queue.cpus <= self.cpus and (not self.memory or queue.memory <= self.memory)

    def room(self, queue: JobQueue[JobKey]) -> int:
        """How many jobs of this kind fit now."""
        if not self.could_take(queue):
            return 0
        room = self.free_cpus // queue.cpus
        return min(room, self.free_memory // self.counted(queue)) if self.memory else room

    def can_take(self, queue: JobQueue[JobKey]) -> bool:
        """Whether one job of this kind fits now."""
        return self.room(queue) > 0

    def counted(self, queue: JobQueue[JobKey]) -> int:
        """Bytes that are counted for a job of this kind."""
        return min(queue.counted_memory, self.memory)

    def start(self, job: JobKey, queue: JobQueue[JobKey]) -> None:
        """Take a job."""
        self.has_worked = True
        self.jobs[job] = queue
        self.free_cpus -= queue.cpus
        self.free_memory -= self.counted(queue)
        self.promised.pop(queue.image, None)

    def finish(self, job: JobKey) -> JobQueue[JobKey]:
        """Let go of a job."""
        queue = self.jobs.pop(job)
        self.free_cpus += queue.cpus
        self.free_memory += self.counted(queue)
        return queue


@dataclass
class Claim:
    """A node's claim to an image: it has it, gets it for jobs that run, or is to get it next."""

    held: bool = False
    running: int = 0
    """Jobs of the image on the node."""


@dataclass(eq=False)
class Image(Generic[JobKey]):
    """An image, who claims it, and the jobs that wait for it."""

    name: str
    group: str
    number: int
    """The last number in its name: images with near numbers are of near dates, and share more layers."""
    nodes: dict[Node[JobKey], None] = field(default_factory=dict)
    """Those that claim it."""
    queues: dict[tuple[int, int], JobQueue[JobKey]] = field(default_factory=dict)
    """By what their jobs ask for; most images have one."""
    expected: bool = False
    """Jobs will come for it."""

    def unclaimed(self) -> bool:
        """Whether it is wanted, and nobody who claims it can run what waits for it."""
        if not self.nodes and self.expected:
            return True
        return any(queue.jobs and not queue.servers for queue in self.queues.values())

    def add_node(self, node: Node[JobKey]) -> None:
        """Note that a node claims it, which did not."""
        node.claims[self] = Claim()
        self.nodes[node] = None
        node.groups[self.group] = node.groups.get(self.group, 0) + 1
        node.last_image[self.group] = self
        for queue in self.queues.values():
            queue.add_server(node)

    def drop_node(self, node: Node[JobKey]) -> None:
        """Note that a node claims it no more."""
        del node.claims[self], self.nodes[node]
        node.promised.pop(self, None)
        node.groups[self.group] -= 1
        if not node.groups[self.group]:
            del node.groups[self.group], node.last_image[self.group]
        for queue in self.queues.values():
            queue.drop_server(node)


@dataclass(frozen=True)
class Ticket:
    """When a job came."""

    number: int
    """Its place among all jobs."""
    due: int
    """The number of jobs placed after which it was overtaken for too long."""


@dataclass(eq=False)
class JobQueue(Generic[JobKey]):
    """Jobs that wait for one image and ask for the same, in the order in which they came."""

    number: int
    image: Image[JobKey]
    cpus: int
    memory: int
    """The limit; 0: not known."""
    counted_memory: int
    jobs: OrderedDict[JobKey, Ticket] = field(default_factory=OrderedDict)
    servers: dict[Node[JobKey], None] = field(default_factory=dict)
    """Nodes that claim the image and could run such a job."""
    grace: int = 0
    """It is not due before as many jobs are placed, since something was done for it."""

    @property
    def first(self) -> Ticket:
        """The ticket of the job that is next."""
        return next(iter(self.jobs.values()))

    @property
    def due(self) -> int:
        """The number of jobs placed after which the next job was overtaken for too long."""
        return max(self.first.due, self.grace)

    def put(self, job: JobKey, ticket: Ticket) -> None:
        """Add a job at the end."""
        self.jobs[job] = ticket
        for node in self.servers:
            node.backlog += self.cpus
            node.ready[self] = None

    def take(self, job: JobKey | None = None) -> JobKey:
        """Remove a job, the next one if none is named, and return it."""
        if job is None:
            job = next(iter(self.jobs))
        del self.jobs[job]
        for node in self.servers:
            node.backlog -= self.cpus
            if not self.jobs:
                del node.ready[self]
        return job

    def add_server(self, node: Node[JobKey]) -> None:
        """Note that a node serves this queue, if it could."""
        if node in self.servers or not node.could_take(self):
            return
        self.servers[node] = None
        if self.jobs:
            node.ready[self] = None
            node.backlog += self.cpus * len(self.jobs)

    def drop_server(self, node: Node[JobKey]) -> None:
        """Note that a node serves this queue no more."""
        if self.servers.pop(node, self) is self or not self.jobs:
            return
        del node.ready[self]
        node.backlog -= self.cpus * len(self.jobs)


class Unclaimed(Generic[JobKey]):
    """Images that are wanted and that no node claims, by layer group."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Image[JobKey], None]] = {}

    def update(self, image: Image[JobKey]) -> None:
        """Take an image in or out, as it stands now."""
        group = self._groups.get(image.group, {})
        if image.unclaimed():
            group[image] = None
            self._groups[image.group] = group
        elif image in group:
            del group[image]
            if not group:
                del self._groups[image.group]

    def groups(self, serving: Mapping[str, int]) -> list[str]:
        """Return the groups, those with the most images for each node first, of the nodes that serve them."""
        return sorted(self._groups, key=lambda group: (-len(self._groups[group]) / (1 + serving.get(group, 0)), group))

    def of(self, group: str) -> Iterable[Image[JobKey]]:
        """Return the images of a group, in the order in which they came."""
        return self._groups.get(group, ())


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
