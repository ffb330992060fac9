"""What the placement knows of nodes, images and the jobs that wait for them, with its indexes. Decides nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
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
    free_cpus: int = 0
    free_memory: int = 0
    jobs: OrderedDict[JobKey, JobQueue[JobKey]] = field(default_factory=OrderedDict)
    """What runs here, in the order in which it was placed."""
    claims: dict[Image[JobKey], Claim] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    """Claimed images of each group. The group that was joined last stands last."""
    promised: dict[Image[JobKey], None] = field(default_factory=dict)
    """Claimed images without any job here yet."""
    ready: dict[JobQueue[JobKey], None] = field(default_factory=dict)
    """Queues with jobs for claimed images that fit here when the node is empty."""
    backlog: int = 0
    """Thousandths of processors that the jobs in `ready` ask for."""

    @property
    def rounds(self) -> float:
        """How often the whole node is filled by what waits for it."""
        return self.backlog / self.cpus

    def could_take(self, queue: JobQueue[JobKey]) -> bool:
        """Whether one job of this kind fits when the node is empty."""
        return queue.cpus <= self.cpus and (not self.memory or queue.memory <= self.memory)

    def can_take(self, queue: JobQueue[JobKey]) -> bool:
        """Whether one job of this kind fits now."""
        return (
            queue.cpus <= self.free_cpus
            and self.could_take(queue)
            and (not self.memory or self.counted(queue) <= self.free_memory)
        )

    def counted(self, queue: JobQueue[JobKey]) -> int:
        """Bytes that are counted for a job of this kind."""
        return min(queue.counted_memory, self.memory)

    def start(self, job: JobKey, queue: JobQueue[JobKey]) -> None:
        """Take a job."""
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
    position: list[int]
    """Numbers in its name: images with near numbers are of near dates, and share more layers."""
    claimants: dict[Node[JobKey], None] = field(default_factory=dict)
    queues: dict[tuple[int, int], JobQueue[JobKey]] = field(default_factory=dict)
    """By what their jobs ask for; most images have one."""
    expected: bool = False
    """Jobs will come for it."""

    def unclaimed(self) -> bool:
        """Whether it is wanted, and nobody who claims it can run what waits for it."""
        if not self.claimants and self.expected:
            return True
        return any(queue.jobs and not queue.servers for queue in self.queues.values())


@dataclass(frozen=True)
class Ticket:
    """When a job came."""

    number: int
    """Its place among all jobs."""
    clock: int
    """How many jobs had been placed before it came."""


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
    served: int = 0
    """The clock when a further node began to serve it."""
    listed: bool = False
    """Whether it is in the list of those that wait the longest."""

    @property
    def first(self) -> Ticket:
        """The ticket of the job that is next."""
        return next(iter(self.jobs.values()))

    @property
    def since(self) -> int:
        """The clock since when nothing was done for the job that is next."""
        return max(self.first.clock, self.served)

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

    def __bool__(self) -> bool:
        return bool(self._groups)

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

    def groups(self) -> Iterator[tuple[str, int]]:
        """Return each group with the number of its images."""
        return ((name, len(images)) for name, images in self._groups.items())

    def of(self, group: str) -> Iterable[Image[JobKey]]:
        """Return the images of a group, in the order in which they came."""
        return self._groups.get(group, ())
