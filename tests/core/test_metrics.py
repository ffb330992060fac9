"""Figures against published ones."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.metrics import Recall, localization_recall, pass_at_k, wilson


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_intervals_of_the_literature(successes: int, total: int, low: float, high: float):
    # R. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson(successes, total) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nothing_measured_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_at_the_ends_of_the_interval_the_rate_is_z_standard_errors_away(measured: tuple[int, int]):
    successes, total = measured
    low, high = wilson(successes, total)
    rate, z = successes / total, 1.959963984540054
    assert 0.0 <= low <= rate <= high <= 1.0
    for end in (low, high):
        assert abs(rate - end) == pytest.approx(z * math.sqrt(end * (1 - end) / total), abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(0, 500))
def test_failures_have_the_mirrored_interval(total: int, successes: int):
    successes = min(successes, total)
    low, high = wilson(successes, total)
    mirrored = wilson(total - successes, total)
    assert (1 - mirrored[1], 1 - mirrored[0]) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_another_z_gives_another_interval():
    # by hand: z^2 / (n + z^2) where nothing succeeded; 1/2 -+ sqrt(1/8) for 2 of 4 at z = 2
    assert wilson(0, 3, z=1.0) == (0.0, pytest.approx(0.25, abs=1e-15))
    assert wilson(2, 4, z=2.0) == (pytest.approx(0.5 - math.sqrt(1 / 8)), pytest.approx(0.5 + math.sqrt(1 / 8)))


def test_recall_counts_instances_and_averages_lists_then_instances():
    gold = {"all": ["a", "b"], "half": ["a", "b"], "none": ["a"], "empty": ["a"]}
    lists = {
        "all": [["a", "b", "x"], ["a"]],
        "half": [["x", "b"]],
        "none": [["x"], ["y"]],
        "empty": [],
    }
    assert localization_recall(lists, gold) == Recall(
        instances=4, all_found=1, any_found=2, none_found=2, mean_coverage=(0.75 + 0.5) / 4, best_coverage=1.5 / 4
    )


def test_gold_files_that_different_lists_find_are_not_all_found():
    found = localization_recall({"i": [["a"], ["b"]]}, {"i": ["a", "b"]})
    assert found == Recall(1, all_found=0, any_found=1, none_found=0, mean_coverage=0.5, best_coverage=0.5)


def test_a_gold_file_that_is_named_twice_counts_once():
    found = localization_recall({"i": [["a", "a"]]}, {"i": ["a", "a", "b"]})
    assert found == Recall(1, 0, 1, 0, 0.5, 0.5)


def test_instances_that_either_side_lacks_are_left_out():
    lists = {"i": [["a"]], "without gold": [["a"]], "empty gold": [["a"]]}
    found = localization_recall(lists, {"i": ["a"], "other": ["b"], "empty gold": []})
    assert found == Recall(1, 1, 1, 0, 1.0, 1.0)


def test_where_nothing_can_be_compared_there_is_no_recall():
    assert localization_recall({}, {"i": ["a"]}) is None
    assert localization_recall({"i": [["a"]]}, {}) is None


@pytest.mark.parametrize(
    ("samples", "correct", "k", "chance"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (10, 3, 1, 0.3),
        (5, 2, 2, 0.7),  # 1 - C(3, 2) / C(5, 2) = 1 - 3 / 10
        (10, 3, 2, 1 - 21 / 45),
        (10, 3, 7, 1 - 1 / 120),
        (10, 3, 8, 1.0),  # only seven are wrong
        (10, 10, 1, 1.0),
        (10, 0, 10, 0.0),
        (200, 1, 100, 0.5),
    ],
)
def test_pass_at_k_is_the_chance_of_a_correct_sample_among_k(samples: int, correct: int, k: int, chance: float):
    assert pass_at_k(samples, correct, k) == pytest.approx(chance, abs=1e-15)


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_ratio_of_binomials(drawn: tuple[int, int, int]):
    samples, correct, k = drawn
    exact = 1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k))
    assert pass_at_k(samples, correct, k) == pytest.approx(float(exact), abs=1e-12)
    assert pass_at_k(samples, correct, 1) == pytest.approx(correct / samples, abs=1e-12)


@pytest.mark.parametrize(("samples", "correct", "k"), [(5, 2, 6), (5, 2, 0), (5, 6, 2), (5, -1, 2), (0, 0, 1)])
def test_pass_at_k_of_more_than_there_is_means_nothing(samples: int, correct: int, k: int):
    with pytest.raises(ValueError, match=f"pass@{k} of {samples} samples"):
        pass_at_k(samples, correct, k)
