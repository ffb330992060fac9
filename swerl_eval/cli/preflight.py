"""`swerl-eval preflight`: does the model fit in memory, and do the prompts fit in its context."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.compose import given_files, open_sampler, open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import InputError, SamplerError
from swerl_eval.core.types import Instance
from swerl_eval.preflight.checkpoint import checkpoint_folder, read_config, read_tensors
from swerl_eval.preflight.footprint import OVERHEAD, Footprint, Parallelism, footprint
from swerl_eval.preflight.hardware import Gpu, Memory, gpus, memory
from swerl_eval.preflight.prompt_lengths import PromptLength, PromptSettings, evenly_spaced, measure_prompts
from swerl_eval.prompts import load_prompts
from swerl_eval.records.run_folder import Run
from swerl_eval.samplers.vllm.cpu_platform import CACHE, CHUNKED, cache_size, for_platform, on_cpu, parallelism_of
from swerl_eval.samplers.vllm.engine_settings import INSTALL, EngineSettings, installed, refusal
from swerl_eval.shutdown import interruptible
from swerl_eval.sources.datasets import DatasetSource

FINE, TOO_LITTLE, REFUSED, ESTIMATE, NOTE = "fine", "too little", "refused", "estimate", "note"
_STYLES = {FINE: "green", TOO_LITTLE: "red", REFUSED: "red", ESTIMATE: "yellow", NOTE: "yellow"}
Line = tuple[str, str, str]
"""One row: the name of a check, its state, and the numbers."""


def check(config: RunConfig) -> int:
    """Print both tables. Returns 1 if vLLM would not start, the model does not fit or a prompt is too long, else 0."""
    fit, context = _fit(config)
    _print_table("Does it fit?", fit)
    lengths, origin = anyio.run(interruptible, _measure, config)
    short = list(_short_enough(lengths, origin, config, context))
    _print_table("Are the prompts short enough?", short)
    return 1 if any(state in {TOO_LITTLE, REFUSED} for _, state, _ in [*fit, *short]) else 0


def _print_table(title: str, lines: Sequence[Line]) -> None:
    table = Table("what", "state", "found", title=title, title_justify="left")
    for name, state, detail in lines:
        table.add_row(Text(name), Text(state, style=_STYLES[state]), Text(detail))
    Console().print(table)


def _fit(config: RunConfig) -> tuple[list[Line], int | None]:
    """Return the lines on memory, and the length of the context in tokens if it is known."""
    setting = config.engine.get("max_model_len")
    context = setting if isinstance(setting, int) else None
    if config.sampler != "vllm":
        return [("model", NOTE, f"it is behind --sampler {config.sampler}; memory is its server's matter")], context
    checks = list(_vllm_checks(config))
    folder = checkpoint_folder(config.model)
    if folder is None:
        detail = f"{config.model or 'no model'} is no folder with a config.json: nothing is known of its size"
        return [*checks, ("model", NOTE, detail)], context
    try:
        size = footprint(read_config(folder), read_tensors(folder), config.engine)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise InputError(message) from error
    context = context or size.context
    parallelism = parallelism_of(config.engine)
    cards = gpus()
    if not cards and on_cpu():
        return [*checks, *memory_on_cpu(size, parallelism, memory(), context, config.engine)], context
    return [*checks, *_memory_on_gpus(size, parallelism, cards, context, config.requests)], context


def _vllm_checks(config: RunConfig) -> Iterator[Line]:
    """What vLLM's own checks say of the model and the engine's settings. No weights are loaded."""
    if not installed():
        yield "vLLM", NOTE, f"it is not installed here, so its own checks are not made: {INSTALL}"
        return
    arguments, note = EngineSettings.read(config.engine).arguments, ""
    with suppress(SamplerError):  # too little memory: other lines say so
        arguments, note = for_platform(config.model, arguments)
    refused = refusal(config.model, arguments)
    yield ("vLLM", REFUSED, refused) if refused else ("vLLM", FINE, "it takes the model and the engine's settings")
    if note:
        yield "platform", NOTE, note
    if config.engine.get(CHUNKED) and config.temperature > 0 and on_cpu():
        detail = f"on a CPU a seeded request that is prefilled in parts kills vLLM 0.32; -c engine.{CHUNKED}=false"
        yield "chunked prefill", REFUSED, detail


def memory_on_cpu(
    size: Footprint, parallelism: Parallelism, machine: Memory | None, context: int | None, engine: Mapping[str, Any]
) -> Iterator[Line]:
    """Compare weights and cache with the free memory, for a model on a CPU.

    Args:
        size: Memory that the model takes.
        parallelism: How it is spread over workers.
        machine: Memory of this machine; None if the system does not report it.
        context: Length of the context in tokens, if known.
        engine: vLLM's settings.
    """
    weights, token_bytes = size.weights_per_gpu(parallelism), size.token_bytes_per_gpu(parallelism)
    workers = f" in each of {parallelism.gpus} workers" if parallelism.gpus > 1 else ""
    yield "weights", FINE if size.weights_known else ESTIMATE, f"{_gib(weights)}{workers}"
    yield "KV cache", FINE if size.kv_known else ESTIMATE, _per_token(token_bytes, "a token", context)
    yield "beside them", ESTIMATE, f"{_gib(OVERHEAD)} for a worker's libraries and activations"
    if machine is None:
        yield "memory", NOTE, "this system does not say what is free, so nothing is compared"
        return
    free = machine.per_worker(parallelism.gpus)
    left = free - weights - OVERHEAD
    total = f"{_gib(machine.total)} on this machine"
    detail = f"{_gib(free)} free for each worker (no more than one NUMA node's), of {total}"
    if left <= 0:
        yield "memory", TOO_LITTLE, f"{detail}: the weights alone do not fit"
        return
    yield "memory", FINE, detail
    cache, most, complaint = cache_size(machine, size.weights, parallelism) or 0, left, ""
    if isinstance(engine.get(CACHE), int):
        cache = engine[CACHE]
        complaint = f"{_gib(cache)} are asked for, {_gib(left)} are left beside the weights"
    elif engine.get("gpu_memory_utilization") is not None:
        asked = int(machine.node_total * parallelism.utilization)
        cache, most = asked - weights, free - weights  # vLLM does not start if it asks for more than what is free
        part = f"{parallelism.utilization:.0%} of a NUMA node's"
        complaint = f"{_gib(asked)} are asked for ({part}), {_gib(free)} are free"
    if cache > most:
        yield "room for the cache", TOO_LITTLE, f"{complaint}; -c engine.{CACHE}={left // 2}"
        return
    tokens = math.floor(cache / token_bytes)
    yield _room_for_cache(tokens, context, answers=1, before=f"{_gib(cache)}, ")


def _memory_on_gpus(
    size: Footprint, parallelism: Parallelism, cards: Sequence[Gpu], context: int | None, requests: int
) -> Iterator[Line]:
    """Compare weights and cache with the memory of the GPUs."""
    weights = f"{_gib(size.weights)}, {_gib(size.weights_per_gpu(parallelism))} on each of {parallelism.gpus} GPUs"
    yield "weights", FINE if size.weights_known else ESTIMATE, weights
    per_token = _per_token(size.token_bytes_per_gpu(parallelism), "a token on each GPU", context)
    yield "KV cache", FINE if size.kv_known else ESTIMATE, per_token
    yield "beside them", ESTIMATE, f"{_gib(OVERHEAD)} on each GPU for activations and graphs"
    if not cards:
        yield "GPUs", NOTE, "no GPU is found here (nvidia-smi), so nothing is compared"
        return
    smallest = min(cards, key=lambda card: card.memory)
    state = FINE if len(cards) >= parallelism.gpus else TOO_LITTLE
    found = f"{len(cards)} x {smallest.name}, {_gib(smallest.memory)}"
    yield "GPUs", state, f"{found}; {parallelism.gpus} needed, {parallelism.utilization:.0%} of each may be used"
    free = min(card.free for card in cards)
    if free < smallest.memory * parallelism.utilization:
        yield "free now", NOTE, f"{_gib(free)}: something else holds memory, and vLLM will not start beside it"
    tokens = size.cache_tokens(smallest.memory, parallelism)
    if tokens <= 0:
        yield "room for the cache", TOO_LITTLE, "none: the weights alone do not fit; more tensor_parallel_size, or fp8"
        return
    sent = f"; {requests} requests are sent at a time"
    yield _room_for_cache(tokens, context, answers=parallelism.data, after=sent)


def _per_token(size: float, unit: str, context: int | None) -> str:
    """The cache's bytes of one token, and of one answer that fills the context."""
    answer = f"; {_gib(size * context)} for one answer at {context:,} tokens" if context else ""
    return f"{size / 1024:,.1f} KiB {unit}{answer}"


