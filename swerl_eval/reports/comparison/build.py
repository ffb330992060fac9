"""Builds a comparison from its sides, as plain data: the content of `swerl-eval compare --format json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from swerl_eval.core.comparison import Pair, compare_pairs
from swerl_eval.core.metrics import RESAMPLES, wilson
from swerl_eval.reports.comparison.differences import (
    common_instances,
    differences_of,
    refuse,
)
from swerl_eval.reports.comparison.sides import Side
from swerl_eval.reports.groups import repository_of

Comparison = dict[str, Any]
SCHEMA_VERSION = 1


def compare(sides: Sequence[Side], seed: int, *, anyway: bool = False) -> Comparison:
    """Compare sides over the instances that they have in common.

    Args:
        sides: Two or more. With two there is one comparison; with more, each side is compared with the first one and
            with the one before.
        seed: Seed of the bootstrap.
        anyway: Compare sides that differ in more than their verdicts.

    Returns:
        Plain data; the same sides and seed give the same.

    Raises:
        UsageError: The sides differ in what they were measured with, or have no instance in common.
    """
    differences = differences_of(sides)
    if not anyway:
        refuse(sides, differences)
    instances = common_instances(sides)
    repositories = {name: repo for side in reversed(sides) for name, repo in side.repositories.items()}
    clusters = {name: repository_of(name, repositories) for name in instances}
    strict = all(side.strictly_resolved is not None for side in sides)
    return {
        "schema_version": SCHEMA_VERSION,
        "instances": len(instances),
        "seed": seed,
        "resamples": RESAMPLES,
        "differences": [asdict(difference) for difference in differences],
        "sides": [_side(side, instances, strict=strict) for side in sides],
        "comparisons": [
            {
                "first": first.name,
                "second": second.name,
                "official": _figures(first.resolved, second.resolved, clusters, seed),
                "strict": _figures(first.strictly_resolved, second.strictly_resolved, clusters, seed)
                if first.strictly_resolved is not None and second.strictly_resolved is not None and strict
                else None,
            }
            for first, second in _compared(sides)
        ],
    }


def _compared(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Return each side with the first one, then with the one before where that is another one."""
    return [
        (earlier, side)
        for number, side in enumerate(sides)
        for earlier in (sides[:1] if number == 1 else (sides[0], sides[number - 1]) if number else ())
    ]


def _side(side: Side, instances: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """Return the rates of a side over the common instances, and what there is to say of it."""
    chosen = frozenset(instances)
    strictly_resolved = side.strictly_resolved if strict else None
    return {
        "name": side.name,
        "kind": side.kind,
        "model": side.model,
        "recorded": side.recorded,
        "complete": side.complete,
        "has_strict": side.strictly_resolved is not None,
        "unchecked": list(side.unchecked),
        "prevented": sorted(side.prevented & chosen),
        "strictly_prevented": sorted(side.strictly_prevented & chosen) if strict else [],
        "missing": sorted(side.missing & chosen),
        "errors": sorted(side.errors & chosen),
        "repeated": list(side.repeated),
        "official": _rate(side.resolved & chosen, len(instances)),
        "strict": None if strictly_resolved is None else _rate(strictly_resolved & chosen, len(instances)),
    }


def _rate(resolved: frozenset[str], total: int) -> dict[str, Any]:
    return {
        "resolved": len(resolved),
        "total": total,
        "solve_rate": len(resolved) / total,
        "interval_95": list(wilson(len(resolved), total)),
    }


def _figures(first: frozenset[str], second: frozenset[str], clusters: Mapping[str, str], seed: int) -> dict[str, Any]:
    """Return the paired figures of two sets of resolved instances, and the instances by what became of them."""
    figures = compare_pairs([Pair(name in first, name in second, repo) for name, repo in clusters.items()], seed)
    return {
        "difference": figures.difference,
        "interval_95": list(figures.interval),
        "repositories": figures.clusters,
        "clustered_interval_95": list(figures.clustered_interval) if figures.clustered_interval else None,
        "clustered_error": figures.clustered_error,
        "p": figures.p,
        "discordant": figures.gained + figures.lost,
        "detectable_difference": figures.detectable,
        "gained": [name for name in clusters if name in second - first],
        "lost": [name for name in clusters if name in first - second],
        "both": [name for name in clusters if name in first & second],
        "neither": [name for name in clusters if name not in first | second],
    }
