"""The solve rate by repository, difficulty and year, from the columns that the manifest has of each instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.metrics import wilson
from swerl_eval.core.types import Evaluation, Verdict

UNKNOWN = "unknown"
"""The group of the instances whose column is empty where others have a value."""
_COLUMNS = {"repository": "repo", "difficulty": "difficulty", "year": "year"}


def columns_of(facts: Mapping[str, str]) -> dict[str, str]:
    """What instances are grouped by, from a manifest's entry: `repo`, `year`, `difficulty`; empty where not known."""
    year = facts.get("created_at", "")[:4]
    return {
        "repo": facts.get("repo", ""),
        "year": year if year.isdigit() and len(year) == len("2026") else "",
        "difficulty": facts.get("difficulty", ""),
    }


def groups(
    instances: Mapping[str, Mapping[str, str]], evaluations: Mapping[str, Evaluation | None], *, strict: bool
) -> dict[str, list[dict[str, Any]]]:
    """The rates of each group, the largest first; a dimension that no instance has a value of is empty.

    Args:
        instances: The manifest's entry of each instance.
        evaluations: The verdict of each instance; None where there is none, which counts as not solved.
        strict: Whether the run has strict verdicts.
    """
    columns = {name: columns_of(instances[name]) for name in evaluations}
    dimensions: dict[str, list[dict[str, Any]]] = {}
    for dimension, column in _COLUMNS.items():
        members: dict[str, list[Evaluation | None]] = defaultdict(list)
        for name, evaluation in evaluations.items():
            members[columns[name][column]].append(evaluation)
        rows = [_rates(value or UNKNOWN, group, strict=strict) for value, group in members.items()]
        dimensions[dimension] = sorted(rows, key=lambda row: (-row["total"], row["name"])) if any(members) else []
    return dimensions


def _rates(name: str, group: list[Evaluation | None], *, strict: bool) -> dict[str, Any]:
    known = [evaluation for evaluation in group if evaluation is not None]
    resolved = sum(evaluation.resolved for evaluation in known)
    return {
        "name": name,
        "total": len(group),
        "resolved": resolved,
        "solve_rate": resolved / len(group),
        "interval_95": list(wilson(resolved, len(group))),
        "strict": sum(evaluation.strict is Verdict.RESOLVED for evaluation in known) if strict else None,
    }
