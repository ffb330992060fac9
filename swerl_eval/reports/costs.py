"""What a run took: tokens, time, GPU-seconds, money. This differs from run to run, so it is not in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swerl_eval.core.types import ModelUsage
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.test_figures import seconds_per_candidate

PER_TOKENS = 1_000_000
"""Tokens that a price is for."""
_HOUR = 3600.0


def costs(run: Run, prices: Mapping[str, float]) -> dict[str, Any]:
    """What all processes of a run took together.

    Args:
        run: The run folder.
        prices: Money per million tokens (`input`, `cached_input`, `output`) and per hour of a GPU (`gpu_hour`).

    Returns:
        `answers` and tokens are those that this run asked of a model: none where answers were recorded. Figures that
        some process does not know are None. `money` is None where no figure has a price. `test_containers` has the
        mean seconds of a candidate's tests, and what of these is not spent in a test; None where none ran.
    """
    usage = list(run.usage.values())
    prompt_tokens = sum(process.prompt_tokens for process in usage)
    completion_tokens = sum(process.completion_tokens for process in usage)
    computed = _sum_of_known([process.prompt_tokens_computed for process in usage])
    gpu_seconds = _sum_of_known([_gpu_seconds(process) for process in usage])
    tests = seconds_per_candidate(run)
    quantities: dict[str, float] = {
        **_priced_prompt_tokens(prompt_tokens, computed, prices),
        "output": completion_tokens / PER_TOKENS,
        **({} if gpu_seconds is None else {"gpu_hour": gpu_seconds / _HOUR}),
    }
    parts = {name: amount * prices[name] for name, amount in quantities.items() if name in prices}
    verdicts = [run.evaluation_of(name) for name in run.manifest.instance_ids]
    resolved = sum(evaluation is not None and evaluation.resolved for evaluation in verdicts)
    return {
        "resolved": resolved,
        "answers": sum(process.samples for process in usage),
        "prompt_tokens": prompt_tokens,
        "prompt_tokens_computed": computed,
        "completion_tokens": completion_tokens,
        "sampling_seconds": sum(process.seconds for process in usage),
        "gpu_seconds": gpu_seconds,
        "container_seconds": _container_seconds(run),
        "test_containers": None if tests is None else {"seconds": tests[0], "outside_of_tests": tests[1]},
        "money": _money(parts, resolved) if usage and parts else None,
        "prices": dict(prices),
    }


def _sum_of_known(values: list[Any]) -> Any:
    """The sum; None where there is no value or one is not known."""
    return sum(values) if values and None not in values else None


def _gpu_seconds(process: ModelUsage) -> float | None:
    return None if process.gpus is None else process.seconds * process.gpus


def _priced_prompt_tokens(asked: int, computed: int | None, prices: Mapping[str, float]) -> dict[str, float]:
    """Millions of prompt tokens by their price; all at `input` where reuse is not known or has no price of its own."""
    if computed is None or "cached_input" not in prices:
        return {"input": asked / PER_TOKENS}
    return {"input": computed / PER_TOKENS, "cached_input": max(0, asked - computed) / PER_TOKENS}


def _container_seconds(run: Run) -> float:
    """Seconds of the official runs and of candidates' tests, also where a verdict was known before.

    Those of the control runs are not recorded.
    """
    evaluations = sum(evaluation.seconds for evaluation in run.evaluations.values())
    return evaluations + sum(evidence.seconds for evidence in run.evidence.values())


def _money(parts: dict[str, float], resolved: int) -> dict[str, Any]:
    total = sum(parts.values())
    return {"total": total, "per_resolved": total / resolved if resolved else None, "parts": parts}
