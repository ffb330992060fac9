"""A reward function for TRL's GRPOTrainer and RLOOTrainer (the calling convention of TRL 1.16).

    GRPOTrainer(..., reward_funcs=swe_rl_reward)

The trainer hands over the completions and every other column of the dataset as lists of one length, by keyword.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swerl_eval.core.reward import THINK_END, THINK_START, calculate_search_replace_reward
from swerl_eval.integrations.columns import files

Completion = str | Sequence[Mapping[str, Any]]
"""Text, or the chat messages that the model added."""


def swe_rl_reward(
    completions: Sequence[Completion],
    code_context: Sequence[Any],
    oracle_new_content: Sequence[Any],
    *,
    opening: str = "",
    strict: bool = False,
    **_: Any,
) -> list[float]:
    """One reward for each completion: -1.0 for a format error, otherwise in [0, 1].

    Columns: `code_context` and `oracle_new_content` hold path -> text before and after the oracle's change, as mappings
    or as JSON text. `opening` is put before each text, for a chat template that ends the prompt with `<think>`; bind it
    or `strict` with `functools.partial`. Raises `ValueError` on a column of another shape, never for an answer.
    """
    return [
        calculate_search_replace_reward(files(context), files(oracle), _answer(completion, opening), strict=strict)[0]
        for completion, context, oracle in zip(completions, code_context, oracle_new_content, strict=True)
    ]


def _answer(completion: Completion, opening: str) -> str:
    if isinstance(completion, str):
        return opening + completion
    return opening + "".join(map(_text, completion or ()))


def _text(message: Mapping[str, Any]) -> str:
    """What the model wrote in one message; tool results and the like are not its words."""
    if message.get("role", "assistant") != "assistant":
        return ""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
    # A chat template that has a reasoning field takes the thinking, and its tags, out of the content.
    thinking = message.get("reasoning_content") or message.get("thinking")
    return f"{THINK_START}{thinking}{THINK_END}{content}" if thinking else content
