"""Rows for a trainer, beside what a run with the same settings does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import swerl_eval
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import Message
from swerl_eval.integrations.rows import Row, training_rows
from swerl_eval.integrations.trl import swe_rl_reward
from swerl_eval.samplers import estimated_tokens
from swerl_eval.sources.datasets import load_rows
from swerl_eval.stages.sampling import Prompt
from tests.integrations.rewarding import NAME

TOO_SMALL = 3


@pytest.fixture
def suite(demo_config: RunConfig) -> dict[str, Any]:
    return {"dataset": demo_config.dataset, "repositories": demo_config.repositories}


def digest(row: Row) -> str:
    return Prompt(tuple(Message(**message) for message in row["prompt"])).sha256


def reward_of(row: Row, text: str) -> float:
    return swe_rl_reward([text], [row["code_context"]], [row["oracle_new_content"]])[0]


@pytest.mark.parametrize("samples", [1, 8])
def test_the_prompts_are_those_of_a_run_and_the_rewards_those_of_its_report(
    demo_config: RunConfig, suite: dict[str, Any], samples: int
) -> None:
    changes = {"localization": "oracle", "samples": samples, "sandbox": "scripted", "evaluate": "all"}
    run = swerl_eval.run(demo_config.model_copy(update=changes))
    sent = [sample for sample in run.samples() if sample.stage == "repair"]
    made, left_out = training_rows(**suite, samples=samples)
    rows = {digest(row): row for row in made}
    assert set(rows) == {sample.prompt_sha256 for sample in sent}
    assert len(rows) == len(made)
    assert (len(rows) > 8) == (samples > 1)  # several files in several orders
    texts = {(sample.instance_id, sample.index): sample for sample in sent}
    rewards = list(run.rewards())
    assert len(rewards) == len(sent)
    for reward in rewards:
        sample = texts[reward.instance_id, reward.index]
        assert rows[sample.prompt_sha256]["instance_id"] == reward.instance_id
        assert reward_of(rows[sample.prompt_sha256], sample.completion.text) == reward.value
    assert set(left_out) == {name for name in run.instances if name not in {sample.instance_id for sample in sent}}


def test_several_files_are_in_the_orders_of_a_run_with_the_same_seed(
    demo_config: RunConfig, suite: dict[str, Any], tmp_path: Path
) -> None:
    files = ["waypost/__init__.py", "waypost/errors.py", "waypost/pattern.py", "waypost/router.py"]
    given = tmp_path / "loc.jsonl"
    given.write_text(json.dumps({"instance_id": "demo__waypost-1", "found_files": files}), encoding="utf-8")
    settings: dict[str, Any] = {"localization": str(given), "samples": 3, "seed": 5, "instances": ("demo__waypost-1",)}
    run = swerl_eval.run(demo_config.model_copy(update=settings), until="repair")
    rows = training_rows(**suite, **settings).rows
    sent = {sample.index: sample.prompt_sha256 for sample in run.samples() if sample.stage == "repair"}
    assert [digest(row) for row in rows] == [sent[index] for index in range(3)]
    assert len(rows) == 3


def test_an_instance_without_a_row_is_named_with_the_reason(suite: dict[str, Any], tmp_path: Path) -> None:
    lists = [{"instance_id": NAME, "found_files": ["no/such.py"]}]
    lists.append({"instance_id": "demo__waypost-1", "found_files": ["waypost/router.py", "no/such.py"]})
    given = tmp_path / "loc.jsonl"
    given.write_text("\n".join(map(json.dumps, lists)), encoding="utf-8")
    made = training_rows(**suite, localization=str(given))
    assert [row["instance_id"] for row in made.rows] == ["demo__waypost-1"]
    assert made.left_out[NAME] == "no file of its list exists"
    assert len(made.left_out) == 8


def test_what_an_answer_may_search_in_is_what_is_shown_and_what_is_changed(
    suite: dict[str, Any], tmp_path: Path
) -> None:
    given = tmp_path / "loc.jsonl"
    given.write_text(json.dumps({"instance_id": "demo__waypost-1", "found_files": ["waypost/__init__.py"]}), "utf-8")
    (row,) = training_rows(**suite, localization=str(given), instances=("demo__waypost-1",)).rows
    assert set(json.loads(row["code_context"])) == {"waypost/__init__.py", *json.loads(row["oracle_new_content"])}
    assert len(json.loads(row["code_context"])) == 2


def test_what_is_wrong_with_one_instance_costs_its_own_row_alone(suite: dict[str, Any], tmp_path: Path) -> None:
    lines = load_rows(suite["dataset"], None)
    names = [line["instance_id"] for line in lines]
    lines[0]["base_commit"] = "0" * 40
    lines[1]["patch"] = lines[1]["patch"].replace("\n ", "\n no such line")
    odd = tmp_path / "rows.jsonl"
    odd.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    made = training_rows(**{**suite, "dataset": str(odd)})
    assert "no repository with" in made.left_out[names[0]]
    assert made.left_out[names[1]] == "its gold patch is not text, or does not fit the repository"
    adds_a_file = {"demo__ledgerly-3"}
    assert {row["instance_id"] for row in made.rows} == {*names[2:]} - adds_a_file


def test_a_prompt_that_is_too_long_is_left_out(suite: dict[str, Any]) -> None:
    def tokens(row: Row) -> int:
        return sum(estimated_tokens(message["content"]) for message in row["prompt"])

    every = training_rows(**suite)
    limit = sorted(map(tokens, every.rows))[TOO_SMALL - 1]
    made = training_rows(**suite, max_prompt_tokens=limit)
    assert [row["instance_id"] for row in made.rows] == [
        row["instance_id"] for row in every.rows if tokens(row) <= limit
    ]
    assert len(made.rows) == TOO_SMALL
    assert list(made.left_out.values()).count(f"its prompt is longer than {limit} tokens") == 8 - TOO_SMALL
    with pytest.raises(
        InputError, match=r"no instance of .* gives a row; demo__inkwell-1: its prompt is longer than 1"
    ):
        training_rows(**suite, max_prompt_tokens=1)


def test_thinking_decides_on_the_system_prompt_as_in_a_run(suite: dict[str, Any]) -> None:
    roles = [
        [message["role"] for message in training_rows(**suite, thinking=thinking, limit=1).rows[0]["prompt"]]
        for thinking in (True, False)
    ]
    assert roles == [["system", "user"], ["user"]]


def test_no_model_is_asked_for_files(suite: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="localization=model asks a model"):
        training_rows(**suite, localization="model")


def test_rows_are_made_where_a_loop_runs_already(suite: dict[str, Any]) -> None:
    async def as_in_a_notebook() -> int:
        return len(training_rows(**suite).rows)

    assert asyncio.run(as_in_a_notebook()) == 8
