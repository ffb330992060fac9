"""Chooses one patch among the candidates, with the reason. The same evidence always gives the same choice.

The rules are stage 5 of SWE-RL's Agentless Mini (arXiv 2502.18449): fewest broken regression tests, CodeT's dual
agreement over reproduction tests (arXiv 2207.10397), then the majority of normal forms. They work on forms and their
votes, since candidates of one form share their evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.types import Candidate, Evidence, Selection

Votes = Mapping[str, int]
"""Samples by normal form, in the order of each form's earliest sample."""

REGRESSION = "regression"
REPRODUCTION = "reproduction"


@dataclass(frozen=True)
class FormEvidence:
    """What the tests say of one normal form, as far as the filters look at it."""

    broken: int
    """How many regression tests it breaks."""
    resolved: frozenset[int]
    """Ranks of the reproduction tests that it turns to `Issue resolved`."""


def votes_of(valid: Iterable[Candidate]) -> dict[str, int]:
    """Count the samples of each normal form, in the order of each form's earliest sample."""
    return Counter(candidate.normal_form for candidate in sorted(valid, key=lambda candidate: candidate.index))


def by_regression(votes: Votes, form_evidence: Mapping[str, FormEvidence]) -> dict[str, int]:
    """Keep the forms that break the fewest regression tests."""
    least = min(form_evidence[form].broken for form in votes)
    return {form: count for form, count in votes.items() if form_evidence[form].broken == least}


def by_reproduction(votes: Votes, form_evidence: Mapping[str, FormEvidence]) -> dict[str, int]:
    """Keep the forms of the best groups by dual agreement. Where nothing is resolved, all score 0 and are kept."""
    samples = samples_by_group(votes, form_evidence)
    scores = {resolved: group_score(count, len(resolved)) for resolved, count in samples.items()}
    best = max(scores.values())
    return {form: count for form, count in votes.items() if scores[form_evidence[form].resolved] == best}


def samples_by_group(votes: Votes, form_evidence: Mapping[str, FormEvidence]) -> Counter[frozenset[int]]:
    """Count the samples of each group. Forms of one group resolve exactly the same reproduction tests."""
    samples: Counter[frozenset[int]] = Counter()
    for form, count in votes.items():
        samples[form_evidence[form].resolved] += count
    return samples


def group_score(samples: int, tests: int) -> int:
    """Score a group by dual agreement: its samples x the square of the tests that it resolves."""
    return samples * tests**2


FILTERS: dict[str, Callable[[Votes, Mapping[str, FormEvidence]], dict[str, int]]] = {
    REGRESSION: by_regression,
    REPRODUCTION: by_reproduction,
}

ORDERS: tuple[tuple[str, ...], ...] = (
    (REGRESSION, REPRODUCTION),
    (REPRODUCTION, REGRESSION),
    (REPRODUCTION,),
    (REGRESSION,),
)
"""The method's order of fallbacks.

A filter always keeps some form. So the first order keeps all forms only if both filters do, and then the other orders
keep all of them too: with both kinds of tests, the first order decides or none does. The orders of one filter decide
where the other kind of tests is turned off or has no evidence.
"""


def apply_filters(
    votes: Votes, form_evidence: Mapping[str, FormEvidence], kinds: Collection[str]
) -> tuple[tuple[str, ...], Votes]:
    """Find the first order of filters that leaves out some form.

    Args:
        kinds: The kinds of tests that count; only orders made of these are tried.

    Returns:
        The order and the forms that it keeps; no filter and all forms if none leaves out any.
    """
    for order in ORDERS:
        if all(kind in kinds for kind in order):
            remaining = votes
            for kind in order:
                remaining = FILTERS[kind](remaining, form_evidence)
            if len(remaining) < len(votes):
                return order, remaining
    return (), votes


def most_voted(votes: Votes) -> str:
    """Return the form with the most votes; ties go to the one that was sampled first."""
    return max(votes, key=votes.__getitem__)  # max keeps the first of equals


def form_evidence_of(
    forms: Collection[str], evidence: Mapping[str, Evidence], tests: int | None = None
) -> dict[str, FormEvidence]:
    """Summarize the evidence of each form.

    A form whose tests never ran (no evidence, or an error and no outcome) counts as resolving nothing and breaking one
    test more than the worst of those that did run. So it is never preferred for what nobody has seen.

    Args:
        tests: How many of the top-ranked reproduction tests count; None is all.
    """
    ran = {form: evidence[form] for form in forms if _ran(evidence.get(form))}
    not_run = FormEvidence(1 + max((len(known.broken) for known in ran.values()), default=0), frozenset())
    summaries = {form: FormEvidence(len(known.broken), known.resolved(tests)) for form, known in ran.items()}
    return {form: summaries.get(form, not_run) for form in forms}


