"""Metrics of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

RESAMPLES = 10_000
"""Resamples of a bootstrap interval."""
_CHUNK = 1_000
"""Resamples that are held in memory at a time."""
_ALPHA = 0.05


def wilson(successes: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval of a rate (95 % by default), as fractions; (0, 1) when nothing was measured."""
    if total == 0:
        return 0.0, 1.0
    rate = successes / total
    spread = z * z / total
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / total + spread / (4 * total))
    # the rate lies within the interval; rounding could put it outside where nothing or everything succeeds
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def bootstrap_interval(
    sums: Sequence[int], sizes: Sequence[int], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean, from resampled units.

    A unit is an instance, or a cluster of instances. As many units as there are are drawn with replacement; the mean is
    the sum of their values divided by the sum of their sizes. Both ends cut off equally many resamples.

    Args:
        sums: The sum of the values in each unit: changes, or resolved instances.
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


def clustered_error(sums: Sequence[int], sizes: Sequence[int]) -> float:
    """Return the clustered standard error of a mean (arXiv 2411.00640, section 2.2).

    Args:
        sums: The sum of the values in each cluster.
        sizes: The number of instances in each cluster.
    """
    count = sum(sizes)
    mean = sum(sums) / count
    return math.sqrt(sum((total - size * mean) ** 2 for total, size in zip(sums, sizes, strict=True))) / count


@dataclass(frozen=True)
class ClusteredRate:
    """How far a solve rate can be trusted if the instances of one cluster tend to be resolved together."""

    clusters: int
    error: float
    """Standard error of the rate."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the rate, from whole clusters."""


def clustered_rate(outcomes: Sequence[tuple[Hashable, bool]], seed: int) -> ClusteredRate | None:
    """Return the uncertainty of a rate over clusters; None with fewer than two of them.

    Args:
        outcomes: The cluster of each instance, and whether it is resolved.
        seed: Seed of the resampling.
    """
    sizes = Counter(cluster for cluster, _ in outcomes)
    if len(sizes) <= 1:
        return None
    sums = Counter(cluster for cluster, resolved in outcomes if resolved)
    pairs = sorted((sums[cluster], size) for cluster, size in sizes.items())  # whatever the order of the instances
    values, counts = [value for value, _ in pairs], [count for _, count in pairs]
    return ClusteredRate(len(pairs), clustered_error(values, counts), bootstrap_interval(values, counts, seed))


def auc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Return the chance that a positive's score exceeds a negative's (ties count half); None where a side is empty."""
    if not positives or not negatives:
        return None
    wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


@dataclass(frozen=True)
class Recall:
    """How well the chosen files cover the gold patch's files, over the instances that have both."""

    instances: int
    all_found: int
    """Instances where one list holds every gold file."""
    any_found: int
    """Instances where some list holds some gold file."""
    none_found: int
    mean_coverage: float
    """Mean share of gold files in a list, averaged over lists, then over instances."""
    best_coverage: float
    """Mean over instances of the best list's share."""


def localization_recall(
    lists: Mapping[str, Sequence[Sequence[str]]], gold: Mapping[str, Sequence[str]]
) -> Recall | None:
    """Return the recall of file lists against gold files, both by instance id; None when nothing can be compared."""
    shares = {
        instance: [
            len(set(gold[instance]).intersection(files)) / len(set(gold[instance])) for files in lists[instance] or [[]]
        ]
        for instance in lists
        if gold.get(instance)
    }
    if not shares:
        return None
    count = len(shares)
    return Recall(
        instances=count,
        all_found=sum(max(values) == 1.0 for values in shares.values()),
        any_found=sum(max(values) > 0.0 for values in shares.values()),
        none_found=sum(max(values) == 0.0 for values in shares.values()),
        mean_coverage=sum(sum(values) / len(values) for values in shares.values()) / count,
        best_coverage=sum(max(values) for values in shares.values()) / count,
    )


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the chance that k samples, drawn without replacement, hold a correct one: 1 - C(n - c, k) / C(n, k).

    This is the unbiased estimate of Codex (arXiv 2107.03374, section 2.1), as a product, to avoid huge numbers.

    Args:
        samples: n.
        correct: c, how many of them are correct.

    Raises:
        ValueError: k is not from 1 to n, or c is not from 0 to n.
    """
    if not 0 <= correct <= samples or not 0 < k <= samples:
        message = f"pass@{k} of {samples} samples, {correct} of them correct, is not defined"
        raise ValueError(message)
    few, many = sorted((correct, k))  # c and k can be swapped: C(n - c, k) / C(n, k) = C(n - k, c) / C(n, c)
    return 1.0 - math.prod((samples - many - i) / (samples - i) for i in range(few))


def best_of_k(scored: Sequence[tuple[float, bool]], k: int) -> float:
    """Return the chance that of k samples, drawn without replacement, the one with the highest score is correct.

    Where several of the drawn share the highest score, each is chosen with the same chance. The samples of one score
    are then interchangeable. So for each score, with `m` samples of which `c` are correct and `b` samples below,
    (C(b + m, k) - C(b, k)) / C(n, k) is the chance that it is the highest, and c / m that the chosen one is correct.

    Args:
        scored: The score of each sample, and whether it is correct.
        k: How many are drawn.

    Raises:
        ValueError: k is not from 1 to n.
    """
    total = len(scored)
    if not 0 < k <= total:
        message = f"the best of {k} of {total} samples is not defined"
        raise ValueError(message)
    chance, none_above = 0.0, 1.0
    place = 0
    ordered = sorted(scored, reverse=True)
    while none_above:
        score, size, correct, none_here = ordered[place][0], 0, 0, none_above
        while place < total and ordered[place][0] == score:
            none_here *= max(0, total - place - k) / (total - place)  # C(b - 1, k) / C(b, k) with b = n - place
            correct += ordered[place][1]
            size += 1
            place += 1
        chance += (none_above - none_here) * correct / size
        none_above = none_here
    return chance
