"""What a run with fewer samples or fewer tests would have come to, from its stored evidence and verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from swerl_eval.core.diffs import sha256
from swerl_eval.core.selection.scaling import JudgedInstance, ScalingRow, scaling
from swerl_eval.core.types import Candidate, Evidence, Verdict
from swerl_eval.records.run_folder import Run

FEWEST_SUBSETS, MOST_SUBSETS = 10, 100
"""Subsets of each number of samples that are drawn from each instance."""
DRAWN = 2_500_000
"""Samples that are drawn at a time, of all instances and subsets together: more subsets only where they cost little."""


@dataclass(frozen=True)
class Curves:
    """The two curves of a run."""

    samples: list[ScalingRow]
    """Choosing among 1, 2, 5, 10, … samples, by all tests."""
    tests: list[ScalingRow]
    """Choosing among all samples, by 0, 1, 2, 5, … reproduction tests; empty for a run without any."""


def curves(run: Run) -> Curves | None:
    """Return the curves of a run; None where a unique candidate has no verdict, or there is only one sample."""
    judged = judge(run)
    most = max((len(instance.candidates) for instance in judged.values()), default=0)
    if most <= 1 or not all(map(_is_judged, judged.values())):
        return None
    tests = max((len(e.outcomes) for instance in judged.values() for e in instance.evidence.values()), default=0)
    drawn = sum(len(instance.candidates) for instance in judged.values())
    subsets = min(MOST_SUBSETS, max(FEWEST_SUBSETS, DRAWN // drawn))
    by_samples = scaling(judged, list(_steps(most)), [None], resamples=subsets)
    return Curves(by_samples, scaling(judged, [most], [0, *_steps(tests)]) if tests else [])


def _steps(most: int) -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50, … and at the end `most`."""
    power = 1
    while power < most:
        yield from (step for step in (power, 2 * power, 5 * power) if step < most)
        power *= 10
    if most:
        yield most


def _is_judged(instance: JudgedInstance) -> bool:
    """Whether every unique candidate has a verdict."""
    forms = {candidate.normal_form for candidate in instance.candidates if candidate.rejection is None}
    return forms <= instance.verdicts.keys()


def judge(run: Run) -> dict[str, JudgedInstance]:
    """Each instance's candidates, evidence, verdicts and rewards, as far as the run has them, by instance id.

    The patches' texts are left out: they would take most of the memory of a run of 500 x 500 samples.
    """
    evidence: dict[str, dict[str, Evidence]] = {name: {} for name in run.manifest.instance_ids}
    for record in run.evidence.values():
        evidence[record.instance_id][record.normal_form] = record
    resolved = {
        (evaluation.instance_id, evaluation.patch_sha256): evaluation.resolved
        for evaluation in run.evaluations.values()
        if evaluation.verdict is not Verdict.INFRA_ERROR
    }
    candidates: dict[str, list[Candidate]] = {}
    verdicts: dict[str, dict[str, bool]] = {}
    for candidate in run.candidates.values():  # in the order of an instance's samples
        name = candidate.instance_id
        candidates.setdefault(name, []).append(dataclasses.replace(candidate, patch=""))
        known = verdicts.setdefault(name, {})
        if candidate.rejection is None and candidate.normal_form not in known:
            verdict = resolved.get((name, sha256(candidate.patch)))
            if verdict is not None:
                known[candidate.normal_form] = verdict
    rewards: dict[str, dict[int, float]] = {name: {} for name in candidates}
    for reward in run.rewards.values():
        rewards.setdefault(reward.instance_id, {})[reward.index] = reward.value
    return {
        name: JudgedInstance(candidates[name], evidence[name], verdicts[name], rewards[name]) for name in candidates
    }
