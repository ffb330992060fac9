"""Rewards of the bundled suite's recorded answers, from real containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from swerl_eval.config import RunConfig
from swerl_eval.demo.setup import ANSWERS
from swerl_eval.integrations.execution import ExecutionReward
from swerl_eval.integrations.execution.pool import Bounds, close_pools
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import PROCESS_LABEL, process_mark

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images")]
EXPECTED = {
    "demo__ledgerly-2": [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, -1.0],
    "demo__waypost-1": [0.0, 1.0, 1.0, -1.0, 1.0, 0.0, 0.0],
}
"""As the table of swerl_eval/demo/README.md has it."""


@pytest.fixture
def reward(request: pytest.FixtureRequest, demo_config: RunConfig) -> Iterator[ExecutionReward]:
    data: dict[str, Any] = {"dataset": demo_config.dataset, "repositories": demo_config.repositories}
    yield ExecutionReward(**data, sandbox=getattr(request, "param", "docker"), reuse=False, workers=2, timeout=120)
    close_pools()


@pytest.mark.parametrize("reward", ["docker", pytest.param("ray", marks=pytest.mark.ray)], indirect=True)
def test_recorded_answers_get_the_rewards_that_the_suite_says(reward: ExecutionReward) -> None:
    recorded = [json.loads(line) for line in ANSWERS.read_text("utf-8").splitlines()]
    answers = {each["instance_id"]: each["completions"] for each in recorded if each["stage"] == "repair"}
    pairs = [(answers[name][index]["text"], name) for name in EXPECTED for index in range(len(EXPECTED[name]))]
    given = reward([text for text, _ in pairs], [name for _, name in pairs])
    assert given == [value for values in EXPECTED.values() for value in values]
    assert reward.figures == {"answers": 15, "resolved": 7, "unresolved": 6, "no_patch": 2}
    # 13 patches, some of them equal to the byte
    assert (reward.pool.figures.run, reward.pool.figures.shared) == (9, 4)


def test_a_call_that_is_out_of_time_leaves_no_container(reward: ExecutionReward) -> None:
    recorded = [json.loads(line) for line in ANSWERS.read_text("utf-8").splitlines()]
    texts = [each["completions"][1]["text"] for each in recorded if each["stage"] == "repair"]
    names = [each["instance_id"] for each in recorded if each["stage"] == "repair"]
    assert reward(["no edit"], names[:1]) == [-1.0]  # opens the pool
    reward.bounds = Bounds(seconds=0.6, queue=100)
    assert None in reward(texts, names)
    close_pools()
    own = {"label": f"{PROCESS_LABEL}={process_mark()}"}
    assert connect().containers.list(all=True, filters=own) == []
