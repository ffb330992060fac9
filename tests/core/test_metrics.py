"""Figures against published ones."""

from __future__ import annotations

import math
from collections.abc import Hashable
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from swerl_eval.core.metrics import (
    Recall,
    best_of_k,
    clustered_rate,
    localization_recall,
    pass_at_k,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_intervals_of_the_literature(successes: int, total: int, low: float, high: float):
    # R. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson(successes, total) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_is_the_interval_of_scipy(measured: tuple[int, int]):
    successes, total = measured
    other = stats.binomtest(successes, total).proportion_ci(0.95, method="wilson")
    assert wilson(successes, total) == (pytest.approx(other.low, abs=1e-12), pytest.approx(other.high, abs=1e-12))


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


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_published_estimator(drawn: tuple[int, int, int]):
    n, c, k = drawn
    published = 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(float(published), abs=1e-12)


def by_enumeration(scored: list[tuple[float, bool]], k: int) -> float:
    """The best of each subset of k samples; of several best ones, the share that is correct."""
    chances = []
    for subset in combinations(scored, k):
        best = [correct for score, correct in subset if score == max(other for other, _ in subset)]
        chances.append(Fraction(sum(best), len(best)))
    return float(sum(chances) / len(chances))


SCORED = st.lists(st.tuples(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0]), st.booleans()), min_size=1, max_size=8)


@settings(deadline=None)
@given(SCORED.flatmap(lambda scored: st.tuples(st.just(scored), st.integers(1, len(scored)))))
def test_the_best_of_k_is_the_mean_over_all_subsets(drawn: tuple[list[tuple[float, bool]], int]):
    scored, k = drawn
    assert best_of_k(scored, k) == pytest.approx(by_enumeration(scored, k), abs=1e-12)


def test_the_best_of_k_by_hand():
    # the wrong 0.9 is drawn with a chance of 2/3; of the others the right 0.5 wins
    assert best_of_k([(0.9, False), (0.5, True), (0.1, False)], 2) == pytest.approx(1 / 3, abs=1e-15)
    # two share the best score, one of them is right
    assert best_of_k([(1.0, True), (1.0, False), (0.0, False)], 3) == 0.5
    assert best_of_k([(0.3, True)], 1) == 1.0
    # where all scores are equal, they say nothing
    assert best_of_k([(0.0, number < 3) for number in range(10)], 7) == pytest.approx(0.3, abs=1e-15)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=300), st.data())
def test_a_score_that_tells_right_from_wrong_reaches_pass_at_k(correct: list[bool], data: st.DataObject):
    k = data.draw(st.integers(1, len(correct)))
    expected = pass_at_k(len(correct), sum(correct), k)
    assert best_of_k([(float(c), c) for c in correct], k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("k", [0, 3])
def test_the_best_of_more_than_there_is_means_nothing(k: int):
    with pytest.raises(ValueError, match=f"the best of {k} of 2 samples is not defined"):
        best_of_k([(0.0, True), (1.0, False)], k)


OUTCOMES = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), min_size=2, max_size=60)


@settings(deadline=None)
@given(OUTCOMES)
def test_the_clustered_error_is_that_of_the_published_formula(outcomes: list[tuple[Hashable, bool]]):
    clustered = clustered_rate(outcomes, seed=0)
    clusters, values = zip(*outcomes, strict=True)
    if len(set(clusters)) == 1:
        assert clustered is None
        return
    # arXiv 2411.00640, equation 4: the variance of independent instances, and the covariances within a cluster
    deviations = np.array(values, dtype=float) - np.mean(values)
    same = np.array([[one == other for other in clusters] for one in clusters])
    np.fill_diagonal(same, val=False)
    count = len(outcomes)
    variance = np.sum(deviations**2) / count**2 + deviations @ same @ deviations / count**2
    assert clustered is not None
    assert clustered.clusters == len(set(clusters))
    assert clustered.error**2 == pytest.approx(max(0.0, variance), abs=1e-12)
    assert 0.0 <= clustered.interval[0] <= clustered.interval[1] <= 1.0


def test_the_clustered_interval_is_about_that_of_scipys_bootstrap():
    rng = np.random.default_rng(5)
    sizes = rng.integers(5, 40, 30)
    sums = rng.binomial(sizes, rng.beta(2, 3, 30))
    outcomes = [(c, i < sums[c]) for c in range(30) for i in range(sizes[c])]

    def ratio(values: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(values.sum(axis=axis) / counts.sum(axis=axis))

    other = stats.bootstrap(
        (sums, sizes), ratio, paired=True, n_resamples=20_000, method="percentile", random_state=rng
    )
    clustered = clustered_rate(outcomes, seed=1)
    assert clustered is not None
    low, high = other.confidence_interval
    assert clustered.interval == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert clustered.error == pytest.approx(other.standard_error, rel=0.1)


def test_two_clusters_that_disagree_leave_everything_open():
    # drawn with replacement: a a, a b (twice), b b
    clustered = clustered_rate([("a", True), ("b", False), ("b", False), ("b", False)], seed=0)
    assert clustered is not None
    assert clustered.interval == (0.0, 1.0)
    assert clustered.error == pytest.approx(math.sqrt(2 * 0.75**2) / 4, abs=1e-15)


def test_the_clustered_figures_do_not_depend_on_the_order_of_the_instances():
    outcomes = [("a", True), ("b", False), ("c", True), ("b", True), ("a", False), ("a", True)]
    assert clustered_rate(outcomes, seed=3) == clustered_rate(outcomes[::-1], seed=3)