def _room_for_cache(tokens: int, context: int | None, *, answers: int, before: str = "", after: str = "") -> Line:
    """Compare the tokens that the cache holds with the context.

    Args:
        tokens: What one cache holds.
        context: Length of the context in tokens, if known.
        answers: Number of such caches that serve requests side by side.
        before: Text before the numbers.
        after: Text after them, if there is room enough.
    """
    if context and tokens < context:
        detail = f"{before}{tokens:,} tokens, fewer than one answer at {context:,}"
        return "room for the cache", TOO_LITTLE, f"{detail}; -c engine.max_model_len={tokens // 1024 * 1024}"
    full = f", {tokens * answers / context:,.1f} answers at full length at a time" if context else ""
    return "room for the cache", ESTIMATE, f"{before}{tokens:,} tokens{full}{after}"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB"


async def _measure(config: RunConfig) -> tuple[list[PromptLength], str]:
    """Return the lengths of the prompts, and what the prompts were made from."""
    source = open_source(config)
    chosen = source.instances()
    instances = evenly_spaced(chosen)
    files, origin = _files(config, source, instances)
    sampler = open_sampler(config, source)
    stages = settings(config)
    localize = stages.localize if config.localization == "model" else None
    how = PromptSettings(load_prompts(config.prompts), sampler, localize, stages.repair)
    try:
        lengths = await measure_prompts(instances, source, files, how)
    finally:
        await sampler.aclose()
    exact = "" if hasattr(sampler, "count_prompt") else ", tokens without the chat template's own"
    return lengths, f"{len(instances)} of {len(chosen)} instances, files from {origin}{exact}"


