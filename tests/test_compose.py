"""What the composition root says of a configuration."""

from __future__ import annotations

from swerl_eval.compose import gpus_of
from swerl_eval.config import RunConfig


def test_gpus_are_those_of_the_engine_s_settings() -> None:
    assert gpus_of(RunConfig(sampler="vllm")) == 1
    assert gpus_of(RunConfig(sampler="vllm", engine={"tensor_parallel_size": 4, "data_parallel_size": 2})) == 8
    assert gpus_of(RunConfig(sampler="openai")) is None
