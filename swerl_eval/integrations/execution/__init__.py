"""The verdict on an answer as its reward: the patch is made, applied and tested as in an evaluation.

    GRPOTrainer(..., reward_funcs=ExecutionReward(dataset="tasks.jsonl"))           # TRL, column `instance_id`

    reward.custom_reward_function.path=pkg://swerl_eval.integrations.execution      # verl
    reward.custom_reward_function.name=acompute_score

Unlike the similarity reward, this opens a dataset and a sandbox: it is a small composition root of its own.
"""

from __future__ import annotations

from swerl_eval.integrations.execution.reward import ExecutionReward, acompute_score, compute_score

__all__ = ["ExecutionReward", "acompute_score", "compute_score"]
