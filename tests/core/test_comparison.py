"""The paired statistics: against scipy, against figures by hand, and by their properties."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from swerl_eval.core.comparison import (
    FEWEST_DISCORDANT,
    Pair,
    compare_pairs,
    detectable_difference,
    mcnemar_p,
)
from swerl_eval.core.metrics import bootstrap_interval, clustered_error

PAIRS = st.lists(st.builds(Pair, st.booleans(), st.booleans(), st.sampled_from("abc")), min_size=1, max_size=40)


def pairs_of(both: int, gained: int, lost: int, neither: int) -> list[Pair]:
    return [
        *[Pair(True, True)] * both,
        *[Pair(False, True)] * gained,
        *[Pair(True, False)] * lost,
        *[Pair(False, False)] * neither,
    ]


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemars_p_is_the_two_sided_binomial_test_of_scipy(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1), (1, 0, 1), (5, 0, 1 / 16), (6, 0, 1 / 32), (0, 9, 1 / 256), (9, 1, 22 / 1024)]
)
def test_mcnemars_p_by_hand(gained: int, lost: int, p: float) -> None:
    assert mcnemar_p(gained, lost) == p


def test_fewer_discordant_pairs_than_six_never_show_anything() -> None:
    assert mcnemar_p(FEWEST_DISCORDANT - 1, 0) > 0.05 > mcnemar_p(FEWEST_DISCORDANT, 0)


def test_the_clustered_error_by_hand() -> None:
    # changes 1 1 0 | 0 -1 | 0: mean 1/6; sums of the deviations 2 - 3/6, -1 - 2/6, 0 - 1/6
    by_hand = math.sqrt((9 / 6) ** 2 + (8 / 6) ** 2 + (1 / 6) ** 2) / 6
    assert clustered_error([2, -1, 0], [3, 2, 1]) == pytest.approx(by_hand, rel=1e-12)
    pairs = [
        Pair(False, True, "a"),
        Pair(False, False, "b"),
        Pair(False, True, "a"),
        Pair(True, False, "b"),
        Pair(True, True, "a"),
        Pair(False, False, "c"),
    ]
    figures = compare_pairs(pairs, seed=0, resamples=100)
    assert figures.clustered_error == pytest.approx(by_hand, rel=1e-12)
    assert figures.clusters == 3


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=60))
def test_with_clusters_of_one_instance_the_error_is_the_usual_one(changes: list[int]) -> None:
    usual = stats.sem(changes, ddof=0)
    assert clustered_error(changes, [1] * len(changes)) == pytest.approx(float(usual), abs=1e-12)


def test_instances_that_change_together_have_the_larger_error() -> None:
    together = clustered_error([4, 0, 0, -2], [4, 4, 4, 4])
    scattered = clustered_error([1, 0, 1, 0], [4, 4, 4, 4])
    assert together > scattered


def test_within_one_cluster_there_is_no_clustered_figure() -> None:
    figures = compare_pairs(pairs_of(1, 2, 3, 4), seed=0, resamples=100)
    assert (figures.clusters, figures.clustered_error, figures.clustered_interval) == (1, None, None)


def test_the_counts_and_the_difference_by_hand() -> None:
    figures = compare_pairs(pairs_of(both=1, gained=4, lost=2, neither=3), seed=0, resamples=100)
    assert (figures.instances, figures.both, figures.gained, figures.lost, figures.neither) == (10, 1, 4, 2, 3)
    assert figures.difference == 0.2


def test_equal_sides_have_no_difference_and_no_doubt() -> None:
    figures = compare_pairs(pairs_of(3, 0, 0, 2), seed=0)
    assert (figures.difference, figures.interval, figures.p, figures.detectable) == (0.0, (0.0, 0.0), 1.0, None)


def test_no_instances_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no instances"):
        compare_pairs([], seed=0)


@given(PAIRS, st.integers(0, 2**70))
def test_exchanged_sides_negate_the_difference_and_mirror_the_intervals(pairs: list[Pair], seed: int) -> None:
    one = compare_pairs(pairs, seed, resamples=200)
    other = compare_pairs([Pair(pair.second, pair.first, pair.cluster) for pair in pairs], seed, resamples=200)
    assert other.difference == -one.difference
    assert other.interval == (-one.interval[1], -one.interval[0])
    assert (other.p, other.clustered_error, other.detectable) == (one.p, one.clustered_error, one.detectable)
    assert (other.gained, other.lost, other.both, other.neither) == (one.lost, one.gained, one.both, one.neither)
    if one.clustered_interval is not None:
        assert other.clustered_interval == (-one.clustered_interval[1], -one.clustered_interval[0])


@given(PAIRS, st.integers(0, 100))
def test_the_interval_holds_possible_values_and_the_same_seed_gives_it_again(pairs: list[Pair], seed: int) -> None:
    figures = compare_pairs(pairs, seed, resamples=300)
    low, high = figures.interval
    assert -1.0 <= low <= high <= 1.0
    assert compare_pairs(pairs, seed, resamples=300) == figures


def test_the_bootstrap_interval_is_that_of_the_exact_distribution() -> None:
    # gained alone: a resample's sum is binomial
    low, high = bootstrap_interval([1] * 30 + [0] * 70, [1] * 100, seed=1)
    exact = stats.binom(100, 0.3)
    assert low == pytest.approx(exact.ppf(0.025) / 100, abs=0.011)
    assert high == pytest.approx(exact.ppf(0.975) / 100, abs=0.011)
    # clusters of one size are instances of their own
    assert bootstrap_interval([5] * 30 + [0] * 70, [5] * 100, seed=1) == (low, high)


def test_the_bootstrap_is_the_same_on_every_machine() -> None:
    assert bootstrap_interval([1, 1, 0, -1, 0, 0, 0], [1] * 7, seed=7, resamples=1000) == (-2 / 7, 4 / 7)


def test_two_intervals_over_500_instances_take_less_than_seconds() -> None:
    begun = time.process_time()
    compare_pairs(pairs_of(200, 40, 30, 230), seed=0)
    assert time.process_time() - begun < 5


def test_the_detectable_difference_solves_connors_equation() -> None:
    z_alpha, z_beta = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    for instances, discordant in [(500, 60), (500, 200), (50, 20), (300, 12)]:
        difference = detectable_difference(instances, discordant)
        assert difference is not None
        rate = discordant / instances
        needed = (z_alpha * math.sqrt(rate) + z_beta * math.sqrt(rate - difference**2)) ** 2 / difference**2
        assert needed == pytest.approx(instances, rel=1e-9)


def exact_power(instances: int, rate: float, difference: float) -> float:
    """The chance that McNemar's exact p is below 0.05."""
    share = (rate + difference) / (2 * rate)
    power = 0.0
    for discordant in range(instances + 1):
        weight = stats.binom.pmf(discordant, instances, rate)
        if weight > 1e-9:
            shown = [gained for gained in range(discordant + 1) if mcnemar_p(gained, discordant - gained) < 0.05]
            power += weight * sum(stats.binom.pmf(shown, discordant, share))
    return float(power)


@pytest.mark.parametrize(("instances", "discordant"), [(200, 40), (100, 40)])
def test_at_the_detectable_difference_the_power_is_about_80_percent(instances: int, discordant: int) -> None:
    difference = detectable_difference(instances, discordant)
    assert difference is not None
    assert 0.75 < exact_power(instances, discordant / instances, difference) < 0.80


def test_more_instances_show_smaller_differences_and_few_discordant_pairs_none() -> None:
    shown = [detectable_difference(instances, instances // 5) for instances in (50, 100, 500, 2000)]
    assert all(more is not None and fewer is not None and more < fewer for fewer, more in pairwise(shown))
    assert detectable_difference(500, 5) is None
    assert detectable_difference(5, 0) is None


@pytest.mark.slow
def test_the_interval_covers_the_true_difference_in_92_to_98_percent_of_1000_draws() -> None:
    draw = random.Random(11)
    gained, lost, count = 0.15, 0.08, 150
    covered = 0
    for seed in range(1000):
        changes = draw.choices([1, -1, 0], [gained, lost, 1 - gained - lost], k=count)
        low, high = bootstrap_interval(changes, [1] * count, seed, resamples=1000)
        covered += low <= gained - lost <= high
    assert 920 <= covered <= 980
