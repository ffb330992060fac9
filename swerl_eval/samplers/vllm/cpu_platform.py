"""What vLLM runs on here, and what has to be set for a CPU.

On a GPU vLLM's own defaults stand. On a CPU two of them end an engine: the KV cache takes most of the machine's memory,
whatever else is in it, and a seeded request that is prefilled in parts kills vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swerl_eval.core.errors import InputError, SamplerError
from swerl_eval.preflight.checkpoint import Memory, folder_of, memory, read_config, read_tensors
from swerl_eval.preflight.footprint import OVERHEAD, Parallelism, footprint
from swerl_eval.samplers.vllm.engine_settings import imported, installed

CHUNKED = "enable_chunked_prefill"
CACHE = "kv_cache_memory_bytes"
_SIZED_BY_THE_USER = (CACHE, "gpu_memory_utilization", "num_gpu_blocks_override")
"""With any of them the cache's size is not ours to choose."""


def on_cpu() -> bool:
    """Whether the vLLM that is installed here is one for a CPU; imports it."""
    return installed() and bool(imported("vllm.platforms").current_platform.is_cpu())


def for_platform(model: str, settings: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """vLLM's settings with what this platform needs beside them, and a line on that; empty where nothing is set.

    Whatever is set already stays. Raises `SamplerError` where the weights alone are more than the memory.
    """
    if not on_cpu():
        return settings, ""
    added: dict[str, Any] = {}
    told = []
    if settings.get(CHUNKED) is None:
        added[CHUNKED] = False
        told.append(f"engine.{CHUNKED}=false")
    if all(settings.get(name) is None for name in _SIZED_BY_THE_USER) and not _space_of_the_environment():
        size = cache_size(memory(), _weights(model, settings), share_of(settings))
        if size is not None and size <= 0:
            message = (
                f"vLLM does not start with {model}: its weights do not fit in the memory that is free on this machine; "
                f"`swerl-eval preflight` has the numbers, and -c engine.{CACHE}=… starts it all the same"
            )
            raise SamplerError(message)
        if size is not None:
            added[CACHE] = size
            told.append(f"engine.{CACHE}={size} ({size / 2**30:.1f} GiB, half of what the weights leave free)")
    return {**settings, **added}, f"vLLM on a CPU: {', '.join(told)}; -c engine.… sets them otherwise" if told else ""


def share_of(settings: Mapping[str, Any]) -> Parallelism:
    """How an engine with these settings spreads a model over GPUs, or over workers on a CPU."""
    return Parallelism(
        tensor=int(settings.get("tensor_parallel_size") or 1),
        pipeline=int(settings.get("pipeline_parallel_size") or 1),
        data=int(settings.get("data_parallel_size") or 1),
        utilization=float(settings.get("gpu_memory_utilization") or 0.9),
    )


def cache_size(here: Memory | None, weights: int, share: Parallelism) -> int | None:
    """Bytes for one worker's KV cache on a CPU: half of what is left, the rest is for tests and whatever else runs.

    Zero or less where the weights do not fit; None where this machine does not say what memory it has.
    """
    if here is None:
        return None
    left = here.for_each(share.gpus) - weights // share.tensor // share.pipeline - OVERHEAD
    return left // 2 >> 20 << 20


def _weights(model: str, settings: Mapping[str, Any]) -> int:
    """Bytes; 0 where nothing is known of them, as of a hub's id."""
    folder = folder_of(model)
    try:
        return footprint(read_config(folder), read_tensors(folder), settings).weights if folder else 0
    except (InputError, ValueError):
        return 0  # what is wrong with it vLLM will say


def _space_of_the_environment() -> bool:
    """VLLM_CPU_KVCACHE_SPACE, which vLLM puts before its settings."""
    return bool(getattr(imported("vllm.envs"), "VLLM_CPU_KVCACHE_SPACE", None))
