"""From candidates to one patch, and the reason. Pure: the same evidence always gives the same choice.

The rules are stage 5 of SWE-RL's Agentless Mini (arXiv 2502.18449): fewest broken regression tests, CodeT's dual
agreement over reproduction tests (arXiv 2207.10397), then the majority of normal forms. They work on forms and their
votes, since candidates of one form share their evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.types import Candidate, Evidence, Selection

Votes = Mapping[str, int]
"""Samples by normal form, in the order of each form's earliest sample."""

REGRESSION = "regression"
REPRODUCTION = "reproduction"


@dataclass(frozen=True)
class FormEvidence:
    """What the tests say of one normal form."""

    broken: int
    """How many regression tests it breaks."""
    resolved: frozenset[int]
    """Ranks of the reproduction tests that it turns to `Issue resolved`."""


def by_regression(votes: Votes, standings: Mapping[str, FormEvidence]) -> dict[str, int]:
    """The forms that break the fewest regression tests."""
    least = min(standings[form].broken for form in votes)
    return {form: count for form, count in votes.items() if standings[form].broken == least}


def by_reproduction(votes: Votes, standings: Mapping[str, FormEvidence]) -> dict[str, int]:
    """The forms of the best groups by dual agreement; a group resolves exactly the same tests.

    A group's score is its samples x the square of its tests. Where nothing is resolved, all score 0 and are kept.
    """
    samples: Counter[frozenset[int]] = Counter()
    for form, count in votes.items():
        samples[standings[form].resolved] += count
    scores = {resolved: count * len(resolved) ** 2 for resolved, count in samples.items()}
    best = max(scores.values())
    return {form: count for form, count in votes.items() if scores[standings[form].resolved] == best}


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

No filter ever keeps nothing, so the first order leaves all forms only if both filters do, and then so do the others:
where both kinds of tests have something to say, the first order decides or none does. The single ones decide where a
kind is turned off or has no evidence.
"""


def apply_filters(
    votes: Votes, standings: Mapping[str, FormEvidence], kinds: Collection[str]
) -> tuple[tuple[str, ...], Votes]:
    """The first order of filters that keeps some forms and not all, and those; no filter and all forms if none does.

    Only orders made of `kinds` are tried.
    """
    for order in ORDERS:
        if all(kind in kinds for kind in order):
            kept = votes
            for kind in order:
                kept = FILTERS[kind](kept, standings)
            if 0 < len(kept) < len(votes):
                return order, kept
    return (), votes


def most_voted(votes: Votes) -> str:
    """The form with the most votes, ties to the one that was sampled first."""
    return max(votes, key=votes.__getitem__)  # max keeps the first of equals


def standings_of(
    forms: Collection[str], evidence: Mapping[str, Evidence], tests: int | None = None
) -> dict[str, FormEvidence]:
    """Each form's standing by the first `tests` reproduction tests (None: all).

    A form whose tests never ran (no evidence, or an error and no outcome) resolves nothing and breaks one test more
    than the worst of those that did run: it is never preferred for what nobody has seen.
    """
    ran = {form: evidence[form] for form in forms if _ran(evidence.get(form))}
    unseen = FormEvidence(1 + max((len(known.broken) for known in ran.values()), default=0), frozenset())
    standings = {form: FormEvidence(len(known.broken), known.resolved(tests)) for form, known in ran.items()}
    return {form: standings.get(form, unseen) for form in forms}


def majority(instance_id: str, candidates: Sequence[Candidate]) -> Selection:
    """The candidate whose normal form the most samples share; ties go to the form that was sampled first.

    Of the samples that share it, the earliest one's patch is taken.
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
    """The majority of the candidates that the tests leave over; without evidence, of all that are not rejected.

    `evidence` is keyed by normal form. `tests` is how many of the top-ranked reproduction tests count (None: all, 0:
    none); `regression` is whether regression tests do. The order of the candidates in the list does not matter, that
    of their sample numbers does: ties go to the earliest.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.index)
    valid = [candidate for candidate in ordered if candidate.rejection is None]
    if not valid:
        return Selection(instance_id, None, "", _why_none(ordered))
    votes = Counter(candidate.normal_form for candidate in valid)
    standings = standings_of(votes, evidence, tests)
    counted = _counted(votes, evidence, tests)
    kinds = _kinds(votes, evidence, counted, regression=regression)
    order, kept = apply_filters(votes, standings, kinds)
    winner = most_voted(kept)
    if order:
        reason = f"{' then '.join(order)}: {_findings(order, votes, standings, counted)}; "
        reason += f"majority {kept[winner]} of {_whole(kept)}"
    else:
        reason = f"majority: {votes[winner]} of {len(valid)} valid samples agree"
        if kinds:
            reason = f"no test decides: {_findings(kinds, votes, standings, counted)}; {reason}"
    if ties := sum(count == kept[winner] for count in kept.values()) - 1:
        reason += f"; {ties + 1} forms tie, the earliest sample decides"
    chosen = next(candidate for candidate in valid if candidate.normal_form == winner)
    return Selection(instance_id, chosen.index, chosen.patch, reason, votes[winner], len(valid), len(votes))


def _ran(evidence: Evidence | None) -> bool:
    return evidence is not None and not (evidence.error and not evidence.outcomes)


def _counted(forms: Collection[str], evidence: Mapping[str, Evidence], tests: int | None) -> int:
    """How many reproduction tests there are to resolve."""
    return max((len(evidence[form].outcomes[:tests]) for form in forms if form in evidence), default=0)


def _kinds(
    forms: Collection[str], evidence: Mapping[str, Evidence], counted: int, *, regression: bool
) -> tuple[str, ...]:
    """The kinds of tests that are wanted and that some candidate was run against."""
    regression = regression and any(_ran(evidence.get(form)) for form in forms)
    return (REGRESSION,) * regression + (REPRODUCTION,) * (counted > 0)


def _findings(order: Sequence[str], votes: Votes, standings: Mapping[str, FormEvidence], counted: int) -> str:
    """What each filter kept, in turn and in words."""
    said = []
    for step, kind in enumerate(order):
        kept = FILTERS[kind](votes, standings)
        said.append(_finding(kind, kept, [standings[form] for form in kept], counted, _whole(votes) if not step else 0))
        votes = kept
    return ", ".join(said)


def _finding(kind: str, kept: Votes, standings: Sequence[FormEvidence], counted: int, whole: int) -> str:
    """`whole` is of how many samples these are; 0 where that was said just before."""
    samples = _whole(kept)
    groups = {standing.resolved for standing in standings}
    if kind == REPRODUCTION and not any(groups):
        return f"none of {_plural(whole, 'sample') if whole else 'them'} resolves a reproduction test"
    who = f"{samples} of {_plural(whole, 'sample') if whole else 'them'}"
    if kind == REGRESSION:
        return f"{who} {'breaks' if samples == 1 else 'break'} {_plural(standings[0].broken, 'regression test')}"
    sizes = " or ".join(map(str, sorted({len(resolved) for resolved in groups})))
    tie = f" ({len(groups)} groups tie)" if len(groups) > 1 else ""
    return f"{who} {'resolves' if samples == 1 else 'resolve'} {sizes} of {_plural(counted, 'reproduction test')}{tie}"


def _whole(votes: Votes) -> int:
    return sum(votes.values())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _why_none(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "no candidate: no sample was drawn, since there was no file to show"
    kinds = Counter(candidate.rejection.value for candidate in candidates if candidate.rejection is not None)
    return "no candidate: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
