"""A reward function for verl (the calling convention of verl 0.9).

reward.custom_reward_function.path=pkg://swerl_eval.integrations.verl
reward.custom_reward_function.name=compute_score
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.reward import calculate_search_replace_reward
from swerl_eval.integrations.columns import files


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    opening: str = "",
    strict: bool = False,
    **_: Any,
) -> float:
    """Return the reward of one answer: -1.0 for a format error, otherwise in [0, 1].

    `opening` and `strict` can be set as `reward.custom_reward_function.reward_kwargs`.

    Args:
        data_source: Named in an error, and not used otherwise.
        solution_str: The answer.
        ground_truth: The parquet's `reward_model.ground_truth`: `code_context` and `oracle_new_content`, each
            path -> text, as a mapping or as JSON text.
        extra_info: Not used.
        opening: Text to put before the answer, for a chat template that ends the prompt with `<think>`.
        strict: Demand the last closing fence too.

    Raises:
        ValueError: The ground truth has another shape. No answer raises.
    """
    truth = json.loads(ground_truth) if isinstance(ground_truth, str) else ground_truth
    if not isinstance(truth, Mapping) or not {"code_context", "oracle_new_content"} <= truth.keys():
        message = f"the ground truth of {data_source!r} needs code_context and oracle_new_content"
        raise ValueError(message)
    context, oracle = files(truth["code_context"]), files(truth["oracle_new_content"])
    answer = opening + solution_str if isinstance(solution_str, str) else solution_str
    return calculate_search_replace_reward(context, oracle, answer, strict=strict)[0]
