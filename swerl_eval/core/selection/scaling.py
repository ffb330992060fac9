"""The ablation of samples and tests, from stored evidence and verdicts. No model and no container is needed.

Every figure is a fraction of instances, from 0 to 1. A subset of n samples is drawn without replacement from all
samples of an instance, rejected ones included. An instance with fewer than n samples gives all it has.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from swerl_eval.core.errors import InputError
from swerl_eval.core.metrics import best_of_k, pass_at_k
from swerl_eval.core.selection.ranking import (
    REGRESSION,
    REPRODUCTION,
    Votes,
    apply_filters,
    form_evidence_of,
    most_voted,
)
from swerl_eval.core.types import Candidate, Evidence, Rejection

LEVEL = 0.95
"""Share of the drawn subsets that lie within an interval."""


@dataclass(frozen=True)
class JudgedInstance:
    """One instance's samples, the evidence of the tests, and the verdicts."""

    candidates: Sequence[Candidate]
    """One for each sample, rejected or not."""
    evidence: Mapping[str, Evidence]
    """By normal form."""
    verdicts: Mapping[str, bool]
    """By normal form: whether the candidate resolves the issue. Every unique candidate needs one."""
    rewards: Mapping[int, float] = field(default_factory=dict)
    """By number of the sample, as far as there are any."""


@dataclass(frozen=True)
class ScalingRow:
    """One row of the table: choosing from n samples of each instance by a number of reproduction tests."""

    samples: int
    """n, which is also the k of pass@k and best@k."""
    tests: int | None
    """Top-ranked reproduction tests that count; None is all."""
    instances: int
    subsets: int
    """How many subsets of n samples were drawn from each instance; 1 where n is all samples."""
    solve_rate: float
    """Fraction of instances whose chosen patch is right, of the first n samples."""
    pass_at_k: float
    """Fraction of instances with a right patch among n samples, expected over all subsets (exact)."""
    pass_interval: tuple[float, float]
    """Where `pass_at_k` lies for 95 % of the drawn subsets."""
    best_at_k: float
    """Fraction of instances whose chosen patch is right, on average over the drawn subsets."""
    best_interval: tuple[float, float]
    """Where `best_at_k` lies for 95 % of the drawn subsets."""
    reward_at_k: float | None = None
    """Fraction of instances where the sample of the highest reward among n is right, expected over all subsets (exact).
    It does not depend on the tests; None where some answered sample has no reward."""


def scaling(
    instances: Mapping[str, JudgedInstance],
    samples: Sequence[int],
    tests: Sequence[int | None],
    *,
    regression: bool = True,
    resamples: int = 100,
    seed: int = 0,
) -> list[ScalingRow]:
    """Compute the scaling table: a row for each number of samples and each number of tests.

    The subsets are prefixes of seeded shuffles of an instance's samples. They are the same for every number of tests,
    so that rows do not differ by chance. The intervals say how much the choice of samples matters, with the instances
    as they are. They narrow as n nears all samples, since the subsets then overlap.

    Args:
        instances: By instance id.
        samples: The numbers of samples.
        tests: The numbers of top-ranked reproduction tests that count; None is all.
        regression: Whether regression tests count.
        resamples: How many subsets are drawn from each instance.
        seed: Of the shuffles.

    Returns:
        The rows, by samples, then by tests; none without an instance.

    Raises:
        InputError: A candidate has no verdict.
    """
    if resamples < 1 or any(count < 1 for count in samples):
        message = "a scaling table needs at least one subset of at least one sample"
        raise ValueError(message)
    if not instances:
        return []
    most = max(len(judged.candidates) for judged in instances.values())
    cells = {count: _Cells(count, tests, 1 if count >= most else resamples) for count in samples}
    for instance_id, judged in instances.items():
        instance = _Instance(instance_id, judged, tests, regression=regression)
        rng = random.Random(f"{seed} {instance_id}")
        shuffles = [instance.shuffle(rng) for _ in range(max((cell.subsets for cell in cells.values()), default=0))]
        for cell in cells.values():
            cell.add(instance, shuffles)
    return [row for count in samples for row in cells[count].rows(len(instances))]


