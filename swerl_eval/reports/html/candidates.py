"""What a run has on the candidates of one instance: each unique one with its votes, verdict, rewards and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Candidate, Evaluation, Evidence, Selection, Verdict
from swerl_eval.records.run_folder import Run

MOST_BROKEN = 10
"""Names of broken tests that are given of one candidate; the others are counted."""
MOST_DETAILS = 20
"""Details that are given of one kind of rejection."""
MOST_CHARACTERS = 300
"""Of a name or a detail."""


@dataclass
class UniqueCandidate:
    """The samples that share a normal form."""

    patch: str
    """Of the first sample; of the chosen one, where it is among them."""
    samples: list[int] = field(default_factory=list)
    chosen: bool = False
    evaluation: Evaluation | None = None
    evidence: Evidence | None = None
    rewards: list[float] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """Everything but the diff."""
        evaluation, rewards = self.evaluation, self.rewards
        return {
            "samples": self.samples,
            "votes": len(self.samples),
            "chosen": self.chosen,
            "verdict": evaluation.verdict.value if evaluation else None,
            "strict": evaluation.strict.value if evaluation and evaluation.strict else None,
            "rewards": [min(rewards), max(rewards)] if rewards else None,
            "tests": _tests(self.evidence) if self.evidence else None,
        }


def _tests(evidence: Evidence) -> dict[str, Any]:
    return {
        "reproduction": [outcome.value for outcome in evidence.outcomes],
        "broken": [name[:MOST_CHARACTERS] for name in evidence.broken[:MOST_BROKEN]],
        "left_out": max(0, len(evidence.broken) - MOST_BROKEN),
        "error": evidence.error[:MOST_CHARACTERS],
        "seconds": evidence.seconds,
    }


class InstanceCandidates:
    """Reads the candidates of one instance."""

    def __init__(self, run: Run, name: str, selection: Selection | None) -> None:
        keys = [(name, index) for index in range(sample_count(run))]
        candidates = list(run.candidates.get_all(keys))
        self.rejected = [candidate for candidate in candidates if candidate.rejection is not None]
        by_form: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            if candidate.rejection is None:
                by_form.setdefault(candidate.normal_form, []).append(candidate)
        rewards = {reward.index: reward.value for reward in run.rewards.get_all(keys)}
        chosen = selection.index if selection else None
        self.unique = [_unique(run, group, rewards, chosen) for group in by_form.values()]
        if selection and selection.patch and not any(candidate.chosen for candidate in self.unique):
            # handed in, so there are no candidates
            self.unique.append(UniqueCandidate(selection.patch, chosen=True, evaluation=run.evaluation_of(name)))
        self.unique.sort(key=lambda candidate: (not candidate.chosen, -len(candidate.samples), candidate.samples[:1]))

    def rejections(self, most: int) -> list[dict[str, Any]]:
        """The rejected samples by reason, the most frequent first; with up to `most` details each."""
        by_reason: dict[str, list[Candidate]] = {}
        for candidate in self.rejected:
            if candidate.rejection is not None:
                by_reason.setdefault(candidate.rejection.value, []).append(candidate)
        return [
            {"reason": reason, "count": len(group), "details": _details(group[: min(most, MOST_DETAILS)])}
            for reason, group in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
        ]


def sample_count(run: Run) -> int:
    """Return how many repair samples each instance has, at most."""
    return int(run.manifest.config.get("samples", 0))


def _details(group: Iterable[Candidate]) -> list[list[Any]]:
    return [[candidate.index, candidate.detail[:MOST_CHARACTERS]] for candidate in group]


def _unique(run: Run, group: list[Candidate], rewards: Mapping[int, float], chosen: int | None) -> UniqueCandidate:
    first = next((candidate for candidate in group if candidate.index == chosen), group[0])
    name, samples = first.instance_id, [candidate.index for candidate in group]
    patches = dict.fromkeys([first.patch, *(candidate.patch for candidate in group)])
    evaluations = list(run.evaluations.get_all((name, sha256(patch)) for patch in patches))
    # the verdict of any of the patches counts for all: they differ in comments and layout
    settled = [evaluation for evaluation in evaluations if evaluation.verdict is not Verdict.INFRA_ERROR]
    return UniqueCandidate(
        patch=first.patch,
        samples=samples,
        chosen=chosen in samples,
        evaluation=next(iter(settled or evaluations), None),
        evidence=run.evidence.get((name, first.normal_form)),
        rewards=[rewards[index] for index in samples if index in rewards],
    )
