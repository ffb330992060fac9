"""The vote: which candidate is chosen, and the reason that is stored."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.ranking import majority
from swerl_eval.core.types import Candidate, Rejection, Selection


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
    assert majority("i", []) == Selection("i", None, "", "no candidate: no sample was drawn")


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
    chosen = forms[selection.index]
    assert selection.votes == votes[chosen] == max(votes.values())
    assert selection.index == forms.index(chosen)
    assert all(forms.index(form) >= selection.index for form, count in votes.items() if count == selection.votes)
    assert (selection.valid, selection.unique) == (sum(votes.values()), len(votes))


@settings(deadline=None)
@given(FORMS.filter(lambda forms: forms.strip(".")))
def test_one_more_vote_for_the_chosen_form_never_makes_another_win(forms: str):
    before = majority("i", candidates(forms))
    after = majority("i", candidates(forms + forms[before.index]))
    assert (after.index, after.patch) == (before.index, before.patch)
    assert after.votes == before.votes + 1


@settings(deadline=None)
@given(FORMS.filter(lambda forms: forms.strip(".")), st.sampled_from("abc"))
def test_one_more_vote_makes_its_own_form_win_or_changes_nothing(forms: str, form: str):
    before, after = majority("i", candidates(forms)), majority("i", candidates(forms + form))
    assert after.index == before.index or (forms + form)[after.index] == form


@settings(deadline=None)
@given(FORMS)
def test_samples_without_a_candidate_change_nothing_but_their_count(forms: str):
    selection = majority("i", candidates(forms + "..."))
    if selection.index is not None:
        assert selection == majority("i", candidates(forms))
    else:
        assert selection.reason == f"no candidate: {len(forms) + 3} no_edit"
