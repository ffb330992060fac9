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

from swerl_eval.core.metrics import RESAMPLES, bootstrap_interval, clustered_error

FEWEST_DISCORDANT = 6
"""With fewer discordant pairs no exact p is below 0.05: 2 / 2**5 = 0.0625."""
_ALPHA, _POWER = 0.05, 0.8


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


def mcnemar_p(gained: int, lost: int) -> float:
    """Return McNemar's exact p: two-sided binomial with probability 1/2 on the discordant pairs; 1 without any."""
    discordant, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**discordant)))


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
