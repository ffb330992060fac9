"""Tests of candidates, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(str, Enum):
    """The result of a reproduction script, by what it prints."""

    REPRODUCED = "reproduced"
    """Printed `Issue reproduced` and neither of the other phrases."""
    RESOLVED = "resolved"
    """Printed `Issue resolved` and neither of the other phrases."""
    OTHER = "other"
    """Printed `Other issues` and neither of the other phrases."""
    UNCLEAR = "unclear"
    """Printed none of the phrases, or several."""
    TIMED_OUT = "timed_out"
    NOT_RUN = "not_run"
    """The container ended before the script was run."""


@dataclass(frozen=True)
class ReproductionTest:
    """A generated script and its result on the original code (`reproductions.jsonl`), keyed by instance and index."""

    instance_id: str
    index: int
    """Number of the sample."""
    script: str
    """Python source; empty when the answer holds none."""
    normal_form: str
    """SHA-256 of the form that votes are counted by."""
    outcome: Outcome
    """On the original code."""
    votes: int = 0
    """Number of kept scripts with the same normal form; 0 when it is not kept."""
    rank: int | None = None
    """Place among the kept ones, by votes, then by sample number; None when it is not run on candidates."""


@dataclass(frozen=True)
class RegressionTests:
    """The repository's own tests that pass on the original code (`regressions.jsonl`), found without the oracle."""

    instance_id: str
    files: tuple[str, ...]
    """Test files that were run, in order, as far as the time budget allowed."""
    passing: tuple[str, ...]
    """Tests that candidates must not break."""
    excluded: tuple[str, ...] = ()
    """Passing tests left out, since the model says that the fix changes their behaviour."""
    note: str = ""
    """Why there are none, or why some were left out."""


@dataclass(frozen=True)
class Evidence:
    """What the tests say of one unique candidate (`evidence.jsonl`), keyed by instance and normal form."""

    instance_id: str
    normal_form: str
    outcomes: tuple[Outcome, ...] = ()
    """Results of the kept reproduction tests, by rank."""
    broken: tuple[str, ...] = ()
    """Regression tests that the candidate breaks."""
    seconds: float = 0.0
    """From the container's start to its end."""
    test_seconds: float = 0.0
    """The part of this that the tests themselves took."""
    error: str = ""
    """Why the tests could not be run, or not to their end (the candidate breaks collection, or the time was up)."""

    def resolved(self, tests: int | None = None) -> frozenset[int]:
        """Return the ranks of the tests that print `Issue resolved`, among the first `tests` ranks (None: all)."""
        return frozenset(rank for rank, outcome in enumerate(self.outcomes[:tests]) if outcome is Outcome.RESOLVED)
