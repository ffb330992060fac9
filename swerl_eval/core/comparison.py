"""Compares two sides that were measured on the same instances: difference, intervals, exact test.

Everything is paired by instance. Of a pair only the change counts: 1 where the second side alone resolves the instance
(gained), -1 where the first side alone does (lost), 0 where both agree. `docs/metrics.md` has formulas and sources.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

RESAMPLES = 10_000
"""Resamples of a bootstrap interval."""
FEWEST_DISCORDANT = 6
"""With fewer discordant pairs no exact p is below 0.05: 2 / 2**5 = 0.0625."""
_ALPHA, _POWER = 0.05, 0.8
_CHUNK = 1_000
"""Resamples that are held in memory at a time."""


@dataclass(frozen=True)
class Pair:
    """Whether either side resolves one instance."""

    first: bool
    second: bool
    cluster: Hashable = ""
    """What the instance has in common with others: its repository."""

    @property
    def change(self) -> int:
        """1 for gained, -1 for lost, 0 otherwise."""
        return int(self.second) - int(self.first)


@dataclass(frozen=True)
class PairedFigures:
    """The figures of two sides over the same instances. Rates and differences are fractions."""

    instances: int
    both: int
    gained: int
    """Resolved by the second side alone."""
    lost: int
    """Resolved by the first side alone."""
    neither: int
    difference: float
    """The second side's solve rate minus the first one's."""
    interval: tuple[float, float]
    """95 % interval of the difference: paired bootstrap over instances."""
    clusters: int
    clustered_interval: tuple[float, float] | None
    """The same with whole clusters resampled; None with fewer than two clusters."""
    clustered_error: float | None
    """Standard error of the difference, clustered; None with fewer than two clusters."""
    p: float
    """McNemar's exact p, two-sided."""
    detectable: float | None
    """The smallest difference that could have been shown; None where none could."""


def compare_pairs(pairs: Sequence[Pair], seed: int, resamples: int = RESAMPLES) -> PairedFigures:
    """Return the figures of two sides. Exchanged sides negate the difference and mirror the intervals.

    Args:
        pairs: The instances, in an order that does not depend on the sides.
        seed: The same pairs and seed give the same intervals.
        resamples: Resamples of each interval.

    Raises:
        ValueError: There are no pairs.
    """
    if not pairs:
        message = "there are no instances to compare"
        raise ValueError(message)
    changes = [pair.change for pair in pairs]
    gained, lost, count = changes.count(1), changes.count(-1), len(pairs)
    both = sum(pair.first and pair.second for pair in pairs)
    sums, sizes = _by_cluster(pairs)
    several = len(sums) > 1
    return PairedFigures(
        instances=count,
        both=both,
        gained=gained,
        lost=lost,
        neither=count - both - gained - lost,
        difference=(gained - lost) / count,
        interval=bootstrap_interval(changes, [1] * count, seed, resamples),
        clusters=len(sums),
        clustered_interval=bootstrap_interval(sums, sizes, seed, resamples) if several else None,
        clustered_error=clustered_error(sums, sizes) if several else None,
        p=mcnemar_p(gained, lost),
        detectable=detectable_difference(count, gained + lost),
    )


def _by_cluster(pairs: Sequence[Pair]) -> tuple[list[int], list[int]]:
    """Return the sum of the changes in each cluster, and the size of each cluster, in the order of the pairs."""
    sums: dict[Hashable, int] = {}
    sizes: dict[Hashable, int] = {}
    for pair in pairs:
        sums[pair.cluster] = sums.get(pair.cluster, 0) + pair.change
        sizes[pair.cluster] = sizes.get(pair.cluster, 0) + 1
    return list(sums.values()), list(sizes.values())


def bootstrap_interval(
    sums: Sequence[int], sizes: Sequence[int], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean change, from resampled units.

    A unit is an instance, or a cluster of instances. As many units as there are are drawn with replacement; the mean is
    the sum of their changes divided by the sum of their sizes. Both ends cut off equally many resamples.

    Args:
        sums: The sum of the changes in each unit.
        sizes: The number of instances in each unit.
        seed: Seed of the resampling.
        resamples: Number of resamples.
    """
    import numpy as np

    # the streams of RandomState are frozen, those of numpy's newer generators may change with a release
    stream = np.random.RandomState(seed % 2**32)
    all_sums, all_sizes = np.asarray(sums, dtype=np.int64), np.asarray(sizes, dtype=np.int64)
    means: list[float] = []
    while len(means) < resamples:
        drawn = stream.randint(0, len(sums), (min(_CHUNK, resamples - len(means)), len(sums)), np.int64)
        means += (all_sums[drawn].sum(axis=1) / all_sizes[drawn].sum(axis=1)).tolist()
    means.sort()
    cut = int(resamples * _ALPHA / 2)
    return means[cut], means[-1 - cut]


def mcnemar_p(gained: int, lost: int) -> float:
    """Return McNemar's exact p: two-sided binomial with probability 1/2 on the discordant pairs; 1 without any."""
    discordant, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**discordant)))


def clustered_error(sums: Sequence[int], sizes: Sequence[int]) -> float:
    """Return the clustered standard error of the mean change (arXiv 2411.00640, section 2.2).

    Args:
        sums: The sum of the changes in each cluster.
        sizes: The number of instances in each cluster.
    """
    count = sum(sizes)
    mean = sum(sums) / count
    return math.sqrt(sum((total - size * mean) ** 2 for total, size in zip(sums, sizes, strict=True))) / count


def detectable_difference(instances: int, discordant: int) -> float | None:
    """Return the smallest difference of two solve rates that McNemar's test shows with a power of 80 %, two-sided 5 %.

    This solves Connor's sample size for paired proportions (Biometrics 43, 1987) for the difference, at the observed
    rate of discordant pairs.

    Args:
        instances: Number of pairs.
        discordant: How many of them are gained or lost.

    Returns:
        A fraction; None where no difference can be shown, since it cannot exceed the rate of discordant pairs.
    """
    if discordant < FEWEST_DISCORDANT:
        return None
    rate = discordant / instances
    alpha, beta = NormalDist().inv_cdf(1 - _ALPHA / 2), NormalDist().inv_cdf(_POWER)
    root = beta * math.sqrt(rate * (instances - alpha**2 + beta**2))
    difference = (alpha * math.sqrt(instances * rate) + root) / (instances + beta**2)
    return difference if difference <= rate else None
