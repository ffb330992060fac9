"""What the tests contributed: figures of the testing stages, and the plain vote's choice beside the tests'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.diffs import sha256
from swerl_eval.core.selection.ranking import majority
from swerl_eval.core.types import Candidate, Verdict
from swerl_eval.records.run_folder import Run


def figures(run: Run) -> dict[str, Any] | None:
    """Scripts kept, regression tests found, runs done and saved; None for a plain vote."""
    if not len(run.reproductions) and not len(run.regressions):
        return None
    outcomes: Counter[str] = Counter()
    ranked: Counter[str] = Counter()
    for test in run.reproductions.values():
        outcomes[test.outcome.value] += 1
        ranked[test.instance_id] += test.rank is not None
    regression = {tests.instance_id: tests for tests in run.regressions.values()}
    valid = Counter(candidate.instance_id for candidate in run.candidates.values() if candidate.rejection is None)
    examined = Counter(evidence.instance_id for evidence in run.evidence.values())
    each = {name: ranked[name] + bool(regression.get(name) and regression[name].files) for name in examined}
    return {
        "scripts": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "scripts_used": sum(ranked.values()),
        "instances_with_scripts": sum(count > 0 for count in ranked.values()),
        "regression_tests": sum(len(tests.passing) for tests in regression.values()),
        "instances_with_regression_tests": sum(bool(tests.passing) for tests in regression.values()),
        "candidates_run": sum(examined.values()),
        "runs": sum(count * each[name] for name, count in examined.items()),
        "runs_saved": sum((valid[name] - count) * each[name] for name, count in examined.items()),
    }


def seconds_per_candidate(run: Run) -> tuple[float, float] | None:
    """Mean seconds of a candidate's container, and of these outside of the tests; None where none ran."""
    found = [(evidence.seconds, evidence.test_seconds) for evidence in run.evidence.values()]
    if not found:
        return None
    total = sum(seconds for seconds, _ in found) / len(found)
    return total, total - sum(tests for _, tests in found) / len(found)


def plain_vote(run: Run) -> Mapping[str, dict[str, Any]]:
    """What the vote alone would have chosen, by instance id, with its verdict where that patch was evaluated."""
    by_instance: dict[str, list[Candidate]] = {}
    for candidate in run.candidates.values():
        by_instance.setdefault(candidate.instance_id, []).append(candidate)
    votes = {}
    for name, candidates in by_instance.items():
        choice = majority(name, candidates)
        evaluation = run.evaluations.get((name, sha256(choice.patch)))
        verdict = evaluation.verdict if evaluation else Verdict.MISSING
        votes[name] = {"sample": choice.index, "verdict": verdict.value}
    return votes
