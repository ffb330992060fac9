"""`swerl-eval preflight`: does the model fit, and are its context and the budgets long enough for the prompts."""

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
from swerl_eval.preflight.checkpoint import Gpu, Memory, folder_of, gpus, memory, read_config, read_tensors
from swerl_eval.preflight.footprint import OVERHEAD, Footprint, Parallelism, footprint
from swerl_eval.preflight.prompt_lengths import Asking, Length, measure, spread
from swerl_eval.prompts import load_prompts
from swerl_eval.records.run_folder import Run
from swerl_eval.samplers.vllm.cpu_platform import CACHE, CHUNKED, cache_size, for_platform, on_cpu, share_of
from swerl_eval.samplers.vllm.engine_settings import INSTALL, EngineSettings, installed, refusal
from swerl_eval.shutdown import interruptible
from swerl_eval.sources.datasets import DatasetSource

FINE, TOO_LITTLE, REFUSED, ESTIMATE, NOTE = "fine", "too little", "refused", "estimate", "note"
_STYLES = {FINE: "green", TOO_LITTLE: "red", REFUSED: "red", ESTIMATE: "yellow", NOTE: "yellow"}
Line = tuple[str, str, str]
"""What, how it stands, and the numbers."""


def check(config: RunConfig) -> int:
    """Print both tables. Exit code 1 when vLLM would not start, the model does not fit or a prompt is too long."""
    fit, context = _fit(config)
    _show("Does it fit?", fit)
    asked = anyio.run(interruptible, _measured, config)
    lines = list(_long_enough(asked, config, context))
    _show("Are the prompts short enough?", lines)
    return 1 if any(state in {TOO_LITTLE, REFUSED} for _, state, _ in [*fit, *lines]) else 0


def _show(title: str, lines: Sequence[Line]) -> None:
    table = Table("what", "state", "found", title=title, title_justify="left")
    for what, state, found in lines:
        table.add_row(Text(what), Text(state, style=_STYLES[state]), Text(found))
    Console().print(table)


def _fit(config: RunConfig) -> tuple[list[Line], int | None]:
    """The lines on memory, and how many tokens the context has, where either is known."""
    asked = config.engine.get("max_model_len")
    context = asked if isinstance(asked, int) else None
    if config.sampler != "vllm":
        return [("model", NOTE, f"it is behind --sampler {config.sampler}; memory is its server's matter")], context
    taken = list(_taken(config))
    folder = folder_of(config.model)
    if folder is None:
        found = f"{config.model or 'no model'} is no folder with a config.json: nothing is known of its size"
        return [*taken, ("model", NOTE, found)], context
    try:
        size = footprint(read_config(folder), read_tensors(folder), config.engine)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise InputError(message) from error
    context = context or size.context
    share = share_of(config.engine)
    cards = gpus()
    if not cards and on_cpu():
        return [*taken, *memory_on_cpu(size, share, memory(), context, config.engine)], context
    return [*taken, *_memory(size, share, cards, context, config.requests)], context


def _taken(config: RunConfig) -> Iterator[Line]:
    """What vLLM itself says of the model's configuration and the engine's settings, weights not yet loaded."""
    if not installed():
        yield "vLLM", NOTE, f"it is not installed here, so its own checks are not made: {INSTALL}"
        return
    arguments, told = EngineSettings.read(config.engine).arguments, ""
    # memory has lines of its own
    with suppress(SamplerError):
        arguments, told = for_platform(config.model, arguments)
    refused = refusal(config.model, arguments)
    yield ("vLLM", REFUSED, refused) if refused else ("vLLM", FINE, "it takes the model and the engine's settings")
    if told:
        yield "platform", NOTE, told
    if config.engine.get(CHUNKED) and config.temperature > 0 and on_cpu():
        found = f"on a CPU a seeded request that is prefilled in parts kills vLLM 0.32; -c engine.{CHUNKED}=false"
        yield "chunked prefill", REFUSED, found


def memory_on_cpu(
    size: Footprint, share: Parallelism, here: Memory | None, context: int | None, engine: Mapping[str, Any]
) -> Iterator[Line]:
    """The lines on memory where the model is on a CPU: weights and cache against what is free."""
    weights, each = size.weights_on_a_gpu(share), size.kv_on_a_gpu(share)
    each_of = f" in each of {share.gpus} workers" if share.gpus > 1 else ""
    yield "weights", FINE if size.weights_known else ESTIMATE, f"{_gib(weights)}{each_of}"
    one = f"; {_gib(each * context)} for one answer at {context:,} tokens" if context else ""
    yield "KV cache", FINE if size.kv_known else ESTIMATE, f"{each / 1024:,.1f} KiB a token{one}"
    yield "beside them", ESTIMATE, f"{_gib(OVERHEAD)} for a worker's libraries and activations"
    if here is None:
        yield "memory", NOTE, "this system does not say what is free, so nothing is compared"
        return
    free = here.for_each(share.gpus)
    left = free - weights - OVERHEAD
    found = f"{_gib(free)} free for each worker (no more than one NUMA node's), of {_gib(here.total)} on this machine"
    if left <= 0:
        yield "memory", TOO_LITTLE, f"{found}: the weights alone do not fit"
        return
    yield "memory", FINE, found
    asked = engine.get(CACHE)
    if isinstance(asked, int):
        cache, most, named = asked, left, f"{_gib(asked)} are asked for, {_gib(left)} are left beside the weights"
    elif engine.get("gpu_memory_utilization") is not None:
        taken = int(here.node_total * share.utilization)
        # vLLM does not start when this is more than what is free
        cache, most = taken - weights, free - weights
        named = f"{_gib(taken)} are asked for ({share.utilization:.0%} of a NUMA node's), {_gib(free)} are free"
    else:
        cache, most, named = cache_size(here, size.weights, share) or 0, left, ""
    if cache > most:
        yield "room for the cache", TOO_LITTLE, f"{named}; -c engine.{CACHE}={left // 2}"
        return
    tokens = math.floor(cache / each)
    room = f"{_gib(cache)}, {tokens:,} tokens"
    if context and tokens < context:
        found = f"{room}, fewer than one answer at {context:,}; -c engine.max_model_len={tokens // 1024 * 1024}"
        yield "room for the cache", TOO_LITTLE, found
    else:
        full = f", {tokens / context:,.1f} answers at full length at a time" if context else ""
        yield "room for the cache", ESTIMATE, f"{room}{full}"


