"""The ablation table against choices made one by one."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError
from swerl_eval.core.metrics import best_of_k, pass_at_k
from swerl_eval.core.selection.ranking import choose
from swerl_eval.core.selection.scaling import JudgedInstance, ScalingRow, scaling
from swerl_eval.core.types import Candidate, Evidence, Outcome, Rejection


def judged(forms: str, right: str = "", **said: str) -> JudgedInstance:
    """A sample for each letter (`.` is one without an edit); the right forms; `a="+-1"`: outcomes, count of broken."""
    return JudgedInstance(
        [
            Candidate("i", index, rejection=Rejection.NO_EDIT)
            if form == "."
            else Candidate("i", index, patch=f"{form}{index}", normal_form=form)
            for index, form in enumerate(forms)
        ],
        {
            form: Evidence(
                "i",
                form,
                tuple(Outcome.RESOLVED if letter == "+" else Outcome.REPRODUCED for letter in text[:-1]),
                ("test",) * int(text[-1]),
            )
            for form, text in said.items()
        },
        {form: form in right for form in forms if form != "."},
    )


def test_a_row_says_what_the_first_samples_and_what_random_ones_come_to():
    instances = {
        "tests find it": judged("aab", "b", a="-+0", b="++0"),
        "votes find it": judged("cc.", "c"),
        "nobody does": judged("dd.", "", d="+-0"),
    }
    rows = scaling(instances, [1, 3], [0, 1, None], resamples=300, seed=3)
    assert [(row.samples, row.tests, row.instances, row.subsets) for row in rows] == [
        (1, 0, 3, 300),
        (1, 1, 3, 300),
        (1, None, 3, 300),
        (3, 0, 3, 1),
        (3, 1, 3, 1),
        (3, None, 3, 1),
    ]
    assert [row.solve_rate for row in rows] == [1 / 3] * 4 + [2 / 3] * 2
    # of one sample: b in one of three draws, c in two of three
    assert all(row.pass_at_k == pytest.approx(1 / 3) for row in rows[:3])
    assert all(row.best_at_k == pytest.approx(1 / 3, abs=0.04) for row in rows[:3])
    assert all(row.pass_interval == row.best_interval == (0.0, 2 / 3) for row in rows[:3])
    assert rows[4] == ScalingRow(3, 1, 3, 1, 2 / 3, 2 / 3, (2 / 3, 2 / 3), 2 / 3, (2 / 3, 2 / 3))


def test_best_at_k_is_the_mean_over_all_subsets():
    instance = judged("abbc.cad", "ad", a="+-0", b="--0", c="-+1", d="++0")
    pairs = [
        choose("i", [instance.candidates[index] for index in subset], instance.evidence)
        for subset in combinations(range(8), 3)
    ]
    exact = sum(bool(selection.patch) and selection.patch[0] in "ad" for selection in pairs) / len(pairs)
    (row,) = scaling({"i": instance}, [3], [None], resamples=4000)
    assert row.best_at_k == pytest.approx(exact, abs=0.03)
    assert row.pass_at_k == pass_at_k(8, 3, 3)
    assert row.best_interval == (0.0, 1.0)


def test_the_best_by_reward_is_expected_over_all_subsets():
    instance = judged("aab.", "b")
    rewards = {0: 0.9, 1: -1.0, 2: 0.5, 3: -1.0}
    scored = replace(instance, rewards=rewards)
    rows = scaling({"i": scored, "none": judged("")}, [1, 2, 4], [0, None], resamples=2)
    # b is drawn alone in one of four draws, and is the best of two of the six pairs
    expected = [1 / 8, 1 / 8, 1 / 6, 1 / 6, 0.0, 0.0]
    assert [row.reward_at_k for row in rows] == [pytest.approx(chance) for chance in expected]
    right = [(rewards[place], place == 2) for place in range(4)]
    assert rows[2].reward_at_k == best_of_k(right, 2) / 2


def test_without_a_reward_of_every_answer_there_is_no_best_by_reward():
    instance = judged("ab", "b")
    assert scaling({"i": replace(instance, rewards={0: 0.5})}, [1], [0])[0].reward_at_k is None
    failed = Candidate("i", 1, rejection=Rejection.SAMPLE_FAILED)
    unanswered = replace(judged("b", "b"), rewards={0: -1.0})
    unanswered = replace(unanswered, candidates=[*unanswered.candidates, failed])
    # a sample without an answer is below the worst reward
    assert [row.reward_at_k for row in scaling({"i": unanswered}, [1, 2], [0])] == [0.5, 1.0]


def test_a_wrong_choice_and_no_candidate_solve_nothing():
    (row,) = scaling({"wrong": judged("a"), "none": judged("."), "empty": judged("")}, [1], [0])
    assert row == ScalingRow(1, 0, 3, 1, 0.0, 0.0, (0.0, 0.0), 0.0, (0.0, 0.0), None)


def test_an_instance_with_fewer_samples_gives_all_it_has():
    short, whole = judged("a", "a"), judged("bbcc", "b")
    (row,) = scaling({"short": short, "whole": whole}, [4], [0])
    assert (row.subsets, row.solve_rate, row.pass_at_k, row.best_at_k) == (1, 1.0, 1.0, 1.0)
    (row,) = scaling({"short": short, "whole": whole}, [2], [0], resamples=50)
    assert (row.subsets, row.solve_rate, row.pass_at_k) == (50, 1.0, (1 + 5 / 6) / 2)


def test_the_first_samples_are_those_with_the_lowest_numbers():
    instance = judged("abb", "a")
    backwards = JudgedInstance(instance.candidates[::-1], instance.evidence, instance.verdicts)
    assert scaling({"i": backwards}, [1, 2], [0]) == scaling({"i": instance}, [1, 2], [0])
    assert [row.solve_rate for row in scaling({"i": backwards}, [1, 2, 3], [0])] == [1.0, 1.0, 0.0]


def test_without_regression_tests_only_the_reproduction_tests_count():
    instance = judged("aab", "b", a="+0", b="-0")
    broken = judged("aab", "b", a="+1", b="-0")
    assert scaling({"i": broken}, [3], [1])[0].solve_rate == 1.0
    assert scaling({"i": broken}, [3], [1], regression=False) == scaling({"i": instance}, [3], [1])


def test_the_draw_depends_on_the_seed_alone():
    instances = {name: judged("aabbccdd..", right) for name, right in zip("xyz", "abc", strict=True)}
    turned = dict(reversed(instances.items()))
    rows = scaling(instances, [2, 5], [0], resamples=20, seed=1)
    assert rows == scaling(turned, [2, 5], [0], resamples=20, seed=1)
    assert rows != scaling(instances, [2, 5], [0], resamples=20, seed=2)
    # neither on what else is asked for
    assert rows[1:] == scaling(instances, [5], [0], resamples=20, seed=1)
    assert rows == [row for row in scaling(instances, [2, 5], [0, 3], resamples=20, seed=1) if row.tests == 0]


def test_the_interval_holds_nineteen_of_twenty_subsets():
    # 40 instances of which each is solved by chance of a half: 20 +- 1.96 x sqrt(10) of them
    instances = {str(number): judged("ab", "a") for number in range(40)}
    (row,) = scaling(instances, [1], [0], resamples=2000)
    low, high = (40 * end for end in row.best_interval)
    assert (low, high) == (pytest.approx(13.8, abs=1), pytest.approx(26.2, abs=1))
    assert row.best_at_k == pytest.approx(0.5, abs=0.01)
    assert row.pass_interval == row.best_interval


def test_a_candidate_without_a_verdict_is_an_error_that_says_what_to_do():
    instance = judged("aab", "a")
    partial = JudgedInstance(instance.candidates, instance.evidence, {"a": True})
    with pytest.raises(InputError, match="django-1: 1 of 2 unique candidates have no verdict; evaluate all"):
        scaling({"django-1": partial}, [1], [0])


def test_what_cannot_be_drawn_is_refused():
    for samples, resamples in (([0], 1), ([3], 0)):
        with pytest.raises(ValueError, match="at least one subset of at least one sample"):
            scaling({"i": judged("a")}, samples, [0], resamples=resamples)


def test_nothing_gives_no_rows():
    assert scaling({}, [1], [0]) == []
    assert scaling({"i": judged("a")}, [], [0]) == []
    assert scaling({"i": judged("a")}, [1], []) == []


SAID = st.tuples(st.text("+-", min_size=2, max_size=2), st.sampled_from("012")).map("".join)
INSTANCES = st.dictionaries(
    st.sampled_from("xyz"),
    st.builds(
        lambda forms, right, said: judged(forms, right, **said),
        st.text("abcd.", max_size=8),
        st.text("abcd", max_size=2),
        st.dictionaries(st.sampled_from("abcd"), SAID),
    ),
    min_size=1,
)


@settings(deadline=None)
@given(INSTANCES, st.booleans(), st.integers(0, 3))
def test_every_figure_is_that_of_choosing_from_each_subset(
    instances: dict[str, JudgedInstance], regression: bool, seed: int
):
    for row in scaling(instances, [1, 3, 8], [0, 1, None], regression=regression, resamples=4, seed=seed):

        def solved(name: str, subset: list[Candidate], tests: int | None = row.tests) -> bool:
            one = instances[name]
            selection = choose(name, subset, one.evidence, tests=tests, regression=regression)
            return bool(selection.patch) and one.verdicts[selection.patch[0]]

        first = [solved(name, list(one.candidates[: row.samples])) for name, one in instances.items()]
        assert row.solve_rate == sum(first) / len(instances)
        best, found = [0] * row.subsets, [0] * row.subsets
        for name, one in instances.items():
            rng = random.Random(f"{seed} {name}")
            for number in range(row.subsets):
                keys = [rng.random() for _ in one.candidates]
                order = sorted(range(len(keys)), key=keys.__getitem__)
                subset = [one.candidates[place] for place in order[: row.samples]]
                best[number] += solved(name, subset)
                found[number] += any(one.verdicts.get(each.normal_form, False) for each in subset)
        assert row.best_at_k == pytest.approx(sum(best) / row.subsets / len(instances), abs=1e-12)
        low, high = row.best_interval
        assert min(best) <= low * len(instances) + 1e-9 <= high * len(instances) + 2e-9 <= max(best) + 3e-9
        assert row.best_at_k <= row.pass_at_k + 1e-9 or row.subsets > 1
        assert min(found) - 1e-9 <= row.pass_interval[0] * len(instances)
        assert row.pass_interval[1] * len(instances) <= max(found) + 1e-9
