"""The SWE-RL reward.

Names, arguments and results are those of `swerl.core.reward` in facebookresearch/swe-rl: one import replaces the other.
"""

from __future__ import annotations

from swerl_eval.core.answers.marks import THINK_END, THINK_START
from swerl_eval.core.reward.calculation import (
    ANSWER_END,
    ANSWER_START,
    SEARCH_REPLACE_REGEX,
    ChangeSimilarity,
    FormatError,
    apply_code_change,
    calculate_reward,
    calculate_reward_unidiff,
    calculate_search_replace_reward,
    compute_change_similarities,
    extract_thought_solution,
    generate_unified_diff,
    get_filelevel_diff,
    get_normalized_patch,
    parse_search_replace,
)

__all__ = [
    "ANSWER_END",
    "ANSWER_START",
    "SEARCH_REPLACE_REGEX",
    "THINK_END",
    "THINK_START",
    "ChangeSimilarity",
    "FormatError",
    "apply_code_change",
    "calculate_reward",
    "calculate_reward_unidiff",
    "calculate_search_replace_reward",
    "compute_change_similarities",
    "extract_thought_solution",
    "generate_unified_diff",
    "get_filelevel_diff",
    "get_normalized_patch",
    "parse_search_replace",
]