def _memory(
    size: Footprint, share: Parallelism, cards: Sequence[Gpu], context: int | None, requests: int
) -> Iterator[Line]:
    weights = f"{_gib(size.weights)}, {_gib(size.weights_on_a_gpu(share))} on each of {share.gpus} GPUs"
    yield "weights", FINE if size.weights_known else ESTIMATE, weights
    each = size.kv_on_a_gpu(share)
    one = f"; {_gib(each * context)} for one answer at {context:,} tokens" if context else ""
    yield "KV cache", FINE if size.kv_known else ESTIMATE, f"{each / 1024:,.1f} KiB a token on each GPU{one}"
    yield "beside them", ESTIMATE, f"{_gib(OVERHEAD)} on each GPU for activations and graphs"
    if not cards:
        yield "GPUs", NOTE, "no GPU is found here (nvidia-smi), so nothing is compared"
        return
    smallest = min(cards, key=lambda card: card.memory)
    enough = FINE if len(cards) >= share.gpus else TOO_LITTLE
    named = f"{len(cards)} x {smallest.name}, {_gib(smallest.memory)}"
    yield "GPUs", enough, f"{named}; {share.gpus} needed, {share.utilization:.0%} of each may be used"
    free = min(card.free for card in cards)
    if free < smallest.memory * share.utilization:
        yield "free now", NOTE, f"{_gib(free)}: something else holds memory, and vLLM will not start beside it"
    room = size.room(smallest.memory, share)
    if room <= 0:
        yield "room for the cache", TOO_LITTLE, "none: the weights alone do not fit; more tensor_parallel_size, or fp8"
    elif context and room < context:
        found = f"{room:,} tokens, fewer than one answer at {context:,}; -c engine.max_model_len={room // 1024 * 1024}"
        yield "room for the cache", TOO_LITTLE, found
    else:
        full = f", {room * share.data / context:,.1f} answers at full length at a time" if context else ""
        yield "room for the cache", ESTIMATE, f"{room:,} tokens{full}; {requests} requests are sent at a time"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB"


async def _measured(config: RunConfig) -> tuple[list[Length], str]:
    """The lengths, and what they were made from."""
    source = open_source(config)
    chosen = source.instances()
    instances = spread(chosen)
    files, origin = _files(config, source, instances)
    sampler = open_sampler(config, source)
    how = settings(config)
    localized = how.localize if config.localization == "model" else None
    try:
        lengths = await measure(
            instances, source, files, Asking(load_prompts(config.prompts), sampler, localized, how.repair)
        )
    finally:
        await sampler.aclose()
    exact = "" if hasattr(sampler, "count_prompt") else ", tokens without the chat template's own"
    return lengths, f"{len(instances)} of {len(chosen)} instances, files from {origin}{exact}"


def _files(
    config: RunConfig, source: DatasetSource, instances: Sequence[Instance]
) -> tuple[Mapping[str, Sequence[Sequence[str]]], str]:
    """Given lists; else those that the run has found; else the gold files, whose length alone is told."""
    if config.localization != "model":
        return given_files(config, source, instances)
    if (config.run_folder / "run.json").exists():
        stored = Run(config.run_folder).localizations
        lists = {record.instance_id: record.file_lists for record in stored.values()}
        if any(instance.instance_id in lists for instance in instances):
            return lists, "the run's localization"
    stand_in = config.model_copy(update={"localization": "oracle"})
    return given_files(stand_in, source, instances)[0], "the gold patches, as nothing is localized yet"


def _long_enough(asked: tuple[list[Length], str], config: RunConfig, context: int | None) -> Iterator[Line]:
    lengths, origin = asked
    yield "prompts", FINE if lengths else NOTE, f"{len(lengths)}: {origin}"
    for stage in dict.fromkeys(length.stage for length in lengths):
        yield _spread_of(stage, [length.tokens for length in lengths if length.stage == stage])
    cut = sum(bool(length.left_out) for length in lengths)
    yield "max_input_tokens", NOTE if cut else FINE, f"{cut} prompts lose files to {config.max_input_tokens:,}"
    if context is None:
        yield "context", NOTE, "not known; -c engine.max_model_len=N compares"
        return
    refused = sum(length.tokens >= context for length in lengths)
    yield (
        "context",
        TOO_LITTLE if refused else FINE,
        f"{refused} prompts do not fit in {context:,} and would be skipped",
    )
    short = sum(context - config.max_tokens < length.tokens < context for length in lengths)
    found = f"{short} prompts leave fewer than {config.max_tokens:,} tokens for the answer"
    yield "max_tokens", TOO_LITTLE if short else FINE, found


def _spread_of(stage: str, tokens: list[int]) -> Line:
    tenths = statistics.quantiles(tokens, n=10, method="inclusive") if len(tokens) > 1 else [tokens[0]]
    median = statistics.median(tokens)
    return f"{stage}, tokens", FINE, f"median {median:,.0f}, 90 % under {tenths[-1]:,.0f}, longest {max(tokens):,}"
