"""Work for a simulated cluster, drawn from recorded figures, and what no placement of it can beat."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SEED = 7
GIB = 2**30
VERSIONS = {
    "astropy": "aaaabbccddddeeeeeeeeff",
    "django": (
        "adbccccccccccccdccccccccccccccccccccccccddddddddddddddddddddddddddddeddeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
        "eeeeeeeeefeeeefffffffffffffffffffffffffffffffgffggffggggggggggggggggggggggggggggggghhhhhhhhhhhhhhhhh"
        "hhhhhhhiiiiiiiiiiiiiiiiiiiiiiii"
    ),
    "matplotlib": "abcccccdddddddeeeeeeeeefffffffffff",
    "seaborn": "aa",
    "flask": "a",
    "requests": "abbcdefg",
    "xarray": "aaaaaaaaaaaaabbccccddd",
    "pylint": "aabbccddde",
    "pytest": "acdbdeeffffggghijjj",
    "scikit-learn": "caaaaabcbbbbbbbccccccccccddddddd",
    "sphinx": "aabbbbcccccdddeeeefffgfhhhhhhiiijjjjkklkomno",
    "sympy": "aaaaabbbbbbbbbbbbbbbbccddddddeeeeeeeeeffffefgggggghhghhiiiiijjjjkkkllllllll",
}
"""SWE-bench Verified: the version of each instance of a repository, in the order of its number."""
MEDIAN_SECONDS, MEAN_SECONDS, OVERHEAD = 4.3, 11.9, 0.61
"""Of eval scripts, over instances; what a job takes beside its script."""
NOISE = 0.1
"""How much jobs of one instance differ: the standard deviation of the logarithm."""


@dataclass(frozen=True)
class Scenario:
    """What is simulated."""

    nodes: int = 100
    slots: int = 4
    """Jobs at a time on a node."""
    samples: int = 20
    """Jobs for each image."""
    in_flight: float = 8.0
    """Jobs that are asked for at a time, at most, for each slot."""
    images_gib: float = 120.0
    """All images, every layer once."""
    own_share: float = 0.5
    """Part of these bytes in layers of one image alone."""
    bandwidth: float = 125e6
    """Bytes a second that a node pulls."""
    longest_first: bool = True
    """Whether the run knows which instances take long, as it does from its second time on."""
    ahead: bool = True
    """Whether images are expected before their jobs, and pulled ahead."""


@dataclass(frozen=True)
class SimulatedImage:
    """An image: its layers, shared ones first, and its jobs."""

    name: str
    layers: tuple[str, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Workload:
    """What is to be run, in the order in which it is asked for."""

    images: Sequence[SimulatedImage]
    sizes: Mapping[str, float]
    """Bytes of each layer."""

    def work(self) -> float:
        """Seconds of all jobs."""
        return sum(sum(image.seconds) for image in self.images)


def workload(scenario: Scenario, seed: int = SEED) -> Workload:
    """Draw images and jobs."""
    rng = random.Random(seed)
    spread = math.sqrt(2 * math.log(MEAN_SECONDS / MEDIAN_SECONDS))
    sizes = {"base": 0.0}
    images: list[SimulatedImage] = []
    number = 10000
    for repository, versions in VERSIONS.items():
        for version in versions:
            environment = f"{repository} {version}"
            sizes.setdefault(environment, rng.lognormvariate(0, 0.5))
            number += rng.randint(1, 40)
            name = f"swebench/sweb.eval.x86_64.{repository}_1776_{repository}-{number}:latest"
            sizes[name] = rng.lognormvariate(0, 0.5)
            typical = MEDIAN_SECONDS * rng.lognormvariate(0, spread)
            seconds = [OVERHEAD + typical * rng.lognormvariate(0, NOISE) for _ in range(scenario.samples)]
            images.append(SimulatedImage(name, ("base", environment, name), tuple(seconds)))
    rng.shuffle(images)
    if scenario.longest_first:
        images.sort(key=lambda image: -sum(image.seconds))
    return Workload(images, _scaled(sizes, scenario))


def _scaled(drawn: Mapping[str, float], scenario: Scenario) -> dict[str, float]:
    """Bring the drawn sizes to the total of the scenario. The base layer is as large as a mean environment."""
    own = {name for name in drawn if name.startswith("swebench/")}
    shared = set(drawn) - own
    total = scenario.images_gib * GIB
    mean = total * (1 - scenario.own_share) / len(shared)
    environments = sum(drawn[name] for name in shared)
    owns = sum(drawn[name] for name in own)
    scaled = {
        name: size * (total * scenario.own_share / owns if name in own else mean * (len(shared) - 1) / environments)
        for name, size in drawn.items()
    }
    return {**scaled, "base": mean}


@dataclass(frozen=True)
class Bounds:
    """What no placement can beat."""

    work: float
    """Seconds: all work over all slots."""
    longest: float
    """Seconds: the longest job, and the pull of its image."""
    first_pull: float
    """Seconds: the smallest pull; no node starts before its first."""
    pulled: float
    """Bytes, for a run that takes no longer than the time it was asked for."""

    @property
    def makespan(self) -> float:
        """Seconds."""
        return max(self.work, self.longest)


def bounds(scenario: Scenario, work: Workload, seconds: float = 0.0) -> Bounds:
    """Return the bounds; that of the bytes for a run of so many seconds (default: 1.05 times the bound of the time)."""

    def size(image: SimulatedImage) -> float:
        return sum(work.sizes[layer] for layer in image.layers)

    mean = work.work() / (scenario.nodes * scenario.slots)
    longest = max(max(image.seconds) + size(image) / scenario.bandwidth for image in work.images)
    seconds = seconds or 1.05 * max(mean, longest)
    loads: dict[str, float] = defaultdict(float)
    nodes: dict[str, int] = defaultdict(int)
    for image in work.images:
        for layer in image.layers:
            loads[layer] += sum(image.seconds)
        # a slot runs so many of its jobs one after the other
        each = max(1, int(seconds / min(image.seconds)))
        nodes[image.name] = math.ceil(len(image.seconds) / (each * scenario.slots))
    for layer, load in loads.items():
        nodes[layer] = max(nodes[layer], math.ceil(load / (seconds * scenario.slots)))
    pulled = sum(work.sizes[layer] * count for layer, count in nodes.items())
    return Bounds(mean, longest, min(map(size, work.images)) / scenario.bandwidth, pulled)