def majority(instance_id: str, candidates: Sequence[Candidate]) -> Selection:
    """Choose the patch whose normal form the most samples share; ties go to the form that was sampled first.

    Of the samples of that form, the earliest one's patch is taken.
    """
    return choose(instance_id, candidates, {})


def choose(
    instance_id: str,
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
    *,
    tests: int | None = None,
    regression: bool = True,
) -> Selection:
    """Choose by majority among the candidates that the tests keep; without evidence, among all that are not rejected.

    Args:
        candidates: One for each sample, in any order; ties go to the smallest sample number.
        evidence: By normal form.
        tests: How many of the top-ranked reproduction tests count; None is all, 0 none.
        regression: Whether regression tests count.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.index)
    valid = [candidate for candidate in ordered if candidate.rejection is None]
    if not valid:
        return Selection(instance_id, None, "", _why_none(ordered))
    votes = votes_of(valid)
    form_evidence = form_evidence_of(votes, evidence, tests)
    test_count = _test_count(votes, evidence, tests)
    kinds = _kinds(votes, evidence, test_count, regression=regression)
    order, remaining = apply_filters(votes, form_evidence, kinds)
    winner = most_voted(remaining)
    if order:
        reason = f"{' then '.join(order)}: {_describe_filters(order, votes, form_evidence, test_count)}; "
        reason += f"majority {remaining[winner]} of {_samples(remaining)}"
    else:
        reason = f"majority: {votes[winner]} of {len(valid)} valid samples agree"
        if kinds:
            reason = f"no test decides: {_describe_filters(kinds, votes, form_evidence, test_count)}; {reason}"
    if ties := sum(count == remaining[winner] for count in remaining.values()) - 1:
        reason += f"; {ties + 1} forms tie, the earliest sample decides"
    chosen = next(candidate for candidate in valid if candidate.normal_form == winner)
    return Selection(instance_id, chosen.index, chosen.patch, reason, votes[winner], len(valid), len(votes))


def _ran(evidence: Evidence | None) -> bool:
    return evidence is not None and not (evidence.error and not evidence.outcomes)


def _test_count(forms: Collection[str], evidence: Mapping[str, Evidence], tests: int | None) -> int:
    """Return how many reproduction tests there are to resolve."""
    return max((len(evidence[form].outcomes[:tests]) for form in forms if form in evidence), default=0)


def _kinds(
    forms: Collection[str], evidence: Mapping[str, Evidence], test_count: int, *, regression: bool
) -> tuple[str, ...]:
    """Return the kinds of tests that are wanted and that some candidate was run against."""
    regression = regression and any(_ran(evidence.get(form)) for form in forms)
    return (REGRESSION,) * regression + (REPRODUCTION,) * (test_count > 0)


def _describe_filters(
    order: Sequence[str], votes: Votes, form_evidence: Mapping[str, FormEvidence], test_count: int
) -> str:
    """Describe what each filter keeps of what the one before it kept."""
    phrases = []
    whole = _plural(_samples(votes), "sample")
    for kind in order:
        votes = FILTERS[kind](votes, form_evidence)
        phrases.append(_describe(kind, _samples(votes), whole, [form_evidence[form] for form in votes], test_count))
        whole = "them"
    return ", ".join(phrases)


def _describe(kind: str, samples: int, whole: str, form_evidence: Sequence[FormEvidence], test_count: int) -> str:
    """Describe what one filter keeps: so many `samples` of the `whole`, with this evidence of their forms."""
    groups = {known.resolved for known in form_evidence}
    if kind == REPRODUCTION and not any(groups):
        return f"none of {whole} resolves a reproduction test"
    if kind == REGRESSION:
        verb = "breaks" if samples == 1 else "break"
        return f"{samples} of {whole} {verb} {_plural(form_evidence[0].broken, 'regression test')}"
    verb = "resolves" if samples == 1 else "resolve"
    sizes = " or ".join(map(str, sorted({len(resolved) for resolved in groups})))
    tie = f" ({len(groups)} groups tie)" if len(groups) > 1 else ""
    return f"{samples} of {whole} {verb} {sizes} of {_plural(test_count, 'reproduction test')}{tie}"


def _samples(votes: Votes) -> int:
    return sum(votes.values())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _why_none(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "no candidate: no sample was drawn, since there was no file to show"
    kinds = Counter(candidate.rejection.value for candidate in candidates if candidate.rejection is not None)
    return "no candidate: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
