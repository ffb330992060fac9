"""Whether an instance can be trusted on this machine: what repeated runs with its gold patch and with none come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from swerl_eval.core.types import Evaluation, Verdict

NAMED = 3
"""Moving tests that a reason names."""


@dataclass(frozen=True)
class InstanceCheck:
    """All runs of one instance, in order."""

    instance_id: str
    gold: tuple[Evaluation, ...]
    empty: tuple[Evaluation, ...]
    """With no patch at all."""

    @property
    def machine_failures(self) -> list[str]:
        """Why runs could not be done; they say nothing of the instance."""
        failed = (each.reason for each in (*self.gold, *self.empty) if each.verdict is Verdict.INFRA_ERROR)
        return list(dict.fromkeys(failed))

    @property
    def problems(self) -> list[str]:
        """Why the instance is not to be trusted: `flaky: …` where runs differ, `invalid: …` where they agree."""
        gold, empty = _ran(self.gold), _ran(self.empty)
        found = []
        if difference := flakiness(gold):
            found.append(f"flaky: with the gold patch {difference}")
        elif gold and not gold[0].resolved:
            found.append(f"invalid: {gold[0].reason or 'the gold patch does not resolve it'}")
        if difference := flakiness(empty):
            found.append(f"flaky: with no patch {difference}")
        elif empty and empty[0].resolved:
            found.append("invalid: it is resolved without any patch")
        return found

    @property
    def image_id(self) -> str:
        """Content digest of its image; empty where nothing ran."""
        return next((each.image_id for each in (*self.gold, *self.empty) if each.image_id), "")


def flakiness(runs: Sequence[Evaluation]) -> str:
    """How runs of the same thing differ in their verdicts or in single tests; empty where they do not."""
    verdicts = Counter(each.verdict.value for each in runs)
    tests = moving_tests(runs)
    words = []
    if len(verdicts) > 1:
        words.append(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    if tests:
        more = f" and {len(tests) - NAMED} more" if len(tests) > NAMED else ""
        words.append(f"passing now and then: {', '.join(tests[:NAMED])}{more}")
    return "; ".join(words)


def moving_tests(runs: Sequence[Evaluation]) -> list[str]:
    """Graded tests that pass in one run and not in another, of those runs whose log could be graded test by test."""
    passing = [_passing(each) for each in runs if each.report and "tests_status" in each.report]
    return sorted(frozenset().union(*passing) - frozenset.intersection(*passing)) if passing else []


def _passing(run: Evaluation) -> frozenset[str]:
    status = (run.report or {}).get("tests_status", {})
    return frozenset(name for kind in status.values() for name in kind["success"])


def _ran(runs: Sequence[Evaluation]) -> list[Evaluation]:
    return [each for each in runs if each.verdict is not Verdict.INFRA_ERROR]
