"""A simulated cluster around the real `Placement`: nodes that pull layers and run jobs, on a clock of events."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from _workload import GIB, Scenario, Workload

from swerl_eval.sandboxes.ray.placement import Need, Placement


class Places(Protocol):
    """What the simulation needs of a placement."""

    def add_node(self, node: str, cpus: float, memory: int) -> None:
        """Take in a node."""
        ...

    def expect(self, images: Sequence[str]) -> None:
        """Images that jobs will come for."""
        ...

    def add(self, job: tuple[int, int], need: Need) -> None:
        """Queue a job."""
        ...

    def place(self) -> list[tuple[tuple[int, int], str]]:
        """What starts now and where."""
        ...

    def promises(self) -> list[tuple[str, str]]:
        """Images to pull ahead."""
        ...

    def end(self, job: tuple[int, int]) -> None:
        """A job ended."""
        ...


class FirstFree:
    """Naive placement: the next job goes to the node with the most room, whatever it has."""

    def __init__(self) -> None:
        self._room: dict[str, float] = {}
        self._jobs: deque[tuple[tuple[int, int], Need]] = deque()
        self._places: dict[tuple[int, int], tuple[str, float]] = {}

    def add_node(self, node: str, cpus: float, memory: int) -> None:
        """Take in a node."""
        self._room[node] = cpus

    def expect(self, images: Sequence[str]) -> None:
        """Nothing is done with it."""

    def add(self, job: tuple[int, int], need: Need) -> None:
        """Queue a job."""
        self._jobs.append((job, need))

    def place(self) -> list[tuple[tuple[int, int], str]]:
        """Place jobs in their order."""
        placed = []
        while self._jobs:
            job, need = self._jobs[0]
            node = max(self._room, key=lambda name: self._room[name])
            if self._room[node] < need.cpus:
                break
            self._jobs.popleft()
            self._room[node] -= need.cpus
            self._places[job] = (node, need.cpus)
            placed.append((job, node))
        return placed

    def promises(self) -> list[tuple[str, str]]:
        """Nothing is pulled ahead."""
        return []

    def end(self, job: tuple[int, int]) -> None:
        """A job ended."""
        node, cpus = self._places.pop(job)
        self._room[node] += cpus


@dataclass
class _Machine:
    """A node: its layers, one pull at a time, and the jobs that wait for a pull."""

    layers: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    wanted: deque[str] = field(default_factory=deque)
    """To pull for jobs that are there."""
    ahead: deque[str] = field(default_factory=deque)
    pulling: str = ""
    waiting: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass
class Simulated:
    """What came out."""

    makespan: float = 0.0
    pulled: float = 0.0
    """Bytes."""
    image_pulls: int = 0
    waited: float = 0.0
    """Seconds that slots were held by jobs that waited for a pull."""
    placing: float = 0.0
    """Real seconds in the placement."""


class Simulation:
    """One run of a workload on a cluster."""

    def __init__(self, scenario: Scenario, work: Workload, placement: Places) -> None:
        self._scenario, self._work, self._placement = scenario, work, placement
        self._images = {image.name: image for image in work.images}
        self._machines = {f"node{number:03}": _Machine() for number in range(scenario.nodes)}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._now = 0.0
        self._where: dict[tuple[int, int], str] = {}
        self._placed_at: dict[tuple[int, int], float] = {}
        self._out = Simulated()

    def run(self) -> Simulated:
        """Run until the last job has ended."""
        for name in self._machines:
            self._placement.add_node(name, 1.0 * self._scenario.slots, self._scenario.slots * 8 * GIB)
        if self._scenario.ahead:
            self._timed(lambda: self._placement.expect([image.name for image in self._work.images]))
            self._place()
        jobs = ((i, k) for i, image in enumerate(self._work.images) for k in range(len(image.seconds)))
        limit = int(self._scenario.in_flight * self._scenario.slots * self._scenario.nodes)
        total = sum(len(image.seconds) for image in self._work.images)
        self._ended = asked = 0
        while self._ended < total:
            while asked < total and asked - self._ended < limit:
                job = next(jobs)
                need = Need(self._work.images[job[0]].name, 1.0, 8 * GIB)
                self._timed(partial(self._placement.add, job, need))
                asked += 1
            self._timed(self._place)
            self._now, _, event = heapq.heappop(self._events)
            event()
        self._out.makespan = self._now
        return self._out

    def _timed(self, call: Callable[[], None]) -> None:
        began = time.perf_counter()
        call()
        self._out.placing += time.perf_counter() - began

    def _place(self) -> None:
        for job, name in self._placement.place():
            self._begin(job, name)
        for image, name in self._placement.promises():
            self._machines[name].ahead.append(image)
            self._pull(name)

    def _begin(self, job: tuple[int, int], name: str) -> None:
        machine, image = self._machines[name], self._work.images[job[0]].name
        self._where[job], self._placed_at[job] = name, self._now
        if image in machine.images:
            self._start(job)
            return
        if image not in machine.waiting:
            machine.wanted.append(image)
        machine.waiting.setdefault(image, []).append(job)
        self._pull(name)

    def _start(self, job: tuple[int, int]) -> None:
        self._out.waited += self._now - self._placed_at[job]
        self._at(self._work.images[job[0]].seconds[job[1]], lambda: self._end(job))

    def _end(self, job: tuple[int, int]) -> None:
        self._ended += 1
        self._timed(lambda: self._placement.end(job))

    def _pull(self, name: str) -> None:
        """Begin the next pull, one at a time; those that jobs wait for come first."""
        machine = self._machines[name]
        while not machine.pulling and (machine.wanted or machine.ahead):
            image = (machine.wanted or machine.ahead).popleft()
            if image in machine.images:
                continue
            machine.pulling = image
            size = sum(self._work.sizes[layer] for layer in self._images[image].layers if layer not in machine.layers)
            self._out.pulled += size
            self._out.image_pulls += 1
            self._at(size / self._scenario.bandwidth, partial(self._pulled, name, image))

    def _pulled(self, name: str, image: str) -> None:
        machine = self._machines[name]
        machine.pulling = ""
        machine.images.add(image)
        machine.layers.update(self._images[image].layers)
        for job in machine.waiting.pop(image, []):
            self._start(job)
        self._pull(name)

    def _at(self, delay: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self._now + delay, self._count, event))


def simulated(scenario: Scenario, work: Workload, *, naive: bool = False) -> Simulated:
    """Run a workload, by our placement or by the naive one."""
    placement: Places = FirstFree() if naive else Placement()
    return Simulation(scenario, work, placement).run()
