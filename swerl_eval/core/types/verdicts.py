"""Verdicts on patches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Verdict(str, Enum):
    """The result of evaluating one patch."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    EMPTY_PATCH = "empty_patch"
    """There is nothing to run: no candidate, or an empty prediction."""
    PATCH_FAILED = "patch_failed"
    """No command of the official ladder could apply the patch."""
    TIMED_OUT = "timed_out"
    INFRA_ERROR = "infra_error"
    """The machine failed, not the patch. A resume runs it again."""
    MISSING = "missing"
    """There is no prediction for this instance."""


@dataclass(frozen=True)
class Evaluation:
    """The verdict on one patch (`evaluations.jsonl`), keyed by instance and patch."""

    instance_id: str
    patch_sha256: str
    verdict: Verdict
    report: dict[str, Any] | None = None
    """The instance's entry of the official report.json; None where the official harness writes none."""
    reason: str = ""
    """Why the verdict is `infra_error` or `patch_failed`."""
    remark: str = ""
    """A remark on an unresolved patch beside its tests, such as swebench's own reason."""
    seconds: float = 0.0
    """From the container's start to its end."""
    test_seconds: float = 0.0
    """The part of this that the eval script took."""
    image_id: str = ""
    log_truncated: bool = False
    gold_files: tuple[str, ...] = ()
    """Files that the gold patch edits, so that recall can be computed from the run folder alone."""
    strict: Verdict | None = None
    """The strict verdict: RESOLVED only where the control run confirms it; None where it was not asked for."""
    strict_reason: str = ""
    """Why the strict verdict differs, or which tests the control run could not check."""
    suspicious: tuple[str, ...] = ()
    """Files of the patch that can influence the verdict, and what the control run found."""

    @property
    def resolved(self) -> bool:
        """Whether this counts as solved."""
        return self.verdict is Verdict.RESOLVED

    @property
    def prevented(self) -> str:
        """Why the machine's failure prevented the official or the strict verdict; empty where both are there."""
        if Verdict.INFRA_ERROR not in {self.verdict, self.strict}:
            return ""
        reason = self.reason if self.verdict is Verdict.INFRA_ERROR else self.strict_reason
        return reason or "the machine failed, and did not say how"

    def settled(self, *, strict: bool) -> bool:
        """Whether nothing is left to run: the machine did not fail, and the strict verdict is there if asked for."""
        return not self.prevented and (not strict or self.strict is not None)


@dataclass(frozen=True)
class Regrade:
    """One grading of a run's saved logs after the run (`regrades.jsonl`); the verdicts are based on the latest one."""

    dataset_fingerprint: str
    swebench: str
    """Version."""
    graded: int
    """Number of verdicts computed from logs."""
    changed: int
    """Number of these that differ from before."""
