"""Whether samples that are still to come can change the choice.

The answer errs on one side: "not decided" may be wrong, "decided" never is.

Each of the r samples to come may have any form. It may join any group, or bring a new form that breaks nothing and
resolves any set of tests. The choice stands whatever they are, if all of these hold:

- All samples with a smaller number than the chosen one are there, so that it stays the earliest of its form.
- The choice breaks no regression test, so that no form can break fewer (where regression tests count).
- No other group of forms, the best conceivable one included, reaches the score of its group with r samples more (where
  reproduction tests count).
- No other form of its group, and no new one, reaches its votes with r samples more.

Forms that the filters leave out stay out by the second and third rule. Where the filters leave out none, the choice
leads among all forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.selection import ranking
from swerl_eval.core.selection.ranking import FormEvidence, Votes
from swerl_eval.core.types import Candidate, Evidence


@dataclass(frozen=True)
class SelectionBasis:
    """Which tests candidates are judged by; by none of them, votes alone decide."""

    reproduction_tests: int
    """How many reproduction tests each candidate is run against."""
    regression_tests: bool
    """Whether candidates are run against the repository's own tests."""

    @property
    def uses_tests(self) -> bool:
        """Whether candidates are run at all."""
        return self.reproduction_tests > 0 or self.regression_tests


PLAIN_VOTE = SelectionBasis(reproduction_tests=0, regression_tests=False)


def is_decided(
    candidates: Sequence[Candidate], total: int, evidence: Mapping[str, Evidence], basis: SelectionBasis
) -> bool:
    """Whether `ranking.choose` over all `total` samples is sure to choose what it chooses over these.

    Args:
        candidates: One for each sample that has come, rejected or not, in any order.
        total: How many samples there will be.
        evidence: By normal form. A form that is missing here was not run yet, and nothing is decided before it is.
        basis: The tests that count.
    """
    remaining = total - len(candidates)
    if remaining <= 0:
        return remaining == 0
    valid = [candidate for candidate in candidates if candidate.rejection is None]
    if not valid or (basis.uses_tests and any(candidate.normal_form not in evidence for candidate in valid)):
        return False
    chosen = ranking.choose("", valid, evidence).index
    if chosen is None or not _all_earlier_are_there(candidates, chosen):
        return False
    winner = next(candidate.normal_form for candidate in valid if candidate.index == chosen)
    votes: Votes = ranking.votes_of(valid)
    form_evidence = ranking.form_evidence_of(votes, evidence)
    if basis.regression_tests:
        if form_evidence[winner].broken:
            return False
        votes = ranking.by_regression(votes, form_evidence)
    if basis.reproduction_tests:
        if not _group_leads(winner, votes, form_evidence, basis.reproduction_tests, remaining):
            return False
        votes = _group_of(winner, votes, form_evidence)
    return _form_leads(winner, votes, remaining)


def _all_earlier_are_there(candidates: Sequence[Candidate], index: int) -> bool:
    return {candidate.index for candidate in candidates}.issuperset(range(index))


def _group_leads(
    winner: str, votes: Votes, form_evidence: Mapping[str, FormEvidence], tests: int, remaining: int
) -> bool:
    """Whether no other group reaches the score of the winner's group, even if it gets all remaining samples."""
    samples = ranking.samples_by_group(votes, form_evidence)
    group = form_evidence[winner].resolved
    score = ranking.group_score(samples.pop(group), len(group))
    rivals = [ranking.group_score(count + remaining, len(resolved)) for resolved, count in samples.items()]
    new_group = ranking.group_score(remaining, tests)
    return max([new_group, *rivals]) < score


def _group_of(winner: str, votes: Votes, form_evidence: Mapping[str, FormEvidence]) -> Votes:
    group = form_evidence[winner].resolved
    return {form: count for form, count in votes.items() if form_evidence[form].resolved == group}


def _form_leads(winner: str, votes: Votes, remaining: int) -> bool:
    """Whether no other form reaches the winner's votes, even if it gets all remaining samples."""
    others = [count for form, count in votes.items() if form != winner]
    return max([0, *others]) + remaining < votes[winner]
