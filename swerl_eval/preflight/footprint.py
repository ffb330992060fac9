"""What a model takes on GPUs, from its checkpoint's own words: weights, and what the KV cache holds for each token.

Known: the weights' bytes, from the heads of safetensors files. Estimates: weights from the dimensions alone, layers
that do not keep every token, and what an engine needs beside weights and cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

OVERHEAD = 2 << 30
"""Bytes taken for activations, graphs and libraries on each GPU; an estimate."""
_SIZES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
_STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Kinds of numbers that are loaded in the engine's own; others (quantized ones) stay as they are."""


@dataclass(frozen=True)
class Parallelism:
    """How an engine spreads a model over GPUs."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    utilization: float = 0.9
    """Of a GPU's memory, as vLLM's `gpu_memory_utilization`."""

    @property
    def gpus(self) -> int:
        """How many it needs."""
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True)
class Footprint:
    """What a model takes, before it is spread."""

    weights: int
    """Bytes."""
    weights_known: bool
    """Read from the checkpoint; else estimated from its dimensions."""
    kv_heads: int
    kv_bytes_a_head: float
    """Of one token in one head, over all layers."""
    kv_known: bool
    """False where some layers do not keep every token, and are left out or counted in full."""
    context: int | None
    """Tokens that the model was made for."""

    def weights_on_a_gpu(self, share: Parallelism) -> int:
        """Bytes."""
        return math.ceil(self.weights / share.tensor / share.pipeline)

    def kv_on_a_gpu(self, share: Parallelism) -> float:
        """Bytes of one token. Heads that are fewer than GPUs are kept more than once."""
        return max(1, math.ceil(self.kv_heads / share.tensor)) * self.kv_bytes_a_head / share.pipeline

    def room(self, memory: int, share: Parallelism) -> int:
        """Tokens that the cache of one GPU with so many bytes can hold; negative when not even the weights fit."""
        left = memory * share.utilization - self.weights_on_a_gpu(share) - OVERHEAD
        return math.floor(left / self.kv_on_a_gpu(share))


def footprint(config: Mapping[str, Any], tensors: Iterable[Mapping[str, Any]], engine: Mapping[str, Any]) -> Footprint:
    """From `config.json`, the tensors' entries in the heads of safetensors files, and the engine's settings.

    Raises `ValueError` naming what `config.json` lacks.
    """
    model = {**config, **config.get("text_config", {})}
    dtype = _dtype(model, engine)
    size = _SIZES[dtype]
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
        kv_bytes_a_head=float(layers * width * cache),
        kv_known=known,
        context=model.get("max_position_embeddings"),
    )


def parameters(model: Mapping[str, Any]) -> int:
    """About how many, from the dimensions of a decoder with gated feed-forward layers, experts included."""
    hidden, layers = _number(model, "hidden_size"), _number(model, "num_hidden_layers")
    heads = _number(model, "num_attention_heads")
    kept = int(model.get("num_key_value_heads") or heads)
    attention = 2 * hidden * _head_width(model) * (heads + kept)
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
    """As vLLM chooses it: 32 bits only when they are asked for."""
    asked = str(engine.get("dtype", "auto"))
    if asked in _SIZES:
        return asked
    stored = str(model.get("dtype") or model.get("torch_dtype") or "bfloat16")
    return stored if stored in _SIZES and _SIZES[stored] == 2 else "float16"


def _loaded_bytes(tensor: Mapping[str, Any], size: int) -> int:
    begin, end = tensor["data_offsets"]
    stored = _STORED.get(str(tensor["dtype"]))
    return int(end - begin) if stored is None else int((end - begin) // stored * size)


def _caching_layers(model: Mapping[str, Any]) -> tuple[int, bool]:
    """Layers that keep every token, and whether these are all."""
    layers, kinds = _number(model, "num_hidden_layers"), model.get("layer_types")
    if not kinds:
        return layers, True
    full = sum(kind == "full_attention" for kind in kinds)
    return (full, full == len(kinds)) if full else (layers, False)
