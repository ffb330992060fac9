"""A reward function for TRL's GRPOTrainer and RLOOTrainer (the calling convention of TRL 1.16).

    GRPOTrainer(..., reward_funcs=swe_rl_reward)

The trainer hands over the completions and every other column of the dataset as lists of one length, by keyword.
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
    """One reward for each completion: -1.0 for a format error, otherwise in [0, 1].

    Columns: `code_context` and `oracle_new_content` hold path -> text before and after the oracle's change, as mappings
    or as JSON text. Thinking that stands apart from a message's content is put back in its tags. `opening` is put
    before each other answer, for a chat template that ends the prompt with `<think>`; bind it or `strict` with
    `functools.partial`. Raises `ValueError` on a column of another shape, never for an answer.
    """
    return [
        calculate_search_replace_reward(files(context), files(oracle), text_of(completion, opening), strict=strict)[0]
        for completion, context, oracle in zip(completions, code_context, oracle_new_content, strict=True)
    ]
