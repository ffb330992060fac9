"""Sums up a set of rewards in a few figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

FORMAT_ERROR = -1.0
BINS = 10


def summarize(values: Iterable[float]) -> dict[str, Any]:
    """Count, means, format errors and a histogram of rewards.

    Returns:
        `mean` over all values, with format errors as -1.0, as a trainer sees it; `mean_without_errors` over the others.
        Both, and `format_error_rate`, are None where there is nothing to divide by. `histogram` has `errors` and the
        counts of ten equal `bins` over [0, 1]: a value on an edge counts in the upper bin, 1.0 in the last.
    """
    rewards = sorted(values)  # the means must not depend on the order of arrival
    scored = [value for value in rewards if value != FORMAT_ERROR]
    errors = len(rewards) - len(scored)
    return {
        "count": len(rewards),
        "mean": sum(rewards) / len(rewards) if rewards else None,
        "mean_without_errors": sum(scored) / len(scored) if scored else None,
        "format_errors": errors,
        "format_error_rate": errors / len(rewards) if rewards else None,
        "histogram": histogram(rewards),
    }


def histogram(values: Iterable[float]) -> dict[str, Any]:
    """Count the format errors, and the other rewards in ten equal bins over [0, 1]."""
    counts = [0] * BINS
    errors = 0
    for value in values:
        if value == FORMAT_ERROR:
            errors += 1
        else:
            counts[min(int(value * BINS), BINS - 1)] += 1
    return {"errors": errors, "bins": counts}
