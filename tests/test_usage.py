from __future__ import annotations

import time

from swerl_eval.cli.render import usage_line
from swerl_eval.compose import gpus_of
from swerl_eval.config import RunConfig
from swerl_eval.core.types import ModelUsage
from swerl_eval.progress import Progress


def test_the_line_sums_over_the_run_s_processes() -> None:
    one = ModelUsage(1.0, 10.0, 64, 64_000, 2_000, 5_000, gpus=2)
    other = ModelUsage(2.0, 30.0, 64, 36_000, 8_000, 15_000, gpus=2)
    assert usage_line([one, other], resolved=4) == (
        "Sampling: 100,000 prompt tokens asked; 10,000 computed, 90,000 reused; 20,000 output tokens (500/s); "
        "80 GPU-seconds, 20 for each resolved issue"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert usage_line([], 0) == ""
    unknown = ModelUsage(1.0, 10.0, 1, 1_000, None, 100)
    assert usage_line([unknown], 0) == "Sampling: 1,000 prompt tokens asked; 100 output tokens (10/s)"
    assert "GPU-seconds" not in usage_line([unknown, ModelUsage(2.0, 1.0, 1, 1, 1, 1, gpus=1)], 1)


def test_time_counts_once_however_many_requests_are_in_flight() -> None:
    progress = Progress()
    for step in (1, 1, -1, 1):
        progress.request(step)
        time.sleep(0.01)
    assert progress.sampling_seconds == 0.0  # not before the last one has ended
    for _ in range(2):
        progress.request(-1)
    assert progress.sampling_seconds >= 0.04


def test_gpus_are_those_of_the_engine_s_settings() -> None:
    assert gpus_of(RunConfig(sampler="vllm")) == 1
    assert gpus_of(RunConfig(sampler="vllm", engine={"tensor_parallel_size": 4, "data_parallel_size": 2})) == 8
    assert gpus_of(RunConfig(sampler="openai")) is None
