"""Counts what the repair answers of each instance come to, in one pass: with 500 x 500 of them they are not held."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from swerl_eval.core.types import Rejection
from swerl_eval.records.run_folder import Run

WRONG_FORMAT = frozenset({Rejection.BAD_FORMAT, Rejection.NO_EDIT})
"""The rejections of an answer that holds no whole edit."""


@dataclass
class CandidateCounts:
    """What the repair samples of one instance come to."""

    valid: int = 0
    forms: set[str] = field(default_factory=set)
    """The normal forms of the valid ones."""
    rejections: Counter[Rejection] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Why samples have no answer."""

    @property
    def answered(self) -> int:
        """The samples that the model answered."""
        return self.valid + self.rejections.total() - self.rejections[Rejection.SAMPLE_FAILED]

    @property
    def formatted(self) -> int:
        """The answers in the right format: they hold a whole edit, whether or not it applies."""
        return self.answered - sum(self.rejections[kind] for kind in WRONG_FORMAT)


def count_candidates(run: Run) -> dict[str, CandidateCounts]:
    """Return the counts of every instance that has a candidate or a rejection."""
    counts: dict[str, CandidateCounts] = defaultdict(CandidateCounts)
    for candidate in run.candidates.values():
        instance = counts[candidate.instance_id]
        if candidate.rejection is None:
            instance.valid += 1
            instance.forms.add(candidate.normal_form)
        else:
            instance.rejections[candidate.rejection] += 1
            if candidate.rejection is Rejection.SAMPLE_FAILED:
                instance.errors[candidate.detail] += 1
    return dict(counts)
