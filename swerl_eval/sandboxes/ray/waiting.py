"""Nodes, images, and the jobs that wait for them, as the placement knows them. Decides nothing."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from swerl_eval.core.capacity import JOBS_PER_CORE, MEMORY_PER_JOB

JobKey = TypeVar("JobKey", bound=Hashable)
JOB_CPUS = round(1000 / JOBS_PER_CORE)
"""Thousandths of a processor that a job counts for at most."""


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
    most_jobs: float = math.inf
    """Jobs at a time, at least one: fewer than fit while it is overloaded."""
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
    """Thousandths of processors that the jobs in `ready` count for."""

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
        cpus, memory = queue.size
        room = min(self.free_cpus // cpus, self.most_jobs - len(self.jobs))
        if self.memory:
            room = min(room, self.free_memory // min(memory, self.memory))
        return max(0, int(room))

    def has(self, cpus: int, memory: int) -> bool:
        """Whether so much is free for one more job."""
        if len(self.jobs) >= self.most_jobs or self.free_cpus < cpus:
            return False
        return not self.memory or self.free_memory >= min(memory, self.memory)

    def can_take(self, queue: JobQueue[JobKey]) -> bool:
        """Whether one job of this kind fits now."""
        return self.could_take(queue) and self.has(*queue.size)

    def start(self, job: JobKey, queue: JobQueue[JobKey]) -> None:
        """Take a job."""
        self.has_worked = True
        self.jobs[job] = queue
        cpus, memory = queue.size
        self.free_cpus -= cpus
        self.free_memory -= min(memory, self.memory)
        self.promised.pop(queue.image, None)

    def finish(self, job: JobKey) -> JobQueue[JobKey]:
        """Let go of a job."""
        queue = self.jobs.pop(job)
        cpus, memory = queue.size
        self.free_cpus += cpus
        self.free_memory += min(memory, self.memory)
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
    """The limit, in thousandths of a processor."""
    memory: int
    """The limit, in bytes; 0: not known."""
    jobs: OrderedDict[JobKey, Ticket] = field(default_factory=OrderedDict)
    servers: dict[Node[JobKey], None] = field(default_factory=dict)
    """Nodes that claim the image and could run such a job."""
    grace: int = 0
    """It is not due before as many jobs are placed, since something was done for it."""
    size: tuple[int, int] = field(init=False)
    """What each of its jobs counts for: thousandths of a processor, bytes."""

    def __post_init__(self) -> None:
        self.size = min(self.cpus, JOB_CPUS), min(self.memory or MEMORY_PER_JOB, MEMORY_PER_JOB)

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
            node.backlog += self.size[0]
            node.ready[self] = None

    def take(self, job: JobKey | None = None) -> JobKey:
        """Remove a job, the next one if none is named, and return it."""
        if job is None:
            job = next(iter(self.jobs))
        del self.jobs[job]
        for node in self.servers:
            node.backlog -= self.size[0]
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
            node.backlog += self.size[0] * len(self.jobs)

    def drop_server(self, node: Node[JobKey]) -> None:
        """Note that a node serves this queue no more."""
        if self.servers.pop(node, self) is self or not self.jobs:
            return
        del node.ready[self]
        node.backlog -= self.size[0] * len(self.jobs)
