"""The reward functions themselves, in the calling conventions of TRL 1.16 and verl 0.9."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swerl_eval.config import load_config
from swerl_eval.core.errors import UsageError
from swerl_eval.integrations.execution.outcome import Outcome, Scale
from swerl_eval.integrations.execution.pool import Answer, Bounds, ExecutionPool, pool_for
from swerl_eval.integrations.messages import Answer as Text
from swerl_eval.integrations.messages import text_of

LOG = logging.getLogger("swerl_eval.reward")
CALL_SECONDS = 3600.0
QUEUE = 4096
KINDS = ("no_patch", "resolved", "unresolved", "failed")
"""What becomes of answers."""
_COUNTING = threading.Lock()
"""For all rewards of the process, since one with a lock in it could not be pickled."""


class ExecutionReward:
    """A reward function for TRL's GRPOTrainer and RLOOTrainer: 1.0 for an answer that resolves its issue.

    Made of plain values, so that it can be pickled. Every process has a sandbox of its own, which is opened with the
    first call and stays open until the process ends.

    Args:
        no_patch: Reward of an answer that gives no patch. Such an answer takes no container.
        shaping: Reward of an unresolved patch: this times the share of the
            failing tests that pass now, times the share of the passing tests that still pass. From 0 to below 1.
        on_failure: Reward of an answer whose verdict the machine prevented. None: TRL leaves the answer out where this
            is its only reward function, else it adds up the others.
        call_seconds: Seconds of one call. What has no verdict by then is a failure.
        queue: Patches that may run or wait in this process. One beyond them is a failure.
        opening: Text to put before each answer, for a chat template that ends the prompt with `<think>`.
        settings: Settings of the evaluation by name, such as `dataset`, `workers`, `timeout`, `strict`, `sandbox`.

    Raises:
        UsageError: A setting is unknown, or has a value that it cannot have.
    """

    def __init__(
        self,
        *,
        no_patch: float = -1.0,
        shaping: float = 0.0,
        on_failure: float | None = None,
        call_seconds: float = CALL_SECONDS,
        queue: int = QUEUE,
        opening: str = "",
        **settings: Any,
    ) -> None:
        if not 0 <= shaping < 1:
            message = f"shaping is {shaping:g}; it must be from 0 to below 1, the reward of a resolved issue"
            raise UsageError(message)
        self.scale = Scale(no_patch, shaping, on_failure)
        self.bounds = Bounds(call_seconds, queue)
        self.config = load_config(options=settings)
        self._opening = opening
        self.figures: Counter[str] = Counter()
        """Answers, and of these: `no_patch`, `resolved`, `unresolved`, `failed`."""

    @property
    def __name__(self) -> str:
        """The name under which a trainer logs it."""
        return "execution_reward"

    @property
    def pool(self) -> ExecutionPool:
        """This process's pool."""
        return pool_for(self.config)

    def __call__(
        self,
        completions: Sequence[Text],
        instance_id: Sequence[str],
        *,
        log_metric: Callable[[str, float], object] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Return a reward for each completion, in order.

        Args:
            completions: The answers, as text or as chat messages.
            instance_id: A column of the dataset: the instance of each answer.
            log_metric: TRL's function for metrics. It gets the shares of the figures, as `execution/failed`.

        Raises:
            SwerlEvalError: The dataset or the sandbox cannot be opened, or the dataset lacks an instance.
        """
        outcomes = self.evaluate(completions, instance_id)
        if log_metric is not None and outcomes:
            counts = Counter(map(kind_of, outcomes))
            for kind in KINDS:
                log_metric(f"execution/{kind}", counts[kind] / len(outcomes))
        return [self.scale.value(outcome) for outcome in outcomes]

    def evaluate(self, completions: Sequence[Text], instance_id: Sequence[str]) -> list[Outcome]:
        """Return what became of each completion."""
        future = self.pool.submit(self._answers(completions, instance_id), self.bounds)
        try:
            outcomes = future.result()
        except BaseException:
            future.cancel()
            raise
        self._note(outcomes)
        return outcomes

    async def aevaluate(self, completions: Sequence[Text], instance_id: Sequence[str]) -> list[Outcome]:
        """Do what `evaluate` does, without blocking the caller's event loop."""
        pool = await asyncio.to_thread(lambda: self.pool)
        future = await asyncio.to_thread(pool.submit, self._answers(completions, instance_id), self.bounds)
        outcomes = await asyncio.wrap_future(future)
        self._note(outcomes)
        return outcomes

    def _answers(self, completions: Sequence[Text], instance_id: Sequence[str]) -> list[Answer]:
        pairs = zip(completions, instance_id, strict=True)
        return [Answer(name, text_of(completion, self._opening)) for completion, name in pairs]

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes, and log the failures with their reasons."""
        with _COUNTING:
            self.figures.update(map(kind_of, outcomes))
            self.figures["answers"] += len(outcomes)
        for reason, count in Counter(outcome.failure for outcome in outcomes if outcome.failure).items():
            LOG.warning("%d of %d answers have no verdict: %s", count, len(outcomes), reason)


def kind_of(outcome: Outcome) -> str:
    """Return the figure that an outcome counts for."""
    if outcome.failure:
        return "failed"
    if outcome.evaluation is None:
        return "no_patch"
    return "resolved" if outcome.resolved else "unresolved"


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Return the reward of one answer, for verl's reward workers that call in threads.

    Args:
        data_source: Named in an error, and not used otherwise.
        solution_str: The answer.
        ground_truth: The parquet's `reward_model.ground_truth`: the instance id, or a mapping or JSON text that has it.
        extra_info: Not used.
        settings: Those of `ExecutionReward`, as `reward.custom_reward_function.reward_kwargs`. `on_failure` has to be a
            number here, 0 by default, because verl leaves out no answer.

    Returns:
        `score`, and as 0 or 1 `resolved`, `no_patch` and `failed`, which verl logs.

    Raises:
        ValueError: The ground truth names no instance.
    """
    del extra_info
    reward = _reward_for_verl(settings)
    (outcome,) = reward.evaluate([solution_str], [instance_of(ground_truth, data_source)])
    return _score(reward, outcome)


async def acompute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Do what `compute_score` does, for verl's reward loop, which awaits all answers of a batch at once."""
    del extra_info
    reward = _reward_for_verl(settings)
    (outcome,) = await reward.aevaluate([solution_str], [instance_of(ground_truth, data_source)])
    return _score(reward, outcome)


def _reward_for_verl(settings: Mapping[str, Any]) -> ExecutionReward:
    reward = ExecutionReward(**{"on_failure": 0.0, **settings})
    if reward.scale.on_failure is None:
        message = "on_failure must be a number for verl, which leaves out no answer"
        raise UsageError(message)
    return reward


def _score(reward: ExecutionReward, outcome: Outcome) -> dict[str, float]:
    kind = kind_of(outcome)
    flags = {name: float(kind == name) for name in ("resolved", "no_patch", "failed")}
    return {"score": float(reward.scale.value(outcome) or 0.0), **flags}


def instance_of(ground_truth: Any, data_source: str) -> str:
    """Return the instance id of a ground truth. Raises `ValueError` where there is none."""
    truth = ground_truth
    if isinstance(truth, str) and truth.lstrip().startswith("{"):
        truth = json.loads(truth)
    name = truth.get("instance_id") if isinstance(truth, Mapping) else truth
    if not isinstance(name, str) or not name:
        message = f"the ground truth of {data_source!r} needs an instance_id"
        raise ValueError(message)
    return name
