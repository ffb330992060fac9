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


def repository_of(instance_id: str, known: Mapping[str, str]) -> str:
    """Return an instance's repository: as recorded, else as its id (`owner__name-number`) says."""
    return known.get(instance_id) or instance_id.rpartition("-")[0].replace("__", "/", 1) or instance_id


def columns_of(instance_id: str, facts: Mapping[str, str]) -> dict[str, str]:
    """What an instance is grouped by, by its manifest entry: `repo`, `year`, `difficulty`; empty if not known."""
    year = facts.get("created_at", "")[:4]
    return {
        "repo": repository_of(instance_id, {instance_id: facts.get("repo", "")}),
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
    columns = {name: columns_of(name, instances[name]) for name in evaluations}
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
