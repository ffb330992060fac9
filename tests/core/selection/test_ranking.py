"""Which candidate is chosen, by votes and by tests, and the reason that is stored."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.selection.ranking import ORDERS, choose, majority
from swerl_eval.core.types import Candidate, Evidence, Outcome, Rejection, Selection


def candidates(forms: str) -> list[Candidate]:
    """One for each letter, with that letter as its normal form; `.` is a sample without an edit."""
    return [
        Candidate("i", index, rejection=Rejection.NO_EDIT)
        if form == "."
        else Candidate("i", index, patch=f"{form}{index}", normal_form=form)
        for index, form in enumerate(forms)
    ]


@pytest.mark.parametrize(
    ("forms", "selection"),
    [
        ("a", Selection("i", 0, "a0", "majority: 1 of 1 valid samples agree", 1, 1, 1)),
        ("abb", Selection("i", 1, "b1", "majority: 2 of 3 valid samples agree", 2, 3, 2)),
        ("bab", Selection("i", 0, "b0", "majority: 2 of 3 valid samples agree", 2, 3, 2)),
        (".ab.b.", Selection("i", 2, "b2", "majority: 2 of 3 valid samples agree", 2, 3, 2)),
        (
            "abc",
            Selection(
                "i", 0, "a0", "majority: 1 of 3 valid samples agree; 3 forms tie, the earliest sample decides", 1, 3, 3
            ),
        ),
        (
            "cbabac",
            Selection(
                "i", 0, "c0", "majority: 2 of 6 valid samples agree; 3 forms tie, the earliest sample decides", 2, 6, 3
            ),
        ),
        (
            "cbbaa",
            Selection(
                "i", 1, "b1", "majority: 2 of 5 valid samples agree; 2 forms tie, the earliest sample decides", 2, 5, 3
            ),
        ),
    ],
)
def test_the_form_with_the_most_votes_wins_by_its_earliest_sample(forms: str, selection: Selection):
    assert majority("i", candidates(forms)) == selection


def test_without_a_sample_there_is_no_candidate():
    assert majority("i", []) == Selection(
        "i", None, "", "no candidate: no sample was drawn, since there was no file to show"
    )


def test_without_a_valid_candidate_the_reasons_are_counted():
    kinds = [Rejection.BAD_FORMAT, Rejection.NO_MATCH, Rejection.NO_MATCH, Rejection.SAMPLE_FAILED]
    rejected = [Candidate("i", index, rejection=kind) for index, kind in enumerate(kinds)]
    assert majority("i", rejected) == Selection(
        "i", None, "", "no candidate: 2 no_match, 1 bad_format, 1 sample_failed"
    )


FORMS = st.text("abc.", max_size=12)


@settings(deadline=None)
@given(FORMS, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_count(forms: str, rng):
    ordered = candidates(forms)
    shuffled = ordered[:]
    rng.shuffle(shuffled)
    assert majority("i", shuffled) == majority("i", ordered)


@settings(deadline=None)
@given(FORMS)
def test_no_form_has_more_votes_than_the_chosen_one_and_none_with_as_many_was_sampled_earlier(forms: str):
    selection = majority("i", candidates(forms))
    votes = Counter(forms.replace(".", ""))
    if not votes:
        assert (selection.index, selection.patch) == (None, "")
        return
    assert selection.index is not None
    chosen = forms[selection.index]
    assert selection.votes == votes[chosen] == max(votes.values())
    assert selection.index == forms.index(chosen)
    assert all(forms.index(form) >= selection.index for form, count in votes.items() if count == selection.votes)
    assert (selection.valid, selection.unique) == (sum(votes.values()), len(votes))


@settings(deadline=None)
@given(FORMS.filter(lambda forms: forms.strip(".")))
def test_one_more_vote_for_the_chosen_form_never_makes_another_win(forms: str):
    before = majority("i", candidates(forms))
    assert before.index is not None
    after = majority("i", candidates(forms + forms[before.index]))
    assert (after.index, after.patch) == (before.index, before.patch)
    assert after.votes == before.votes + 1


@settings(deadline=None)
@given(FORMS.filter(lambda forms: forms.strip(".")), st.sampled_from("abc"))
def test_one_more_vote_makes_its_own_form_win_or_changes_nothing(forms: str, form: str):
    before, after = majority("i", candidates(forms)), majority("i", candidates(forms + form))
    assert after.index is not None
    assert after.index == before.index or (forms + form)[after.index] == form


@settings(deadline=None)
@given(FORMS)
def test_samples_without_a_candidate_change_nothing_but_their_count(forms: str):
    selection = majority("i", candidates(forms + "..."))
    if selection.index is not None:
        assert selection == majority("i", candidates(forms))
    else:
        assert selection.reason == f"no candidate: {len(forms) + 3} no_edit"


OUTCOMES = {"+": Outcome.RESOLVED, "-": Outcome.REPRODUCED, "?": Outcome.TIMED_OUT}


def evidence(**forms: str) -> dict[str, Evidence]:
    """`a="+-?1"`: form a resolves the first of three reproduction tests and breaks one regression test.

    `!` stands for tests that could not be run at all.
    """
    return {
        form: Evidence("i", form, error="the container did not start")
        if said == "!"
        else Evidence(
            "i",
            form,
            outcomes=tuple(OUTCOMES[letter] for letter in said[:-1]),
            broken=tuple(f"test_{number}" for number in range(int(said[-1]))),
        )
        for form, said in forms.items()
    }


def chosen(forms: str, said: dict[str, Evidence], **how) -> tuple[str, str]:
    """The chosen patch and the reason."""
    selection = choose("i", candidates(forms), said, **how)
    return selection.patch, selection.reason


def test_a_selection_has_the_votes_of_its_form_among_all_valid_samples():
    said = evidence(a="+++++1", b="++++-0", c="-----0")
    assert choose("i", candidates("aab.bca"), said) == Selection(
        "i",
        2,
        "b2",
        "regression then reproduction: 3 of 6 samples break 0 regression tests, 2 of them resolve 4 of 5 reproduction "
        "tests; majority 2 of 2",
        votes=2,
        valid=6,
        unique=3,
    )


def test_fewest_broken_regression_tests_go_before_votes():
    assert chosen("aaab", evidence(a="2", b="1")) == (
        "b3",
        "regression: 1 of 4 samples breaks 1 regression test; majority 1 of 1",
    )


def test_tests_that_are_broken_are_counted_and_not_compared():
    said = {"a": Evidence("i", "a", broken=("x", "y")), "b": Evidence("i", "b", broken=("z",))}
    assert chosen("aab", said)[0] == "b2"


def test_a_group_scores_its_samples_times_the_square_of_its_tests():
    # 4 x 1 against 1 x 4: both best; 3 x 1 is not
    assert chosen("aaaabccc", evidence(a="+--0", b="-++0", c="--+0"), regression=False) == (
        "a0",
        "reproduction: 5 of 8 samples resolve 1 or 2 of 3 reproduction tests (2 groups tie); majority 4 of 5",
    )
    # 3 x 1 against 1 x 4
    assert chosen("aaab", evidence(a="+--0", b="-++0"), regression=False) == (
        "b3",
        "reproduction: 1 of 4 samples resolves 2 of 3 reproduction tests; majority 1 of 1",
    )


def test_forms_that_resolve_the_same_tests_share_a_group_and_then_vote():
    # {0}: 3 samples of two forms, 3 x 1; {1}: 2 of one form, 2 x 1
    assert chosen("bbaca", evidence(b="-+0", a="+-0", c="+-0")) == (
        "a2",
        "regression then reproduction: 5 of 5 samples break 0 regression tests, 3 of them resolve 1 of 2 reproduction "
        "tests; majority 2 of 3",
    )


def test_as_many_but_other_tests_make_another_group():
    assert chosen("ab", evidence(a="+-0", b="-+0"), regression=False) == (
        "a0",
        "no test decides: 2 of 2 samples resolve 1 of 2 reproduction tests (2 groups tie); majority: 1 of 2 valid "
        "samples agree; 2 forms tie, the earliest sample decides",
    )


def test_what_is_left_over_votes_and_ties_go_to_the_earliest_sample():
    assert chosen("xcbacxx", evidence(a="+0", b="+0", c="-0", x="+3"), tests=0) == (
        "c1",
        "regression: 4 of 7 samples break 0 regression tests; majority 2 of 4",
    )
    assert chosen("xcbaabxxx", evidence(a="+0", b="+0", c="-0", x="+3")) == (
        "b2",
        "regression then reproduction: 5 of 9 samples break 0 regression tests, 4 of them resolve 1 of 1 reproduction "
        "test; majority 2 of 4; 2 forms tie, the earliest sample decides",
    )


@pytest.mark.parametrize(("tests", "patch"), [(None, "c4"), (3, "c4"), (2, "c4"), (1, "b2"), (0, "a0")])
def test_only_the_top_ranked_reproduction_tests_count(tests: int | None, patch: str):
    # of one test, b and c are a group and b is its majority; of two, c scores 1 x 4 and b 2 x 1; a at most 3 x 1
    assert chosen("aabbca", evidence(a="--+0", b="+--0", c="++-0"), tests=tests)[0] == patch


def test_with_regression_first_the_cleanest_are_kept_even_where_they_resolve_nothing():
    # as in the published selection: groups that all score 0 tie, so nobody falls out by reproduction
    assert chosen("aab", evidence(a="++1", b="--0")) == (
        "b2",
        "regression then reproduction: 1 of 3 samples breaks 0 regression tests, none of them resolves a reproduction "
        "test; majority 1 of 1",
    )


def test_where_nothing_is_resolved_and_nothing_broken_the_majority_decides():
    assert chosen("abb", evidence(a="--0", b="??0")) == (
        "b1",
        "no test decides: 3 of 3 samples break 0 regression tests, none of them resolves a reproduction test; "
        "majority: 2 of 3 valid samples agree",
    )
    assert chosen("a", evidence(a="--0"), regression=False) == (
        "a0",
        "no test decides: none of 1 sample resolves a reproduction test; majority: 1 of 1 valid samples agree",
    )


def test_a_group_of_all_candidates_is_no_choice():
    assert chosen("abb", evidence(a="+1", b="+1")) == (
        "b1",
        "no test decides: 3 of 3 samples break 1 regression test, 3 of them resolve 1 of 1 reproduction test; "
        "majority: 2 of 3 valid samples agree",
    )


def test_the_orders_of_fallback_are_those_of_the_method():
    assert ORDERS == (
        ("regression", "reproduction"),
        ("reproduction", "regression"),
        ("reproduction",),
        ("regression",),
    )


@pytest.mark.parametrize(
    ("said", "how", "rule", "patch"),
    [
        (evidence(a="-1", b="+0", c="-0"), {}, "regression then reproduction", "b2"),
        # only one kind tells them apart: the first order still decides
        (evidence(a="-0", b="+0", c="-0"), {}, "regression then reproduction", "b2"),
        (evidence(a="+1", b="+1", c="+0"), {}, "regression then reproduction", "c3"),
        (evidence(a="-0", b="+1", c="-0"), {"regression": False}, "reproduction", "b2"),
        (evidence(a="-1", b="-1", c="+0"), {"tests": 0}, "regression", "c3"),
        # no reproduction test was kept
        (evidence(a="1", b="1", c="0"), {}, "regression", "c3"),
        (evidence(a="+0", b="+0", c="+0"), {}, "no test decides", "a0"),
        (evidence(a="0", b="0", c="0"), {}, "no test decides", "a0"),
        (evidence(a="-1", b="+0", c="-0"), {"regression": False, "tests": 0}, "majority", "a0"),
        ({}, {}, "majority", "a0"),
    ],
)
def test_the_first_order_that_leaves_some_but_not_all_decides(said: dict[str, Evidence], how, rule: str, patch: str):
    found, reason = chosen("aabc", said, **how)
    assert (found, reason.partition(":")[0]) == (patch, rule)


def test_a_form_without_evidence_comes_after_the_worst_known_one():
    assert chosen("aaab", evidence(b="2")) == (
        "b3",
        "regression: 1 of 4 samples breaks 2 regression tests; majority 1 of 1",
    )


def test_a_form_whose_tests_never_ran_counts_as_one_without_evidence():
    assert chosen("aaab", evidence(a="!", b="-2")) == (
        "b3",
        "regression then reproduction: 1 of 4 samples breaks 2 regression tests, none of them resolves a reproduction "
        "test; majority 1 of 1",
    )
    # without regression tests it is in no group that resolves anything
    assert chosen("aaab", evidence(a="!", b="+2"), regression=False)[0] == "b3"
    assert chosen("aaab", evidence(a="!", b="-2"), regression=False)[0] == "a0"


def test_outcomes_count_though_the_tests_did_not_run_to_their_end():
    said = evidence(a="-0", b="+0")
    said["b"] = Evidence("i", "b", said["b"].outcomes, (), error="out of time")
    assert chosen("aab", said)[0] == "b2"


def test_where_no_tests_ever_ran_the_majority_decides():
    assert choose("i", candidates("abb"), evidence(a="!", b="!")) == majority("i", candidates("abb"))


def test_evidence_of_forms_that_nobody_sampled_is_left_aside():
    assert choose("i", candidates("abb"), evidence(z="+++0")) == majority("i", candidates("abb"))
    assert chosen("aab", evidence(z="+++0", a="--1", b="+-1"))[1].startswith(
        "regression then reproduction: 3 of 3 samples break 1 regression test, 1 of them resolves 1 of 2 reproduction"
    )


def test_without_a_valid_candidate_no_evidence_helps():
    assert choose("i", candidates(".."), evidence(a="+0")) == majority("i", candidates(".."))


EVIDENCE = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(st.just("!"), st.tuples(st.text("+-?", min_size=3, max_size=3), st.sampled_from("012")).map("".join)),
).map(lambda said: evidence(**said))
MANY = st.text("abcd.", max_size=14)
HOW = st.fixed_dictionaries({"tests": st.sampled_from([None, 0, 1, 2, 3, 9]), "regression": st.booleans()})


def published(forms: str, said: dict[str, Evidence], tests: int | None, regression: bool) -> list[int]:
    """The samples that are left over, sample by sample, as the rules are written."""
    valid = [index for index, form in enumerate(forms) if form != "."]
    ran = {form: each for form, each in said.items() if form in forms and (each.outcomes or not each.error)}
    worst = max((len(each.broken) for each in ran.values()), default=0) + 1

    def broken(index: int) -> int:
        return (len(ran[forms[index]].broken) if forms[index] in ran else worst) if regression else 0

    def resolved(index: int) -> frozenset[int]:
        return ran[forms[index]].resolved(tests) if forms[index] in ran else frozenset()

    def score(index: int, pool: list[int]) -> int:
        return sum(resolved(other) == resolved(index) for other in pool) * len(resolved(index)) ** 2

    def clean(pool: list[int]) -> list[int]:
        return [index for index in pool if broken(index) == min(map(broken, pool))]

    def agreeing(pool: list[int]) -> list[int]:
        return [index for index in pool if score(index, pool) == max(score(other, pool) for other in pool)]

    for kept in (agreeing(clean(valid)), clean(agreeing(valid)), agreeing(valid), clean(valid)):
        if kept and kept != valid:
            return kept
    return valid


@settings(deadline=None, max_examples=300)
@given(MANY, EVIDENCE, HOW)
def test_the_choice_is_the_majority_of_what_the_written_rules_leave_over(forms: str, said, how):
    selection = choose("i", candidates(forms), said, **how)
    kept = published(forms, said, **how)
    among = majority("i", [candidate for candidate in candidates(forms) if candidate.index in kept])
    assert (selection.index, selection.patch) == (among.index, among.patch)
    if kept:
        assert selection.index is not None
        assert forms[selection.index] != "."
        everyone = majority("i", candidates(forms))
        assert (selection.valid, selection.unique) == (everyone.valid, everyone.unique)
        assert selection.votes == forms.count(forms[selection.index])
        assert f"{among.votes} of {len(kept)}" in selection.reason


@settings(deadline=None)
@given(MANY, EVIDENCE, HOW, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_and_of_the_evidence_does_not_count(forms: str, said, how, rng):
    shuffled, mixed = candidates(forms), list(said.items())
    rng.shuffle(shuffled)
    rng.shuffle(mixed)
    assert choose("i", shuffled, dict(mixed), **how) == choose("i", candidates(forms), said, **how)


@settings(deadline=None, max_examples=300)
@given(MANY.filter(lambda forms: forms.strip(".")), EVIDENCE, HOW)
def test_a_duplicate_of_the_chosen_candidate_never_makes_another_win(forms: str, said, how):
    before = choose("i", candidates(forms), said, **how)
    assert before.index is not None
    after = choose("i", candidates(forms + forms[before.index]), said, **how)
    assert (after.index, after.patch, after.votes) == (before.index, before.patch, before.votes + 1)


@settings(deadline=None)
@given(MANY, EVIDENCE)
def test_without_tests_there_is_only_the_vote(forms: str, said):
    vote = majority("i", candidates(forms))
    assert choose("i", candidates(forms), said, tests=0, regression=False) == vote
    assert choose("i", candidates(forms), {}) == vote


@settings(deadline=None)
@given(MANY, EVIDENCE)
def test_reproduction_before_regression_decides_nothing_that_regression_before_reproduction_does_not(forms: str, said):
    # a filter that never keeps nothing cannot make room for the second order; it is here since the method names it
    assert not choose("i", candidates(forms), said).reason.startswith("reproduction then regression")
