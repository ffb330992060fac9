"""The reward by execution, called as TRL and verl call it, on a scripted sandbox."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import multiprocessing
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SwerlEvalError, UnknownInstanceError, UsageError
from swerl_eval.integrations.execution import ExecutionReward, acompute_score, compute_score
from swerl_eval.integrations.execution.outcome import share_of_tests
from swerl_eval.integrations.execution.pool import close_pools
from tests.integrations.rewarding import NAME, OTHER, ROWS, RewardingSandbox, answer, rewards_in_another_process

Make = Callable[..., ExecutionReward]


@pytest.fixture
def settings(demo_config: RunConfig) -> Iterator[dict[str, Any]]:
    RewardingSandbox.all_jobs.clear()
    RewardingSandbox.events.clear()
    yield {
        "dataset": demo_config.dataset,
        "repositories": demo_config.repositories,
        "sandbox": "tests.integrations.rewarding:RewardingSandbox",
        "reuse": False,
        "strict": False,
        "workers": 2,
    }
    close_pools()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def make(settings: dict[str, Any]) -> Make:
    return lambda **more: ExecutionReward(**{**settings, **more})


def as_trl_calls(
    reward: ExecutionReward, completions: list[Any], names: list[str]
) -> tuple[list[Any], dict[str, float]]:
    metrics: dict[str, float] = {}
    given = reward(
        prompts=["fix it"] * len(names),
        completions=completions,
        completion_ids=[[1]] * len(names),
        instance_id=names,
        trainer_state=SimpleNamespace(global_step=0),
        log_extra=lambda column, values: None,
        log_metric=metrics.__setitem__,
    )
    return given, metrics


def test_each_answer_gets_the_verdict_on_its_patch_in_order(make: Make) -> None:
    answers = [answer("right"), answer("wrong"), "no edit", [{"role": "assistant", "content": answer("right")}]]
    given, metrics = as_trl_calls(make(), answers, [NAME, OTHER, NAME, OTHER])
    assert given == [1.0, 0.0, -1.0, 1.0]
    assert metrics == {
        "execution/no_patch": 0.25,
        "execution/resolved": 0.5,
        "execution/unresolved": 0.25,
        "execution/failed": 0.0,
    }


def test_an_answer_that_gives_no_patch_takes_no_container(make: Make) -> None:
    assert make(no_patch=-0.5)(["", "no", None, []], [NAME] * 4) == [-0.5] * 4  # type: ignore[list-item]
    assert RewardingSandbox.all_jobs == []


def test_equal_patches_of_a_call_run_once(make: Make) -> None:
    reward = make()
    assert reward([answer("right")] * 5 + [answer("right", "x = 2")], [NAME] * 6) == [1.0] * 6
    assert RewardingSandbox.all_jobs == [NAME] * 2
    assert (reward.pool.figures.run, reward.pool.figures.shared) == (2, 4)


def test_a_verdict_of_the_cache_takes_no_container(make: Make, tmp_path: Path) -> None:
    for _ in range(2):
        assert make(reuse=True, cache=str(tmp_path))([answer("right")], [NAME]) == [1.0]
    assert RewardingSandbox.all_jobs == [NAME]


def test_the_sandbox_stays_open_between_calls_and_is_closed_at_the_end(make: Make) -> None:
    for _ in range(3):
        make()([answer("right")], [NAME])
    assert RewardingSandbox.events == ["open"]
    close_pools()
    assert RewardingSandbox.events == ["open", "close"]
    assert make()([answer("right")], [NAME]) == [1.0]  # and opened again


def test_with_the_strict_verdict_a_patch_that_fools_its_tests_is_worth_nothing(make: Make) -> None:
    answers = [answer("right"), answer("fooling")]
    assert make(strict=True)(answers, [NAME] * 2) == [1.0, 0.0]
    assert make(strict=False)(answers, [NAME] * 2) == [1.0, 1.0]


def test_shaping_gives_a_part_for_the_tests_that_are_fixed_and_kept(make: Make) -> None:
    answers = [answer("right"), answer("half"), answer("wrong")]
    right, half, wrong = make(shaping=0.5)(answers, [NAME] * 3)
    assert (right, wrong) == (1.0, 0.0)
    assert half is not None
    assert 0 < half < 0.5
    assert make()(answers, [NAME] * 3) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("fixed", "broken", "kept", "lost", "share"),
    [
        (1, 0, 3, 0, 1.0),
        (1, 1, 3, 1, 0.375),
        (0, 2, 9, 0, 0.0),
        (2, 0, 0, 0, 1.0),
        (2, 0, 0, 5, 0.0),
        (0, 0, 1, 0, 0.0),
    ],
)
def test_the_share_of_tests_is_fixed_times_kept(fixed: int, broken: int, kept: int, lost: int, share: float) -> None:
    def tests(good: int, bad: int) -> dict[str, list[str]]:
        return {"success": ["t"] * good, "failure": ["t"] * bad}

    status = {"FAIL_TO_PASS": tests(fixed, broken), "PASS_TO_PASS": tests(kept, lost)}
    assert share_of_tests({"tests_status": status}) == share


@pytest.mark.parametrize("nothing", [None, {}, {"tests_status": None}, {"resolved": False}])
def test_a_report_without_tests_gives_no_share(nothing: Any) -> None:
    assert share_of_tests(nothing) == 0.0


@pytest.mark.parametrize("value", [None, 0.25])
def test_a_failure_of_the_machine_gets_its_own_value_and_is_counted_and_logged(
    make: Make, caplog: pytest.LogCaptureFixture, value: float | None
) -> None:
    reward = make(on_failure=value)
    with caplog.at_level(logging.WARNING, "swerl_eval.reward"):
        given, metrics = as_trl_calls(reward, [answer("broken"), answer("right")], [NAME] * 2)
    assert given == [value, 1.0]
    assert metrics["execution/failed"] == 0.5
    assert reward.figures == {"answers": 2, "failed": 1, "resolved": 1}
    assert "1 of 2 answers have no verdict: the engine fell over" in caplog.text


def test_a_folder_of_temporary_files_that_was_cleaned_is_made_again(make: Make, temporary: Path) -> None:
    reward = make()
    assert reward([answer("right")], [NAME]) == [1.0]
    (folder,) = temporary.glob("swerl-eval-reward-*")
    shutil.rmtree(folder)
    assert reward([answer("right")], [NAME]) == [1.0]


def test_a_disk_that_cannot_be_written_is_a_failure_of_the_machine(
    make: Make, temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reward = make(on_failure=-9.0)
    assert reward([answer("right")], [NAME]) == [1.0]
    (folder,) = temporary.glob("swerl-eval-reward-*")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    assert reward([answer("right"), "no patch"], [NAME] * 2) == [-9.0, -1.0]
    assert "1 of 2 answers have no verdict: [Errno 17]" in caplog.text


def test_a_call_ends_in_time_and_what_has_no_verdict_is_a_failure(make: Make) -> None:
    given, _ = as_trl_calls(make(call_seconds=6.0), [answer("slow"), answer("right")], [NAME] * 2)
    assert given == [None, 1.0]


def test_what_is_not_waited_for_any_more_gives_its_place_back(make: Make) -> None:
    assert make(call_seconds=0.5, workers=1)([answer("slow")], [NAME]) == [None]
    assert make(call_seconds=120.0, workers=1)([answer("right")], [NAME]) == [1.0]


def test_a_call_under_way_ends_when_the_pool_is_closed(make: Make) -> None:
    reward = make()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(reward, [answer("slow")], [NAME])
        while not RewardingSandbox.all_jobs:
            time.sleep(0.02)
        close_pools()
        assert call.result(120) == [None]
    assert RewardingSandbox.events == ["open", "close"]


def test_what_the_queue_has_no_place_for_is_a_failure(make: Make) -> None:
    answers = [answer("brief", f"x = {number}") for number in range(5)]
    given, _ = as_trl_calls(make(queue=3, on_failure=-9.0), answers, [NAME] * 5)
    assert sorted(value for value in given if value is not None) == [-9.0, -9.0, 1.0, 1.0, 1.0]


def test_a_wrong_column_is_an_error_of_the_dataset(make: Make) -> None:
    with pytest.raises(UnknownInstanceError, match="has no chosen instance 'x-1'"):
        make()([answer("right")], ["x-1"])
    with pytest.raises(ValueError, match="argument"):
        make()([answer("right")], [])


def test_what_cannot_be_opened_is_the_package_s_own_error_and_can_be_tried_again(make: Make, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    with pytest.raises(SwerlEvalError):
        make(dataset=str(rows))([answer("right")], [NAME])
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS.values()), encoding="utf-8")
    assert make(dataset=str(rows))([answer("right")], [NAME]) == [1.0]


@pytest.mark.parametrize("wrong", [{"shaping": 1.0}, {"shaping": -0.1}, {"datset": "x"}, {"workers": -1}])
def test_a_wrong_setting_is_an_error_at_once(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make(**wrong)


def test_it_may_be_called_from_several_threads_and_from_a_running_loop(make: Make) -> None:
    reward = make()
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(reward, [answer("right", f"x = {n % 4}")], [NAME]) for n in range(8)]
        assert [call.result() for call in calls] == [[1.0]] * 8
    assert len(RewardingSandbox.all_jobs) <= 8

    async def on_a_loop() -> list[float | None]:
        return reward([answer("wrong")], [NAME])

    assert asyncio.run(on_a_loop()) == [0.0]
    assert RewardingSandbox.events == ["open"]


def test_it_can_be_sent_to_other_processes_which_have_their_own_pools(make: Make) -> None:
    reward = make()
    assert reward([answer("right")], [NAME]) == [1.0]
    assert pickle.loads(pickle.dumps(reward)).scale == reward.scale
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        assert processes.submit(rewards_in_another_process, reward).result(120) == [1.0, -1.0]


def test_an_opening_that_the_template_wrote_is_put_in_front(make: Make) -> None:
    cut = answer("right").removeprefix("<think>")
    assert make(opening="<think>")([cut], [NAME]) == [1.0]


@pytest.mark.parametrize("truth", [NAME, {"instance_id": NAME}, f'{{"instance_id": "{NAME}"}}'])
def test_verl_gets_a_score_and_what_became_of_the_answer(settings: dict[str, Any], truth: Any) -> None:
    score = functools.partial(compute_score, "tasks", ground_truth=truth, extra_info={}, **settings)
    assert score(solution_str=answer("right")) == {"score": 1.0, "resolved": 1.0, "no_patch": 0.0, "failed": 0.0}
    assert score(solution_str="no") == {"score": -1.0, "resolved": 0.0, "no_patch": 1.0, "failed": 0.0}
    failed = score(solution_str=answer("broken"), on_failure=0.5)
    assert failed == {"score": 0.5, "resolved": 0.0, "no_patch": 0.0, "failed": 1.0}
    assert RewardingSandbox.events == ["open"]


def test_verl_may_call_where_a_loop_runs_already(settings: dict[str, Any]) -> None:
    async def on_a_loop() -> dict[str, float]:
        return compute_score("tasks", answer("right"), NAME, **settings)

    assert asyncio.run(on_a_loop())["score"] == 1.0


def test_verl_s_loop_awaits_all_answers_at_once(settings: dict[str, Any]) -> None:
    async def batch() -> list[dict[str, float]]:
        words = ("right", "wrong", "right")
        return await asyncio.gather(*(acompute_score("tasks", answer(word), NAME, **settings) for word in words))

    assert [each["score"] for each in asyncio.run(batch())] == [1.0, 0.0, 1.0]
    assert asyncio.iscoroutinefunction(acompute_score)


def test_verl_needs_a_number_for_failures_and_an_instance(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="on_failure must be a number"):
        compute_score("tasks", "no", NAME, on_failure=None, **settings)
    with pytest.raises(ValueError, match="'tasks' needs an instance_id"):
        compute_score("tasks", "no", {"id": NAME}, **settings)
