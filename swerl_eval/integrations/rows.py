"""Rows for a trainer: the repair prompts that a run sends, and beside each what its rewards need.

Like the reward by execution, this is a small composition root: it opens a dataset and its repositories. No model and no
container takes part.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from swerl_eval.api.own_loop import wait_for
from swerl_eval.compose import given_files, open_source
from swerl_eval.compose import settings as settings_of
from swerl_eval.config import load_config
from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import InputError, SourceError, UsageError
from swerl_eval.core.types import Localization
from swerl_eval.evaluation.rewards import gold_change, with_shown
from swerl_eval.prompts import load_prompts
from swerl_eval.samplers import estimated_tokens
from swerl_eval.stages.repair import Issue, repair_prompts
from swerl_eval.stages.sampling import Prompt

Row = dict[str, Any]


class TrainingRows(NamedTuple):
    """The rows of a dataset, and what has none."""

    rows: list[Row]
    """In the dataset's order. Each has `prompt` (chat messages), `instance_id`, and as JSON text by path
    `code_context` and `oracle_new_content`, as the rewards take them."""
    left_out: dict[str, str]
    """Instances without a row, and why."""


def training_rows(
    *, count_tokens: Callable[[str], int] = estimated_tokens, max_prompt_tokens: int | None = None, **settings: Any
) -> TrainingRows:
    """Return a row for each different repair prompt that a run with these settings sends.

    Args:
        count_tokens: Gives the length of a text in the model's tokens. Default: an estimate.
        max_prompt_tokens: Leave out longer prompts. The chat template's own tokens are not counted.
        settings: Settings of a run by name, such as `dataset`, `repositories`, `instances`, `thinking`, `prompts`.
            `localization` is `oracle` by default, or a file of lists; with `samples`, the order of files varies.

    Raises:
        UsageError: A setting is unknown or wrong, or asks a model for files.
        InputError: No instance gives a row.
        SourceError: The dataset cannot be read. What one instance lacks is in `left_out` instead.
    """
    return wait_for(functools.partial(_training_rows, count_tokens, max_prompt_tokens, settings))


async def _training_rows(
    count_tokens: Callable[[str], int], longest: int | None, given: dict[str, Any]
) -> TrainingRows:
    config = load_config(options={"localization": "oracle", **given})
    if config.localization == "model":
        message = "localization=model asks a model, and none is asked for rows; give `oracle`, or a file of lists"
        raise UsageError(message)
    source = open_source(config)
    instances = source.instances()
    files, origin = given_files(config, source, instances)
    prompts, repair = load_prompts(config.prompts), settings_of(config).repair
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for instance in instances:
        name = instance.instance_id
        try:
            snapshot = await source.snapshot(instance)
        except SourceError as error:
            left_out[name] = str(error)
            continue
        change = gold_change(source, name, snapshot)
        if change is None:
            left_out[name] = "its gold patch is not text, or does not fit the repository"
            continue
        issue = Issue(instance, snapshot, Localization(name, tuple(map(tuple, files.get(name, ()))), origin))
        asked = list(dict.fromkeys(repair_prompts(issue, count_tokens, prompts, repair, config.seed)))
        short = [prompt for prompt in asked if longest is None or _length(prompt, count_tokens) <= longest]
        if not short:
            left_out[name] = f"its prompt is longer than {longest} tokens" if asked else "no file of its list exists"
        for prompt in short:
            context = with_shown(change, snapshot, prompt.files)
            rows.append(_row(name, prompt, context, change.after))
    if not rows:
        name, reason = next(iter(left_out.items()))
        message = f"no instance of {config.dataset} gives a row; {name}: {reason}"
        raise InputError(message)
    return TrainingRows(rows, left_out)


def _length(prompt: Prompt, count_tokens: Callable[[str], int]) -> int:
    return sum(count_tokens(message.content) for message in prompt.messages)


def _row(name: str, prompt: Prompt, before: dict[str, str], after: dict[str, str]) -> Row:
    return {
        "prompt": [{"role": message.role, "content": sendable(message.content)} for message in prompt.messages],
        "instance_id": name,
        "code_context": json.dumps(before),
        "oracle_new_content": json.dumps(after),
    }
