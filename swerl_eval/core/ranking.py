"""From candidates to one patch, and the reason. Pure: the same evidence always gives the same choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from swerl_eval.core.types import Candidate, Selection


def majority(instance_id: str, candidates: Sequence[Candidate]) -> Selection:
    """The candidate whose normal form the most samples share; ties go to the form that was sampled first.

    Of the samples that share it, the earliest one's patch is taken.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.index)
    valid = [candidate for candidate in ordered if candidate.rejection is None]
    if not valid:
        return Selection(instance_id, None, "", _why_none(ordered))
    votes = Counter(candidate.normal_form for candidate in valid)
    first: dict[str, Candidate] = {}
    for candidate in valid:
        first.setdefault(candidate.normal_form, candidate)
    # max keeps the first of equals, and `first` is in the order of sampling
    winner = max(first.values(), key=lambda candidate: votes[candidate.normal_form])
    top = votes[winner.normal_form]
    ties = sum(count == top for count in votes.values())
    reason = f"majority: {top} of {len(valid)} valid samples agree"
    if ties > 1:
        reason += f"; {ties} forms tie, the earliest sample decides"
    return Selection(instance_id, winner.index, winner.patch, reason, top, len(valid), len(votes))


def _why_none(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "no candidate: no sample was drawn"
    kinds = Counter(candidate.rejection.value for candidate in candidates if candidate.rejection is not None)
    return "no candidate: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
