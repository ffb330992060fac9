"""swerl_eval.integrations.trl, called as TRL calls it."""

from __future__ import annotations

import functools
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from swerl_eval.integrations.trl import swe_rl_reward

DOCS = Path(__file__).parents[2] / "docs" / "reward.md"
CONTEXT = {"m.py": "a = 1\nb = 2\n"}
ORACLE = {"m.py": "a = 1\nb = 3\n"}
BLOCK = "```python\n### m.py\n<<<<<<< SEARCH\nb = 2\n=======\nb = 3\n>>>>>>> REPLACE\n```"
SOLUTION = f"<solution>\n{BLOCK}\n</solution>"
RIGHT = f"<think>\nb is off by one\n</think>\n{SOLUTION}"


def as_trl_calls(completions, rows, function=swe_rl_reward):
    """The keywords that `GRPOTrainer._calculate_rewards` of TRL 1.16 passes to a reward function."""
    columns = {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
    return function(
        prompts=[row["prompt"] for row in rows],
        completions=completions,
        completion_ids=[[1, 2] for _ in rows],
        **columns,
        trainer_state=SimpleNamespace(global_step=0),
        log_extra=lambda column, values: None,
        log_metric=lambda name, value: None,
    )


def row(context=CONTEXT, oracle=ORACLE):
    return {"prompt": "fix b", "code_context": context, "oracle_new_content": oracle, "difficulty": "easy"}


def test_text_completions_are_rewarded_in_order():
    assert as_trl_calls([RIGHT, "no", RIGHT], [row()] * 3) == [1.0, -1.0, 1.0]


def test_chat_completions_are_rewarded_like_their_text():
    chats = [[{"role": "assistant", "content": text}] for text in (RIGHT, "no")]
    assert as_trl_calls(chats, [row()] * 2) == [1.0, -1.0]


THOUGHT = "b is off by one"
APART = [
    *({field: THOUGHT, "content": SOLUTION} for field in ("reasoning", "reasoning_content", "thinking")),
    *({field: THOUGHT, "content": [{"type": "text", "text": SOLUTION}]} for field in ("reasoning", "thinking")),
    {"reasoning": f"<think>{THOUGHT}</think>", "content": SOLUTION},
    {"reasoning": THOUGHT, "reasoning_content": THOUGHT, "content": SOLUTION},
    {"content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": SOLUTION}]},
    {"content": [{"type": "reasoning", "reasoning": THOUGHT}, SOLUTION]},
    {"content": [{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": SOLUTION}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"text": SOLUTION}]},
    {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"text": SOLUTION}]},
    {"content": [{"type": "thinking", "thinking": word} for word in THOUGHT] + [{"type": "text", "text": SOLUTION}]},
]


@pytest.mark.parametrize("opening", ["", "<think>", "<think>\n"])
@pytest.mark.parametrize("message", APART)
def test_thinking_that_stands_apart_counts_once_whether_or_not_the_template_opens_it(message, opening):
    function = functools.partial(swe_rl_reward, opening=opening)
    assert as_trl_calls([[{"role": "assistant", **message}]], [row()], function) == [1.0]


@pytest.mark.parametrize("opening", ["<think>", "<think>\n"])
@pytest.mark.parametrize(
    "content",
    [
        RIGHT.removeprefix("<think>"),
        [{"type": "text", "text": RIGHT.removeprefix("<think>")}],
        [{"type": "text", "text": "b is"}, " off", {"text": f"</think>{SOLUTION}"}],
    ],
)
def test_an_opening_by_the_template_is_put_before_chat_messages_too(content, opening):
    function = functools.partial(swe_rl_reward, opening=opening)
    assert as_trl_calls([[{"role": "assistant", "content": content}]], [row()]) == [-1.0]
    assert as_trl_calls([[{"role": "assistant", "content": content}]], [row()], function) == [1.0]


def test_a_second_opening_tag_of_the_model_stays_a_format_error():
    function = functools.partial(swe_rl_reward, opening="<think>")
    assert as_trl_calls([RIGHT, [{"content": RIGHT}]], [row()] * 2, function) == [-1.0, -1.0]
    assert as_trl_calls([[{"reasoning": THOUGHT, "content": RIGHT}]], [row()], function) == [-1.0]


def test_contents_in_parts_are_joined_and_tool_messages_left_out():
    parts = [{"type": "text", "text": RIGHT[:20]}, {"type": "text", "text": RIGHT[20:]}]
    chat = [
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "name": "grep", "content": "<think>not the model's</think>"},
        {"role": "assistant", "content": parts},
    ]
    assert as_trl_calls([chat], [row()]) == [1.0]


def test_columns_may_be_json_text():
    assert as_trl_calls([RIGHT], [row(json.dumps(CONTEXT), json.dumps(ORACLE))]) == [1.0]


def test_paths_that_arrow_added_from_other_rows_do_not_count():
    assert as_trl_calls([RIGHT], [row({**CONTEXT, "other.py": None}, {**ORACLE, "other.py": None})]) == [1.0]


def test_a_think_tag_in_the_prompt_is_put_back_by_opening():
    completion = RIGHT.removeprefix("<think>")
    assert as_trl_calls([completion], [row()]) == [-1.0]
    assert as_trl_calls([completion], [row()], functools.partial(swe_rl_reward, opening="<think>")) == [1.0]


def test_strict_can_be_bound():
    unfenced = RIGHT.replace("\n```\n</solution>", "\n</solution>")
    assert as_trl_calls([unfenced], [row()]) == [1.0]
    assert as_trl_calls([unfenced], [row()], functools.partial(swe_rl_reward, strict=True)) == [-1.0]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\ud800",
        None,
        [],
        [{}],
        [None, 3],
        [{"role": "assistant", "content": [None, 3]}],
        [{"role": "assistant", "content": 3, "reasoning": [[{"text": None}], b"x"]}],
    ],
)
def test_no_answer_raises(answer):
    assert as_trl_calls([answer], [row()]) == [-1.0]


@pytest.mark.parametrize("cell", ["no json", "[1]", 3, None])
def test_a_column_of_another_shape_is_an_error_of_the_dataset(cell):
    with pytest.raises(ValueError):
        as_trl_calls([RIGHT], [row(cell)])


def test_the_documented_example_runs():
    (example,) = re.findall(
        r"^## TRL\n.*?^```python\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    exec(compile(example, str(DOCS), "exec"), {})


@pytest.mark.vllm
def test_the_real_trainer_takes_it(tmp_path):
    trl = importlib.import_module("trl")  # pinned in the environment of vLLM, which has torch
    datasets = importlib.import_module("datasets")
    tiny_model = importlib.import_module("tests.tiny_model")
    rows = [{**row(json.dumps(CONTEXT), json.dumps(ORACLE)), "prompt": [{"role": "user", "content": "fix b"}]}] * 4
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=8,
        max_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        logging_steps=1,
    )
    trainer = trl.GRPOTrainer(
        model=str(tiny_model.make_tiny_model(tmp_path / "model")),
        reward_funcs=swe_rl_reward,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
    )
    trainer.train()
    (logged,) = [entry for entry in trainer.state.log_history if "rewards/swe_rl_reward/mean" in entry]
    assert logged["rewards/swe_rl_reward/mean"] == -1.0  # a random model
    chats = [[{"role": "assistant", "content": text}] for text in (RIGHT, "no")]
    given = trainer._calculate_rewards(rows[:2], [each["prompt"] for each in rows[:2]], chats, [[1], [1]])
    assert given.tolist() == [[1.0], [-1.0]]
