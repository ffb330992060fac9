"""Drawing answers: identical prompts as one request, stored answers not asked for again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import anyio

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Completion, Message, Sample, SampleRequest
from swerl_eval.ports import Sampler, ignore
from swerl_eval.progress import Progress
from swerl_eval.records.journal import Journal
from swerl_eval.scheduling.request_queue import RequestQueue

SEED_SPAN = 1 << 24
"""Seeds set aside for one instance and stage; far more than samples are drawn."""


@dataclass(frozen=True)
class Prompt:
    """What is asked for one sample."""

    messages: tuple[Message, ...]
    files: tuple[str, ...] = ()
    """The files that it shows, in order."""

    @cached_property
    def sha256(self) -> str:
        """Identical prompts have the same digest."""
        return sha256("\0".join(f"{message.role}\0{message.content}" for message in self.messages))


@dataclass(frozen=True)
class SamplingContext:
    """How answers are drawn in a run."""

    sampler: Sampler
    journal: Journal[Sample]
    turns: RequestQueue
    progress: Progress
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


OnSample = Callable[[Sample], None]


async def draw(
    drawing: SamplingContext, instance_id: str, stage: str, prompts: Sequence[Prompt], on_sample: OnSample = ignore
) -> list[Sample]:
    """One answer for each prompt: number k of the list is sample k. `on_sample` is told of each once it is stored.

    A request whose answers are all stored is not sent. One of which some are missing, or were refused, is sent whole,
    with the same seed, so that a resumed run draws what an uninterrupted one would have drawn; stored answers stay.
    """
    for index in range(len(prompts)):
        key = (instance_id, stage, index)
        if _is_answered(drawing, key) and (sample := drawing.journal.get(key)) is not None:
            on_sample(sample)
    requests = _requests(drawing, instance_id, stage, prompts)
    # those that begin with the same files follow each other, while the engine still has what it computed for them
    requests.sort(key=lambda request: prompts[request.indices[0]].files)
    async with anyio.create_task_group() as group:
        for request in requests:
            if not all(_is_answered(drawing, (instance_id, stage, index)) for index in request.indices):
                group.start_soon(_send, drawing, request, prompts[request.indices[0]], on_sample)
    stored = [drawing.journal.get((instance_id, stage, index)) for index in range(len(prompts))]
    return [sample for sample in stored if sample is not None]


def _is_answered(drawing: SamplingContext, key: tuple[str, str, int]) -> bool:
    """Whether an answer is stored; a refusal is none."""
    return key in drawing.journal and key not in drawing.journal.marked


def _requests(drawing: SamplingContext, instance_id: str, stage: str, prompts: Sequence[Prompt]) -> list[SampleRequest]:
    groups: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(prompt.sha256, []).append(index)
    seed = seed_for(drawing.seed, instance_id, stage)
    requests = []
    for indices in groups.values():
        requests.append(
            SampleRequest(
                instance_id=instance_id,
                stage=stage,
                messages=prompts[indices[0]].messages,
                indices=tuple(indices),
                seed=seed,
                temperature=drawing.temperature,
                top_p=drawing.top_p,
                max_tokens=drawing.max_tokens,
            )
        )
        seed += len(indices)
    return requests


def seed_for(seed: int, instance_id: str, stage: str) -> int:
    """First seed of an instance and stage: from 0 to 2**31, which every server takes."""
    digest = hashlib.sha256(f"{seed}\0{instance_id}\0{stage}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - SEED_SPAN)


async def _send(drawing: SamplingContext, request: SampleRequest, prompt: Prompt, on_sample: OnSample) -> None:
    progress = drawing.progress

    def count(tokens: int) -> None:
        progress.tokens += tokens

    key = (request.instance_id, request.stage)
    before = {index for index in request.indices if _is_answered(drawing, (*key, index))}
    stored: dict[int, Completion] = {}

    def store(place: int, completion: Completion) -> None:
        """Store an answer, then tell of it; the counts of its tokens, where they come later, are stored once more."""
        index = request.indices[place]
        completion = _storable(completion)
        if index in before or stored.get(index) == completion:
            return
        sample = Sample(*key, index, completion, prompt.files, prompt.sha256, request.seed)
        drawing.journal.append(sample)
        known = stored.get(index)
        stored[index] = completion
        progress.prompt_tokens += (completion.prompt_tokens or 0) - (known.prompt_tokens or 0 if known else 0)
        if known is None:
            progress.samples += 1
            on_sample(sample)

    priority = drawing.turns.priority(request.instance_id, request.stage)
    async with drawing.turns.slot(priority):
        progress.request(1)
        try:
            completions = await drawing.sampler.sample(dataclasses.replace(request, priority=priority), count, store)
        finally:
            progress.request(-1)
    for place, completion in enumerate(completions):
        store(place, completion)


def _storable(completion: Completion) -> Completion:
    """Lone surrogates, which a model's tokens can decode to, have no UTF-8 form."""
    return dataclasses.replace(
        completion,
        text=_valid(completion.text),
        reasoning=_valid(completion.reasoning),
        error=_valid(completion.error),
    )


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
