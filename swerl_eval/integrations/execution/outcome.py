"""What became of one answer, and the reward for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.types import Evaluation, Rejection, Verdict


@dataclass(frozen=True)
class Outcome:
    """What became of one answer."""

    rejection: Rejection | None = None
    """Why the answer gives no patch."""
    evaluation: Evaluation | None = None
    """The verdict on its patch."""
    failure: str = ""
    """What the machine did wrong, so that there is no verdict."""

    @property
    def resolved(self) -> bool:
        """Whether the issue is resolved: by the strict verdict where there is one, else by the official one."""
        if self.evaluation is None or not self.evaluation.resolved:
            return False
        return self.evaluation.strict in {None, Verdict.RESOLVED}


@dataclass(frozen=True)
class Scale:
    """The value of each outcome."""

    no_patch: float = -1.0
    """An answer that gives no patch, as a wrong format in the similarity reward."""
    shaping: float = 0.0
    """Reward of an unresolved patch: this times the share of the failing tests that pass now, times the share of the
    passing tests that still pass. From 0 (none) to below 1."""
    on_failure: float | None = None
    """An answer whose verdict the machine prevented. None: the trainer leaves it out."""

    def value(self, outcome: Outcome) -> float | None:
        """Return the reward."""
        if outcome.failure:
            return self.on_failure
        if outcome.evaluation is None:
            return self.no_patch
        if outcome.evaluation.resolved:
            return 1.0 if outcome.resolved else 0.0  # a patch that fools its tests is worth nothing
        return self.shaping * share_of_tests(outcome.evaluation.report)


def share_of_tests(report: Mapping[str, Any] | None) -> float:
    """Return the share of tests that were fixed times the share that were kept, in [0, 1], from an official report."""
    status: Mapping[str, Mapping[str, list[str]]] = (report or {}).get("tests_status") or {}
    fixed, broken = _count(status, "FAIL_TO_PASS")
    kept, lost = _count(status, "PASS_TO_PASS")
    if not fixed:
        return 0.0
    return fixed / (fixed + broken) * (kept / (kept + lost) if kept + lost else 1.0)


def _count(status: Mapping[str, Mapping[str, list[str]]], kind: str) -> tuple[int, int]:
    tests = status.get(kind, {})
    return len(tests.get("success", ())), len(tests.get("failure", ()))
