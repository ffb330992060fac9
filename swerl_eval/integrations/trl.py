"""A reward function for TRL's GRPOTrainer and RLOOTrainer (the calling convention of TRL 1.16).

    GRPOTrainer(..., reward_funcs=swe_rl_reward)

The trainer passes the completions and every other column of the dataset as lists of one length, by keyword.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swerl_eval.core.reward import calculate_search_replace_reward
from swerl_eval.integrations.columns import files
from swerl_eval.integrations.messages import Answer, text_of


def swe_rl_reward(
    completions: Sequence[Answer],
    code_context: Sequence[Any],
    oracle_new_content: Sequence[Any],
    *,
    opening: str = "",
    strict: bool = False,
    **_: Any,
) -> list[float]:
    """Return one reward for each completion: -1.0 for a format error, otherwise in [0, 1].

    Thinking that is apart from a message's content is put back in its tags.

    Args:
        completions: The answers, as text or as chat messages.
        code_context: A column of the dataset: path -> text before the change, as mappings or as JSON text.
        oracle_new_content: A column of the dataset: path -> text after the oracle's change.
        opening: Text to put before each answer whose thinking is not apart, for a chat template that ends the prompt
            with `<think>`. Bind it with `functools.partial`.
        strict: Demand the last closing fence too. Bind it with `functools.partial`.

    Raises:
        ValueError: A column has another shape. No answer raises.
    """
    return [
        calculate_search_replace_reward(files(context), files(oracle), text_of(completion, opening), strict=strict)[0]
        for completion, context, oracle in zip(completions, code_context, oracle_new_content, strict=True)
    ]
