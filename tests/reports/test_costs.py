"""Tokens, time and money of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.types import ModelUsage, Outcome
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.costs import costs
from tests.reports.method_runs import Records, made

ONE = ModelUsage(1.0, 1800.0, 64, 3_000_000, 1_000_000, 500_000, gpus=2)
OTHER = ModelUsage(2.0, 3600.0, 36, 1_000_000, 200_000, 100_000, gpus=1)
UNKNOWN = ModelUsage(3.0, 10.0, 10, 1_000, None, 100)
PRICES = {"input": 2.0, "cached_input": 0.5, "output": 10.0, "gpu_hour": 3.0}


def measured(folder: Path, usage: list[ModelUsage], prices: dict[str, float], resolved: int = 2) -> dict[str, Any]:
    records = {f"a__a-{number}": Records(outcomes=(Outcome.RESOLVED,)) for number in range(resolved)}
    run = made(folder / "r", {**records, "b__b-1": Records(samples="n", verdict=None)})
    with reopen_run(run.folder) as again:
        again.usage.append(*usage)
    return costs(Run(run.folder), prices)


def test_the_processes_of_a_run_add_up(tmp_path: Path) -> None:
    assert measured(tmp_path, [ONE, OTHER], PRICES) == {
        "resolved": 2,
        "answers": 100,
        "prompt_tokens": 4_000_000,
        "prompt_tokens_computed": 1_200_000,
        "completion_tokens": 600_000,
        "sampling_seconds": 5400.0,
        "gpu_seconds": 7200.0,
        "container_seconds": 28.0,  # two verdicts of 10 s, two candidates tested in 4 s
        "test_containers": {"seconds": 4.0, "outside_of_tests": 1.0},
        "money": {
            "total": pytest.approx(2.4 + 1.4 + 6.0 + 6.0),
            "per_resolved": pytest.approx(7.9),
            "parts": {
                "input": pytest.approx(2.4),
                "cached_input": pytest.approx(1.4),
                "output": pytest.approx(6.0),
                "gpu_hour": pytest.approx(6.0),
            },
        },
        "prices": PRICES,
    }


def test_a_figure_that_one_process_does_not_know_is_not_known(tmp_path: Path) -> None:
    figures = measured(tmp_path, [ONE, UNKNOWN], PRICES)
    assert (figures["prompt_tokens_computed"], figures["gpu_seconds"]) == (None, None)
    # what was reused is not known, so that all of the prompts is at the full price
    assert figures["money"]["parts"] == {"input": pytest.approx(6.002), "output": pytest.approx(5.001)}


def test_without_a_price_of_its_own_what_was_reused_costs_what_was_computed(tmp_path: Path) -> None:
    assert measured(tmp_path, [ONE], {"input": 2.0})["money"] == {
        "total": 6.0, "per_resolved": 3.0, "parts": {"input": 6.0},
    }  # fmt: skip


def test_without_a_resolved_issue_there_is_no_price_of_one(tmp_path: Path) -> None:
    assert measured(tmp_path, [ONE], {"output": 1.0}, resolved=0)["money"]["per_resolved"] is None


@pytest.mark.parametrize(("usage", "prices"), [([ONE], {}), ([], PRICES), ([UNKNOWN], {"gpu_hour": 1.0})])
def test_where_nothing_has_a_price_there_is_no_money(
    tmp_path: Path, usage: list[ModelUsage], prices: dict[str, float]
) -> None:
    assert measured(tmp_path, usage, prices)["money"] is None


def test_recorded_answers_cost_nothing_of_a_model(tmp_path: Path) -> None:
    figures = measured(tmp_path, [], {})
    assert (figures["answers"], figures["prompt_tokens"], figures["gpu_seconds"]) == (0, 0, None)
