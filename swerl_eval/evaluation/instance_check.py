"""Judges from repeated runs, with the gold patch and with none, whether an instance can be trusted on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from swerl_eval.core.types import Evaluation, Verdict

MAX_NAMED = 3
"""Flaky tests that a reason names."""


@dataclass(frozen=True)
class InstanceCheck:
    """The runs of one instance, in order."""

    instance_id: str
    gold: tuple[Evaluation, ...]
    empty: tuple[Evaluation, ...]
    """With no patch at all."""

    @property
    def machine_failures(self) -> list[str]:
        """Why the machine could not do some runs. Such runs say nothing about the instance."""
        runs = (*self.gold, *self.empty)
        return list(dict.fromkeys(run.reason for run in runs if run.verdict is Verdict.INFRA_ERROR))

    @property
    def problems(self) -> list[str]:
        """Why the instance cannot be trusted: `flaky: …` when runs differ, `invalid: …` when they agree."""
        gold, empty = _ran(self.gold), _ran(self.empty)
        problems = []
        if difference := flakiness(gold):
            problems.append(f"flaky: with the gold patch {difference}")
        elif gold and not gold[0].resolved:
            problems.append(f"invalid: {gold[0].reason or 'the gold patch does not resolve it'}")
        if difference := flakiness(empty):
            problems.append(f"flaky: with no patch {difference}")
        elif empty and empty[0].resolved:
            problems.append("invalid: it is resolved without any patch")
        return problems

    @property
    def image_id(self) -> str:
        """Content digest of its image; empty when nothing ran."""
        return next((run.image_id for run in (*self.gold, *self.empty) if run.image_id), "")


def flakiness(runs: Sequence[Evaluation]) -> str:
    """Return how runs of the same patch differ in their verdicts or in single tests; empty when they do not."""
    verdicts = Counter(run.verdict.value for run in runs)
    tests = flaky_tests(runs)
    differences = []
    if len(verdicts) > 1:
        differences.append(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    if tests:
        more = f" and {len(tests) - MAX_NAMED} more" if len(tests) > MAX_NAMED else ""
        differences.append(f"passing now and then: {', '.join(tests[:MAX_NAMED])}{more}")
    return "; ".join(differences)


def flaky_tests(runs: Sequence[Evaluation]) -> list[str]:
    """Return the graded tests that pass in one run and not in another, of the runs with a report test by test."""
    passing = [_passing(run) for run in runs if run.report and "tests_status" in run.report]
    return sorted(frozenset().union(*passing) - frozenset.intersection(*passing)) if passing else []


def _passing(run: Evaluation) -> frozenset[str]:
    status = (run.report or {}).get("tests_status", {})
    return frozenset(name for kind in status.values() for name in kind["success"])


def _ran(runs: Sequence[Evaluation]) -> list[Evaluation]:
    return [run for run in runs if run.verdict is not Verdict.INFRA_ERROR]
