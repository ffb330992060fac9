"""swerl_eval.reports.reward_figures."""

from __future__ import annotations

import random
from pathlib import Path

from swerl_eval.core.types import Reward
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.reward_figures import histogram, summarize
from swerl_eval.reports.summary import build_report
from tests.reports.comparison_runs import NAMES, made


def test_figures_of_a_small_set():
    assert summarize([-1.0, 0.5, 1.0, 1.0]) == {
        "count": 4,
        "mean": 0.375,
        "mean_without_errors": 2.5 / 3,
        "format_errors": 1,
        "format_error_rate": 0.25,
        "histogram": {"errors": 1, "bins": [0, 0, 0, 0, 0, 1, 0, 0, 0, 2]},
    }


def test_nothing_to_divide_by_is_none_and_not_an_error():
    empty, errors = summarize([]), summarize([-1.0])
    assert (empty["count"], empty["mean"], empty["format_error_rate"]) == (0, None, None)
    assert (errors["mean"], errors["mean_without_errors"], errors["format_error_rate"]) == (-1.0, None, 1.0)


def test_edges_count_in_the_upper_bin_and_every_value_counts_once():
    assert summarize([0.0, 0.1, 0.2, 0.5, 0.9, 1.0])["histogram"]["bins"] == [1, 1, 1, 0, 0, 1, 0, 0, 0, 2]
    values = [number / 1000 for number in range(1001)]
    assert summarize(values)["histogram"]["bins"] == [100] * 9 + [101]


def test_a_histogram_counts_format_errors_apart():
    assert histogram([-1.0, 0.05, -1.0, 0.99]) == {"errors": 2, "bins": [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]}


def test_the_order_of_the_values_does_not_matter():
    rng = random.Random(1)
    values = [rng.choice([-1.0, rng.random()]) for _ in range(500)]
    assert summarize(values) == summarize(reversed(values)) == summarize(iter(values))


def test_the_rewards_of_the_chosen_patches_are_counted_by_their_verdict(tmp_path: Path):
    folder = made(tmp_path / "r", "RRui........")
    with reopen_run(folder) as run:
        values = [0.95, 1.0, -1.0, 0.5]
        run.rewards.append(*(Reward(name, 0, value) for name, value in zip(NAMES, values, strict=False)))
        run.rewards.append(Reward(NAMES[0], 1, 0.1))
    # not those of other samples, nor of a patch that the machine failed to run
    assert build_report(Run(folder))["rewards"]["chosen"] == {
        "resolved": {"errors": 0, "bins": [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]},
        "unresolved": {"errors": 1, "bins": [0] * 10},
    }
