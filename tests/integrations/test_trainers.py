"""A step of TRL's own trainers with both rewards, on a tiny model, in the environment of vLLM, which has torch."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.config import RunConfig
from swerl_eval.integrations.execution import ExecutionReward
from swerl_eval.integrations.execution.pool import close_pools
from swerl_eval.integrations.trl import swe_rl_reward
from tests.integrations.rewarding import NAME, RewardingSandbox, answer
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.vllm


@pytest.fixture
def reward(demo_config: RunConfig) -> Iterator[ExecutionReward]:
    RewardingSandbox.all_jobs.clear()
    yield ExecutionReward(
        dataset=demo_config.dataset,
        repositories=demo_config.repositories,
        sandbox="tests.integrations.rewarding:RewardingSandbox",
        reuse=False,
    )
    close_pools()


@pytest.mark.parametrize("method", ["GRPO", "RLOO"])
def test_a_step_of_a_trainer_takes_both_rewards(reward: ExecutionReward, tmp_path: Path, method: str) -> None:
    trl: Any = importlib.import_module("trl")
    datasets: Any = importlib.import_module("datasets")
    row = {
        "prompt": [{"role": "user", "content": "fix it"}],
        "instance_id": NAME,
        "code_context": json.dumps({"m.py": "b = 2\n"}),
        "oracle_new_content": json.dumps({"m.py": "b = 3\n"}),
    }
    arguments = getattr(trl, f"{method}Config")(
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
    trainer = getattr(trl, f"{method}Trainer")(
        model=str(make_tiny_model(tmp_path / "model")),
        reward_funcs=[reward, swe_rl_reward],
        args=arguments,
        train_dataset=datasets.Dataset.from_list([row] * 4),
    )
    trainer.train()
    (logged,) = [entry for entry in trainer.state.log_history if "rewards/execution_reward/mean" in entry]
    assert logged["rewards/execution_reward/mean"] == -1.0  # a random model
    assert logged["rewards/swe_rl_reward/mean"] == -1.0
    assert logged["execution/no_patch"] == 1.0
    assert RewardingSandbox.all_jobs == []

    texts = [answer("right"), answer("wrong"), answer("broken"), "no"]
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    given = trainer._calculate_rewards([row] * 4, [row["prompt"]] * 4, chats, [[1]] * 4)[:, 0].tolist()
    assert (given[:2], given[3]) == ([1.0, 0.0], -1.0)
    assert math.isnan(given[2])  # TRL leaves it out
    assert set(RewardingSandbox.all_jobs) == {NAME}
