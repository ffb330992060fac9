"""Metrics of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
