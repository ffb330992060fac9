from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.selection.early_stop import SelectionBasis, is_decided
from swerl_eval.core.selection.ranking import choose
from swerl_eval.core.types import Candidate, Evidence, Outcome, Rejection

VOTES, ONE_TEST, REGRESSION = SelectionBasis(0, False), SelectionBasis(1, False), SelectionBasis(0, True)


def candidate(index: int, form: str) -> Candidate:
    if not form:
        return Candidate("i", index, rejection=Rejection.NO_EDIT)
    return Candidate("i", index, f"patch {index} of {form}", form)


def arrived(*forms: str) -> list[Candidate]:
    return [candidate(index, form) for index, form in enumerate(forms)]


def seen(resolved: set[int], tests: int, broken: int = 0) -> Evidence:
    outcomes = tuple(Outcome.RESOLVED if rank in resolved else Outcome.REPRODUCED for rank in range(tests))
    return Evidence("i", "", outcomes, tuple(f"t{number}" for number in range(broken)))


def test_a_lead_that_the_rest_cannot_make_up_decides_a_vote() -> None:
    assert is_decided(arrived("a", "a", "a", "b"), 5, {}, VOTES)
    assert not is_decided(arrived("a", "a", "b"), 4, {}, VOTES)  # a tie is possible
    assert not is_decided(arrived("a", "b"), 9, {}, VOTES)
    assert not is_decided(arrived("", ""), 3, {}, VOTES)


def test_an_earlier_sample_that_is_still_to_come_may_be_of_the_same_form() -> None:
    late = [candidate(index, "a") for index in (1, 2, 3)]
    assert not is_decided(late, 4, {}, VOTES)
    assert is_decided([*late, candidate(0, "")], 5, {}, VOTES)


def test_nothing_is_decided_before_every_form_was_run() -> None:
    forms = arrived("a", "a", "a", "a", "b")
    assert not is_decided(forms, 6, {"a": seen({0}, 1)}, ONE_TEST)
    assert is_decided(forms, 6, {"a": seen({0}, 1), "b": seen(set(), 1)}, ONE_TEST)


def test_a_new_form_that_resolves_all_tests_may_still_come() -> None:
    known = {"a": seen({0}, 3)}
    assert not is_decided(arrived(*"aaaaaaaa"), 9, known, SelectionBasis(3, False))  # 8 x 1 against 1 x 9
    assert is_decided(arrived(*"aaaaaaaaaa"), 11, known, SelectionBasis(3, False))


def test_a_choice_that_breaks_tests_is_never_sure() -> None:
    forms = arrived(*"aaaaaaaa")
    assert not is_decided(forms, 9, {"a": seen(set(), 0, broken=1)}, REGRESSION)
    assert is_decided(forms, 9, {"a": seen(set(), 0)}, REGRESSION)


FORMS = ["", *"abcd"]
TESTS = 3


@settings(max_examples=600)
@given(data=st.data())
def test_stopping_when_it_is_decided_chooses_what_all_samples_would_have_chosen(data: st.DataObject) -> None:
    popular = data.draw(st.sampled_from(FORMS))
    pool = st.sampled_from([*FORMS, *[popular] * data.draw(st.integers(0, 20))])
    everything = [candidate(index, form) for index, form in enumerate(data.draw(st.lists(pool, max_size=14)))]
    tests, regression = data.draw(st.integers(0, TESTS)), data.draw(st.booleans())
    basis = SelectionBasis(tests, regression)
    evidence = {}
    if tests or regression:
        for form in FORMS[1:]:
            resolved = data.draw(st.sets(st.integers(0, tests - 1))) if tests else set()
            broken = data.draw(st.sampled_from([0, 0, 0, 1, 2])) if regression else 0
            unseen = data.draw(st.integers(0, 9)) == 0
            evidence[form] = Evidence("i", form, error="no") if unseen else seen(resolved, tests, broken)
    whole = choose("i", everything, evidence)
    order = data.draw(st.permutations(everything))
    for count in range(len(order) + 1):
        if is_decided(order[:count], len(order), evidence, basis):
            early = choose("i", order[:count], evidence)
            assert (early.index, early.patch) == (whole.index, whole.patch)
            break
    else:
        raise AssertionError("all samples decide")
