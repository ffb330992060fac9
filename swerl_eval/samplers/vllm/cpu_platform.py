"""Settings that vLLM needs on a CPU.

On a GPU vLLM's own defaults are right. On a CPU two of them end an engine: the KV cache takes most of the machine's
memory, whatever else runs, and a seeded request that is prefilled in chunks kills vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swerl_eval.core.errors import InputError, SamplerError
from swerl_eval.preflight.checkpoint import checkpoint_folder, read_config, read_tensors
from swerl_eval.preflight.footprint import OVERHEAD, Parallelism, footprint
from swerl_eval.preflight.hardware import Memory, memory
from swerl_eval.samplers.vllm.engine_settings import imported, installed

CHUNKED = "enable_chunked_prefill"
CACHE = "kv_cache_memory_bytes"
_CACHE_SIZE_SETTINGS = (CACHE, "gpu_memory_utilization", "num_gpu_blocks_override")
"""If the user sets one of these, the size of the cache is the user's."""


def on_cpu() -> bool:
    """Whether the installed vLLM is one for a CPU. Imports vLLM."""
    return installed() and bool(imported("vllm.platforms").current_platform.is_cpu())


def for_platform(model: str, settings: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Add to vLLM's settings what this platform needs.

    Args:
        model: A folder, or a hub id.
        settings: vLLM's settings; those that are set stay as they are.

    Returns:
        The settings, and a line for people that names what was added; empty if nothing was.

    Raises:
        SamplerError: The weights alone need more than the free memory.
    """
    if not on_cpu():
        return settings, ""
    added: dict[str, Any] = {}
    notes = []
    if settings.get(CHUNKED) is None:
        added[CHUNKED] = False
        notes.append(f"engine.{CHUNKED}=false")
    if all(settings.get(name) is None for name in _CACHE_SIZE_SETTINGS) and not _environment_sets_cache():
        size = cache_size(memory(), _weights(model, settings), parallelism_of(settings))
        if size is not None and size <= 0:
            message = (
                f"vLLM does not start with {model}: its weights do not fit in the memory that is free on this machine; "
                f"`swerl-eval preflight` has the numbers, and -c engine.{CACHE}=… starts it all the same"
            )
            raise SamplerError(message)
        if size is not None:
            added[CACHE] = size
            notes.append(f"engine.{CACHE}={size} ({size / 2**30:.1f} GiB, half of what the weights leave free)")
    note = f"vLLM on a CPU: {', '.join(notes)}; -c engine.… sets them otherwise" if notes else ""
    return {**settings, **added}, note


def parallelism_of(settings: Mapping[str, Any]) -> Parallelism:
    """How an engine with these settings spreads a model over GPUs, or over workers on a CPU."""
    return Parallelism(
        tensor=int(settings.get("tensor_parallel_size") or 1),
        pipeline=int(settings.get("pipeline_parallel_size") or 1),
        data=int(settings.get("data_parallel_size") or 1),
        utilization=float(settings.get("gpu_memory_utilization") or 0.9),
    )


def cache_size(machine: Memory | None, weights: int, parallelism: Parallelism) -> int | None:
    """Size of one worker's KV cache on a CPU: half of the free memory. Tests and everything else get the other half.

    Args:
        machine: Memory of this machine; None if the system does not report it.
        weights: Bytes of the model's weights.
        parallelism: How the model is spread over workers.

    Returns:
        Bytes; zero or less if the weights do not fit; None if the memory is unknown.
    """
    if machine is None:
        return None
    weights_per_worker = weights // parallelism.tensor // parallelism.pipeline
    left = machine.per_worker(parallelism.gpus) - weights_per_worker - OVERHEAD
    return left // 2 >> 20 << 20


def _weights(model: str, settings: Mapping[str, Any]) -> int:
    """Bytes of the model's weights; 0 if unknown, as for a hub id."""
    folder = checkpoint_folder(model)
    try:
        return footprint(read_config(folder), read_tensors(folder), settings).weights if folder else 0
    except (InputError, ValueError):
        return 0  # vLLM reports what is wrong with the checkpoint


def _environment_sets_cache() -> bool:
    """Whether VLLM_CPU_KVCACHE_SPACE is set; vLLM prefers it to its settings."""
    return bool(getattr(imported("vllm.envs"), "VLLM_CPU_KVCACHE_SPACE", None))
