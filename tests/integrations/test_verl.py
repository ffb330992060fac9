"""swerl_eval.integrations.verl, called as verl calls it."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import re
from pathlib import Path

import pytest

from swerl_eval.integrations.verl import compute_score

DOCS = Path(__file__).parents[2] / "docs" / "reward.md"
TRUTH = {"code_context": {"m.py": "a = 1\nb = 2\n"}, "oracle_new_content": {"m.py": "a = 1\nb = 3\n"}}
BLOCK = "```python\n### m.py\n<<<<<<< SEARCH\nb = 2\n=======\nb = 3\n>>>>>>> REPLACE\n```"
RIGHT = f"<think>\nb is off by one\n</think>\n<solution>\n{BLOCK}\n</solution>"


def as_verl_calls(answer, truth=TRUTH, function=compute_score, **more):
    """The keywords that the reward managers of verl 0.9 pass (`NaiveRewardManager.run_single`)."""
    return function(
        data_source="swe-rl",
        solution_str=answer,
        ground_truth=truth,
        extra_info={"num_turns": None, "rollout_reward_scores": {}},
        **more,
    )


def test_a_right_answer_is_1_and_a_wrong_format_minus_1():
    assert as_verl_calls(RIGHT) == 1.0
    assert as_verl_calls("no") == -1.0


def test_the_ground_truth_may_be_json_text_at_both_levels():
    assert as_verl_calls(RIGHT, json.dumps(TRUTH)) == 1.0
    assert as_verl_calls(RIGHT, {key: json.dumps(value) for key, value in TRUTH.items()}) == 1.0


def test_positional_calls_work_as_the_prime_manager_makes_them():
    assert compute_score("swe-rl", RIGHT, TRUTH, None) == 1.0


def test_reward_kwargs_and_a_reward_model_are_taken():
    more = {"reward_router_address": "host:1", "reward_model_tokenizer": None}
    assert as_verl_calls(RIGHT.removeprefix("<think>"), opening="<think>", **more) == 1.0
    assert as_verl_calls(RIGHT.replace("\n```\n</sol", "\n</sol"), strict=True) == -1.0


def test_paths_that_arrow_added_from_other_rows_do_not_count():
    assert as_verl_calls(RIGHT, {key: {**value, "other.py": None} for key, value in TRUTH.items()}) == 1.0


@pytest.mark.parametrize("answer", ["", "\ud800", None, b"\xff"])
def test_no_answer_raises(answer):
    assert as_verl_calls(answer) == -1.0


@pytest.mark.parametrize("truth", ["no json", "{}", None, 7, {"code_context": {}}])
def test_a_ground_truth_of_another_shape_is_an_error_of_the_dataset(truth):
    with pytest.raises(ValueError):
        as_verl_calls(RIGHT, truth)


def test_the_documented_example_runs():
    (example,) = re.findall(
        r"^## verl\n.*?^```python\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    exec(compile(example, str(DOCS), "exec"), {})


def test_verl_itself_loads_and_calls_it():
    reward = pytest.importorskip(
        "verl.trainer.ppo.reward",
        reason="verl is not installed (pip install verl), so it is not run",
        exc_type=ImportError,
    )
    omegaconf, torch, numpy = map(importlib.import_module, ("omegaconf", "torch", "numpy"))
    protocol = importlib.import_module("verl.protocol")
    manager = importlib.import_module("verl.experimental.reward_loop.reward_manager.naive")
    config = omegaconf.OmegaConf.create(
        {
            "reward": {
                "custom_reward_function": {
                    "path": "pkg://swerl_eval.integrations.verl",
                    "name": "compute_score",
                    "reward_kwargs": {"opening": "<think>"},
                }
            }
        }
    )
    loaded = reward.get_custom_reward_fn(config)
    assert as_verl_calls(RIGHT.removeprefix("<think>"), function=loaded) == 1.0

    class Letters:
        """A tokenizer whose tokens are code points."""

        def decode(self, ids, skip_special_tokens):
            return "".join(map(chr, ids.tolist()))

    ids = torch.tensor([[ord(letter) for letter in RIGHT.removeprefix("<think>")]])
    data = protocol.DataProto.from_dict(
        tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
        non_tensors={
            "data_source": numpy.array(["swe-rl"], dtype=object),
            "reward_model": numpy.array([{"ground_truth": json.dumps(TRUTH)}], dtype=object),
            "extra_info": numpy.array([{}], dtype=object),
        },
    )

    async def run():
        naive = functools.partial(manager.NaiveRewardManager, config, Letters())
        return await naive(loaded).run_single(data)

    assert asyncio.run(run())["reward_score"] == 1.0
