"""What the tests contributed: figures of the testing stages, and what the plain vote would have chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.diffs import sha256
from swerl_eval.core.selection.ranking import majority
from swerl_eval.core.types import Candidate, Verdict
from swerl_eval.records.run_folder import Run


def summarize_tests(run: Run) -> dict[str, Any] | None:
    """Counts of reproduction tests, regression tests and test runs; None for a run without tests.

    `runs_saved` counts the runs that were not needed, because equal candidates are run once.
    """
    if not len(run.reproductions) and not len(run.regressions):
        return None
    outcomes: Counter[str] = Counter()
    scripts_used: Counter[str] = Counter()
    for test in run.reproductions.values():
        outcomes[test.outcome.value] += 1
        scripts_used[test.instance_id] += test.rank is not None
    regressions = {tests.instance_id: tests for tests in run.regressions.values()}
    valid = Counter(candidate.instance_id for candidate in run.candidates.values() if candidate.rejection is None)
    tested = Counter(evidence.instance_id for evidence in run.evidence.values())
    runs_per_candidate = {
        name: scripts_used[name] + bool(name in regressions and regressions[name].files) for name in tested
    }
    return {
        "scripts": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "scripts_used": sum(scripts_used.values()),
        "instances_with_scripts": sum(count > 0 for count in scripts_used.values()),
        "regression_tests": sum(len(tests.passing) for tests in regressions.values()),
        "instances_with_regression_tests": sum(bool(tests.passing) for tests in regressions.values()),
        "candidates_run": sum(tested.values()),
        "runs": sum(count * runs_per_candidate[name] for name, count in tested.items()),
        "runs_saved": sum((valid[name] - count) * runs_per_candidate[name] for name, count in tested.items()),
    }


def seconds_per_candidate(run: Run) -> tuple[float, float] | None:
    """Mean seconds of a candidate's container, and the part of these outside of the tests; None where none ran."""
    evidence = list(run.evidence.values())
    if not evidence:
        return None
    mean = sum(record.seconds for record in evidence) / len(evidence)
    return mean, mean - sum(record.test_seconds for record in evidence) / len(evidence)


def plain_vote(run: Run) -> Mapping[str, dict[str, Any]]:
    """What the vote alone would have chosen, by instance id: the sample, and its patch's verdict or `missing`."""
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
