"""Samples answers from the model. Identical prompts are one request; stored answers are not asked for again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import anyio

from swerl_eval.core.codings import sendable
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Completion, Message, Sample, SampleRequest
from swerl_eval.ports import Sampler, ignore
from swerl_eval.progress import Progress
from swerl_eval.records.journal import Journal
from swerl_eval.scheduling.request_queue import RequestQueue

SEED_SPAN = 1 << 24
"""Seeds reserved for one instance and stage; far more than samples are drawn."""


@dataclass(frozen=True)
class Prompt:
    """The prompt of one sample."""

    messages: tuple[Message, ...]
    files: tuple[str, ...] = ()
    """The files that it shows, in order."""

    @cached_property
    def sha256(self) -> str:
        """Digest of the messages; identical prompts have the same one."""
        return sha256("\0".join(f"{message.role}\0{message.content}" for message in self.messages))


@dataclass(frozen=True)
class SamplingContext:
    """How a run samples: from which model, with which parameters, and where answers are stored."""

    sampler: Sampler
    journal: Journal[Sample]
    queue: RequestQueue
    progress: Progress
    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    @property
    def greedy(self) -> SamplingContext:
        """The same with a temperature of 0."""
        return dataclasses.replace(self, temperature=0.0)

    def has_answer(self, key: tuple[str, str, int]) -> bool:
        """Return whether the answer to a sample (instance id, stage, index) is stored. A refusal is no answer."""
        return key in self.journal and key not in self.journal.marked


OnSample = Callable[[Sample], None]


async def sample_answers(
    context: SamplingContext,
    instance_id: str,
    stage: str,
    prompts: Sequence[Prompt],
    on_sample: OnSample = ignore,
) -> list[Sample]:
    """Sample one answer for each prompt, and store it.

    A request whose answers are all stored is not sent. A request of which some answers are missing, or were refused, is
    sent as a whole with the same seed, so that a resumed run samples what an uninterrupted one would have sampled.
    Stored answers stay.

    Args:
        context: How the run samples.
        instance_id: The instance that the answers are for.
        stage: The stage that asks.
        prompts: The prompts; prompt k is that of sample k.
        on_sample: Is called with every sample once it is stored.

    Returns:
        The samples in the order of the prompts.
    """
    keys = [(instance_id, stage, index) for index in range(len(prompts))]
    for key in keys:
        if context.has_answer(key) and (stored := context.journal.get(key)) is not None:
            on_sample(stored)
    requests = _requests(context, instance_id, stage, prompts)
    # requests that begin with the same files follow each other while the engine still has their prefix
    requests.sort(key=lambda request: prompts[request.indices[0]].files)
    async with anyio.create_task_group() as group:
        for request in requests:
            if not all(context.has_answer((instance_id, stage, index)) for index in request.indices):
                pending = _PendingRequest(context, request, prompts[request.indices[0]], on_sample)
                group.start_soon(pending.send)
    return [stored for key in keys if (stored := context.journal.get(key)) is not None]


def seed_for(seed: int, instance_id: str, stage: str) -> int:
    """Return the first seed of an instance and stage: between 0 and 2**31, which every server takes."""
    digest = hashlib.sha256(f"{seed}\0{instance_id}\0{stage}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - SEED_SPAN)


def _requests(context: SamplingContext, instance_id: str, stage: str, prompts: Sequence[Prompt]) -> list[SampleRequest]:
    """Return one request for all samples with the same prompt."""
    indices_of: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        indices_of.setdefault(prompt.sha256, []).append(index)
    seed = seed_for(context.seed, instance_id, stage)
    requests = []
    for indices in indices_of.values():
        requests.append(
            SampleRequest(
                instance_id=instance_id,
                stage=stage,
                messages=prompts[indices[0]].messages,
                indices=tuple(indices),
                seed=seed,
                temperature=context.temperature,
                top_p=context.top_p,
                max_tokens=context.max_tokens,
                priority=context.queue.priority(instance_id, stage),
            )
        )
        seed += len(indices)
    return requests


class _PendingRequest:
    """One request on its way: stores its answers as they come."""

    def __init__(self, context: SamplingContext, request: SampleRequest, prompt: Prompt, on_sample: OnSample) -> None:
        self._context = context
        self._request = request
        self._prompt = prompt
        self._on_sample = on_sample
        self._answered_before = {index for index in request.indices if context.has_answer(self._key(index))}
        self._stored: dict[int, Completion] = {}
        """By index of the sample; those that this request brought."""

    async def send(self) -> None:
        """Wait for a slot, send the request, store the answers."""
        progress = self._context.progress
        async with self._context.queue.slot(self._request.priority):
            progress.request(1)
            try:
                completions = await self._context.sampler.sample(self._request, self._count_tokens, self._store)
            finally:
                progress.request(-1)
        for place, completion in enumerate(completions):
            self._store(place, completion)

    def _key(self, index: int) -> tuple[str, str, int]:
        return self._request.instance_id, self._request.stage, index

    def _count_tokens(self, tokens: int) -> None:
        self._context.progress.tokens += tokens

    def _store(self, place: int, completion: Completion) -> None:
        """Store the answer at a place of the request, and again when its token counts come later."""
        index = self._request.indices[place]
        completion = _storable(completion)
        earlier = self._stored.get(index)
        if index in self._answered_before or earlier == completion:
            return
        sample = Sample(*self._key(index), completion, self._prompt.files, self._prompt.sha256, self._request.seed)
        self._context.journal.append(sample)
        self._stored[index] = completion
        counted = (earlier.prompt_tokens or 0) if earlier else 0
        self._context.progress.prompt_tokens += (completion.prompt_tokens or 0) - counted
        if earlier is None:
            self._context.progress.samples += 1
            self._on_sample(sample)


def _storable(completion: Completion) -> Completion:
    """Replace lone surrogates, which a model's tokens can decode to, and which UTF-8 does not have."""
    return dataclasses.replace(
        completion,
        text=sendable(completion.text),
        reasoning=sendable(completion.reasoning),
        error=sendable(completion.error),
    )
