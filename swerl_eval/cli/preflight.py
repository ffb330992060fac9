"""`swerl-eval preflight`: does the model fit, and are its context and the budgets long enough for the prompts."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.checkpoint import Gpu, folder_of, gpus, read_config, read_tensors
from swerl_eval.compose import given_files, open_sampler, open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import InputError
from swerl_eval.core.footprint import OVERHEAD, Footprint, Share, footprint
from swerl_eval.core.types import Instance
from swerl_eval.preflight import Asking, Length, measure, spread
from swerl_eval.prompts import load_prompts
from swerl_eval.samplers.vllm_settings import INSTALL, installed, refusal
from swerl_eval.sources.datasets import DatasetSource
from swerl_eval.store import Run
from swerl_eval.work import interruptible

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
    taken = _taken(config)
    folder = folder_of(config.model)
    if folder is None:
        found = f"{config.model or 'no model'} is no folder with a config.json: nothing is known of its size"
        return [taken, ("model", NOTE, found)], context
    try:
        size = footprint(read_config(folder), read_tensors(folder), config.engine)
    except ValueError as error:
        message = f"{folder}: {error}"
        raise InputError(message) from error
    context = context or size.context
    return [taken, *_memory(size, _share(config), gpus(), context, config.requests)], context


def _taken(config: RunConfig) -> Line:
    """What vLLM itself says of the model's configuration and the engine's settings, weights not yet loaded."""
    if not installed():
        return "vLLM", NOTE, f"it is not installed here, so its own checks are not made: {INSTALL}"
    refused = refusal(config.model, config.engine)
    return ("vLLM", REFUSED, refused) if refused else ("vLLM", FINE, "it takes the model and the engine's settings")


def _share(config: RunConfig) -> Share:
    engine = config.engine
    return Share(
        tensor=int(engine.get("tensor_parallel_size", 1)),
        pipeline=int(engine.get("pipeline_parallel_size", 1)),
        data=int(engine.get("data_parallel_size", 1)),
        utilization=float(engine.get("gpu_memory_utilization", 0.9)),
    )


def _memory(size: Footprint, share: Share, cards: Sequence[Gpu], context: int | None, requests: int) -> Iterator[Line]:
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
