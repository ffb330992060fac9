"""How much memory a model takes on GPUs: its weights, and the KV cache for each token.

The weights are known where the checkpoint has safetensors files, whose headers say the sizes. These are estimates:
weights from the dimensions alone, layers that do not keep every token, and what an engine needs beside weights and
cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

OVERHEAD = 2 << 30
"""Bytes on each GPU for activations, graphs and libraries; an estimate."""
_DTYPE_BYTES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
_STORED_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Number formats that are converted to the engine's dtype when loaded. Others (quantized ones) stay as they are."""


@dataclass(frozen=True)
class Parallelism:
    """How an engine spreads a model over GPUs."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    utilization: float = 0.9
    """Part of a GPU's memory that may be used, as vLLM's `gpu_memory_utilization`."""

    @property
    def gpus(self) -> int:
        """Number of GPUs, or of workers on a CPU."""
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True)
class Footprint:
    """Memory that a model takes, before it is spread over GPUs."""

    weights: int
    """Bytes."""
    weights_known: bool
    """True: read from the checkpoint. False: estimated from its dimensions."""
    kv_heads: int
    kv_bytes_per_head: float
    """Bytes of one token in one head, over all layers."""
    kv_known: bool
    """False if some layers do not keep every token: these are left out, or counted in full if there are no others."""
    context: int | None
    """Tokens that the model was made for; None if unknown."""

    def weights_per_gpu(self, parallelism: Parallelism) -> int:
        """Bytes of the weights on one GPU."""
        return math.ceil(self.weights / parallelism.tensor / parallelism.pipeline)

    def token_bytes_per_gpu(self, parallelism: Parallelism) -> float:
        """Bytes of one token in the cache of one GPU. If there are fewer heads than GPUs, heads are kept repeatedly."""
        heads = max(1, math.ceil(self.kv_heads / parallelism.tensor))
        return heads * self.kv_bytes_per_head / parallelism.pipeline

    def cache_tokens(self, memory: int, parallelism: Parallelism) -> int:
        """Tokens that the cache of one GPU can hold; negative if the weights alone do not fit.

        Args:
            memory: Bytes of the GPU.
            parallelism: How the model is spread.
        """
        left = memory * parallelism.utilization - self.weights_per_gpu(parallelism) - OVERHEAD
        return math.floor(left / self.token_bytes_per_gpu(parallelism))


def footprint(config: Mapping[str, Any], tensors: Iterable[Mapping[str, Any]], engine: Mapping[str, Any]) -> Footprint:
    """Return the memory that a model takes.

    Args:
        config: `config.json` of the checkpoint.
        tensors: Entries of its safetensors headers; none if unknown.
        engine: vLLM's settings, of which `dtype` and `kv_cache_dtype` matter.

    Raises:
        ValueError: `config.json` lacks a dimension; the message names it.
    """
    model = {**config, **config.get("text_config", {})}
    size = _DTYPE_BYTES[_dtype(model, engine)]
    stored = sum(_loaded_bytes(tensor, size) for tensor in tensors)
    layers, known = _caching_layers(model)
    cache = 1 if str(engine.get("kv_cache_dtype", "auto")).startswith("fp8") else size
    if model.get("kv_lora_rank"):
        # latent attention keeps one vector for all heads
        heads, width = 1, _number(model, "kv_lora_rank") + _number(model, "qk_rope_head_dim")
    else:
        heads = int(model.get("num_key_value_heads") or _number(model, "num_attention_heads"))
        width = 2 * _head_width(model)
    return Footprint(
        weights=stored or parameters(model) * size,
        weights_known=bool(stored),
        kv_heads=heads,
        kv_bytes_per_head=float(layers * width * cache),
        kv_known=known,
        context=model.get("max_position_embeddings"),
    )


def parameters(model: Mapping[str, Any]) -> int:
    """Estimate the number of parameters of a decoder with gated feed-forward layers, experts included."""
    hidden, layers = _number(model, "hidden_size"), _number(model, "num_hidden_layers")
    heads = _number(model, "num_attention_heads")
    kv_heads = int(model.get("num_key_value_heads") or heads)
    attention = 2 * hidden * _head_width(model) * (heads + kv_heads)
    experts = int(model.get("num_experts") or model.get("num_local_experts") or model.get("n_routed_experts") or 0)
    feed_forward = 3 * hidden * int(model.get("moe_intermediate_size") or _number(model, "intermediate_size"))
    embeddings = _number(model, "vocab_size") * hidden * (1 if model.get("tie_word_embeddings") else 2)
    return embeddings + layers * (attention + feed_forward * max(1, experts))


def _number(model: Mapping[str, Any], name: str) -> int:
    if not isinstance(model.get(name), int):
        message = f"config.json has no {name}"
        raise ValueError(message)
    return int(model[name])


def _head_width(model: Mapping[str, Any]) -> int:
    return int(model.get("head_dim") or _number(model, "hidden_size") // _number(model, "num_attention_heads"))


def _dtype(model: Mapping[str, Any], engine: Mapping[str, Any]) -> str:
    """The dtype that vLLM chooses: 32 bits only if the settings ask for them."""
    setting = str(engine.get("dtype", "auto"))
    if setting in _DTYPE_BYTES:
        return setting
    stored = str(model.get("dtype") or model.get("torch_dtype") or "bfloat16")
    return stored if stored in _DTYPE_BYTES and _DTYPE_BYTES[stored] == 2 else "float16"


def _loaded_bytes(tensor: Mapping[str, Any], size: int) -> int:
    begin, end = tensor["data_offsets"]
    stored = _STORED_BYTES.get(str(tensor["dtype"]))
    return int(end - begin) if stored is None else int((end - begin) // stored * size)


def _caching_layers(model: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the number of layers that keep every token, and whether these are all layers."""
    layers, kinds = _number(model, "num_hidden_layers"), model.get("layer_types")
    if not kinds:
        return layers, True
    full = sum(kind == "full_attention" for kind in kinds)
    return (full, full == len(kinds)) if full else (layers, False)