class _Instance:
    """One instance, prepared for choosing from many subsets of its samples."""

    def __init__(
        self, instance_id: str, judged: JudgedInstance, tests: Iterable[int | None], *, regression: bool
    ) -> None:
        ordered = sorted(judged.candidates, key=lambda candidate: candidate.index)
        self.forms = [candidate.normal_form if candidate.rejection is None else None for candidate in ordered]
        unique = {form for form in self.forms if form is not None}
        if missing := len(unique - judged.verdicts.keys()):
            message = f"{instance_id}: {missing} of {len(unique)} unique candidates have no verdict; evaluate all first"
            raise InputError(message)
        self.solved = {form for form in unique if judged.verdicts[form]}
        self.correct = sum(form in self.solved for form in self.forms)
        self.scored = (
            None
            if _unscored(judged)
            else [
                (judged.rewards.get(candidate.index, -math.inf), form in self.solved)
                for candidate, form in zip(ordered, self.forms, strict=True)
            ]
        )
        """The reward of each sample, and whether it is right; the lowest where the model gave no answer."""
        # A form that was never run ranks below all others, in every subset as among all samples.
        self._form_evidence = {count: form_evidence_of(unique, judged.evidence, count) for count in tests}
        self._kinds = (REGRESSION, REPRODUCTION) if regression else (REPRODUCTION,)

    def shuffle(self, rng: random.Random) -> list[int]:
        """Return the places of all samples in random order."""
        keys = [rng.random() for _ in self.forms]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def votes(self, places: Iterable[int]) -> Votes:
        """Count the votes of the samples at these places, which are in ascending order."""
        votes = Counter(map(self.forms.__getitem__, places))
        return {form: count for form, count in votes.items() if form is not None}

    def solves(self, votes: Votes, tests: int | None) -> bool:
        """Whether the patch that `ranking.choose` would choose is right."""
        if not votes:
            return False
        _, remaining = apply_filters(votes, self._form_evidence[tests], self._kinds)
        return most_voted(remaining) in self.solved


def _unscored(judged: JudgedInstance) -> bool:
    """Whether an answered sample has no reward."""
    answered = (sample for sample in judged.candidates if sample.rejection is not Rejection.SAMPLE_FAILED)
    return any(sample.index not in judged.rewards for sample in answered)


class _Cells:
    """The running counts of the rows with one number of samples."""

    def __init__(self, samples: int, tests: Sequence[int | None], subsets: int) -> None:
        self.samples = samples
        self.subsets = subsets
        self._first = dict.fromkeys(tests, 0)
        self._best = {count: [0] * subsets for count in tests}
        self._solvable = [0] * subsets
        self._pass = 0.0
        self._by_reward: float | None = 0.0

    def add(self, instance: _Instance, shuffles: Sequence[Sequence[int]]) -> None:
        """Add the counts of one instance."""
        total = len(instance.forms)
        if total:
            self._pass += pass_at_k(total, instance.correct, min(self.samples, total))
            if self._by_reward is not None and instance.scored is not None:
                self._by_reward += best_of_k(instance.scored, min(self.samples, total))
            else:
                self._by_reward = None
        votes = instance.votes(range(min(self.samples, total)))
        for tests in self._first:
            self._first[tests] += instance.solves(votes, tests)
        for subset, shuffle in enumerate(shuffles[: self.subsets]):
            votes = instance.votes(sorted(shuffle[: self.samples]))
            if instance.solved.isdisjoint(votes):
                continue
            self._solvable[subset] += 1
            for tests, solved in self._best.items():
                solved[subset] += instance.solves(votes, tests)

    def rows(self, instances: int) -> list[ScalingRow]:
        """Return the counts as fractions of the instances."""
        return [
            ScalingRow(
                samples=self.samples,
                tests=tests,
                instances=instances,
                subsets=self.subsets,
                solve_rate=self._first[tests] / instances,
                pass_at_k=self._pass / instances,
                pass_interval=_interval(self._solvable, instances),
                best_at_k=sum(solved) / len(solved) / instances,
                best_interval=_interval(solved, instances),
                reward_at_k=None if self._by_reward is None else self._by_reward / instances,
            )
            for tests, solved in self._best.items()
        ]


def _interval(counts: Sequence[int], instances: int) -> tuple[float, float]:
    """Return the bounds of the middle 95 % of some counts, as fractions."""
    ordered = sorted(counts)
    tail = (1 - LEVEL) / 2
    return _quantile(ordered, tail) / instances, _quantile(ordered, 1 - tail) / instances


def _quantile(ordered: Sequence[int], share: float) -> float:
    """Return the value that a share of all values lies below, interpolated between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