def _files(
    config: RunConfig, source: DatasetSource, instances: Sequence[Instance]
) -> tuple[Mapping[str, Sequence[Sequence[str]]], str]:
    """Return file lists by instance id, and their origin.

    Lists that the user gave; else those that the run has localized; else the files of the gold patches, of which
    nothing is shown but the lengths of the prompts.
    """
    if config.localization != "model":
        return given_files(config, source, instances)
    if (config.run_folder / "run.json").exists():
        stored = Run(config.run_folder).localizations
        lists = {record.instance_id: record.file_lists for record in stored.values()}
        if any(instance.instance_id in lists for instance in instances):
            return lists, "the run's localization"
    oracle = config.model_copy(update={"localization": "oracle"})
    return given_files(oracle, source, instances)[0], "the gold patches, as nothing is localized yet"


def _short_enough(lengths: list[PromptLength], origin: str, config: RunConfig, context: int | None) -> Iterator[Line]:
    """Compare the lengths of the prompts with the budgets and the context."""
    yield "prompts", FINE if lengths else NOTE, f"{len(lengths)}: {origin}"
    for stage in dict.fromkeys(length.stage for length in lengths):
        yield _distribution(stage, [length.tokens for length in lengths if length.stage == stage])
    cut = sum(bool(length.left_out) for length in lengths)
    yield "max_input_tokens", NOTE if cut else FINE, f"{cut} prompts lose files to {config.max_input_tokens:,}"
    if context is None:
        yield "context", NOTE, "not known; -c engine.max_model_len=N compares"
        return
    refused = sum(length.tokens >= context for length in lengths)
    detail = f"{refused} prompts do not fit in {context:,} and would be skipped"
    yield "context", TOO_LITTLE if refused else FINE, detail
    short = sum(context - config.max_tokens < length.tokens < context for length in lengths)
    detail = f"{short} prompts leave fewer than {config.max_tokens:,} tokens for the answer"
    yield "max_tokens", TOO_LITTLE if short else FINE, detail


def _distribution(stage: str, tokens: list[int]) -> Line:
    deciles = statistics.quantiles(tokens, n=10, method="inclusive") if len(tokens) > 1 else [tokens[0]]
    median = statistics.median(tokens)
    return f"{stage}, tokens", FINE, f"median {median:,.0f}, 90 % under {deciles[-1]:,.0f}, longest {max(tokens):,}"
