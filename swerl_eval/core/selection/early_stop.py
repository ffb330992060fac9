"""Whether samples that are still to come can change the choice. Conservative: a no may be a maybe.

With r samples to come, each may be of any form, join any group, or make a new form that breaks nothing and resolves any
set of tests. The choice W stands whatever they are, if

- all samples with a smaller number than W's earliest are there, so that it stays the earliest of its form;
- W breaks no regression test, so that no form can break fewer (where regression tests count);
- no other group of reproduction tests, the best conceivable one included, reaches the score of W's group with r samples
  more (where reproduction tests count);
- no form that is left beside W, and no new one, reaches W's votes with r samples more.

Forms that the filters leave out stay out by the second and third rule, and if they leave out none, W leads among all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.selection import ranking
from swerl_eval.core.types import Candidate, Evidence


@dataclass(frozen=True)
class SelectionBasis:
    """Which tests have a say in the choice; none in a plain vote."""

    reproduction_tests: int = 0
    """How many candidates are run against."""
    regression_tests: bool = False


PLAIN_VOTE = SelectionBasis()


def is_decided(
    arrived: Sequence[Candidate], total: int, evidence: Mapping[str, Evidence], basis: SelectionBasis = PLAIN_VOTE
) -> bool:
    """Whether `ranking.choose` over all `total` samples is sure to choose what it chooses over those that arrived.

    `tests` is how many reproduction tests candidates are run against, `regression` whether regression tests are;
    `evidence` is by normal form, and a form without any is not known yet.
    """
    tests, regression = basis.reproduction_tests, basis.regression_tests
    left = total - len(arrived)
    valid = sorted((each for each in arrived if each.rejection is None), key=lambda each: each.index)
    if left <= 0:
        return left == 0
    if not valid or ((tests or regression) and any(each.normal_form not in evidence for each in valid)):
        return False
    votes = Counter(each.normal_form for each in valid)
    standings = ranking.standings_of(votes, evidence)
    chosen = ranking.choose("", valid, evidence)
    winner = next(each for each in valid if each.index == chosen.index)
    if not {each.index for each in arrived}.issuperset(range(winner.index)):
        return False
    kept: ranking.Votes = votes
    if regression:
        if standings[winner.normal_form].broken:
            return False
        kept = ranking.by_regression(kept, standings)
    if tests:
        group = standings[winner.normal_form].resolved
        samples: Counter[frozenset[int]] = Counter()
        for form, count in kept.items():
            samples[standings[form].resolved] += count
        score = samples.pop(group) * len(group) ** 2
        rivals = [(count + left) * len(resolved) ** 2 for resolved, count in samples.items()]
        if max([left * tests**2, *rivals]) >= score:
            return False
        kept = {form: count for form, count in kept.items() if standings[form].resolved == group}
    others = [count for form, count in kept.items() if form != winner.normal_form]
    return max([0, *others]) + left < kept[winner.normal_form]
