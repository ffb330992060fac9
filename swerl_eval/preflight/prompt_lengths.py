"""Measure the prompts of a run before it starts. The stages make the prompts; no model is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread

from swerl_eval.core.types import Completion, Instance, Localization, Message, Sample, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, SamplerSettings, Snapshot, Source, ignore
from swerl_eval.progress import Progress
from swerl_eval.prompts import Prompts
from swerl_eval.records.journal import Journal
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.localize import LocalizeSettings, localize
from swerl_eval.stages.repair import Issue, RepairSettings, repair
from swerl_eval.stages.sampling import SamplingContext

MAX_INSTANCES = 100
"""Instances whose prompts are measured. Of more, as many are picked at equal distances."""


@dataclass(frozen=True)
class PromptLength:
    """Length of one prompt."""

    instance_id: str
    stage: str
    tokens: int
    left_out: tuple[str, ...] = ()
    """Files of its list that did not fit in the budget for files."""


class _CountsPrompts(Protocol):
    def count_prompt(self, messages: Sequence[Message]) -> int: ...


class MeasuringSampler:
    """A `ports.Sampler` that records the length of each prompt and gives no answers.

    Args:
        counter: Another sampler, whose token counts it uses.
    """

    recorded = True

    def __init__(self, counter: Sampler) -> None:
        self._counter = counter
        self.lengths: list[tuple[SampleRequest, int]] = []

    @classmethod
    def open(cls, settings: SamplerSettings) -> MeasuringSampler:
        """Raise `TypeError`: it is made from another sampler, not from settings."""
        del settings
        message = "this sampler only measures, with the counts of another one"
        raise TypeError(message)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Record the prompt length; return one error completion per requested sample."""
        del on_tokens, on_answer
        tokens = await anyio.to_thread.run_sync(prompt_tokens, self._counter, request.messages)
        self.lengths.append((request, tokens))
        return [Completion("", "error", tokens, error="only measured")] * request.n

    def count_tokens(self, text: str) -> int:
        """Return the other sampler's count."""
        return self._counter.count_tokens(text)

    async def aclose(self) -> None:
        """Do nothing: the other sampler's owner closes it."""


def prompt_tokens(counter: Sampler, messages: Sequence[Message]) -> int:
    """Length of a prompt in tokens: with the chat template if the sampler knows it, else of the texts alone."""
    whole: _CountsPrompts | None = counter if hasattr(counter, "count_prompt") else None  # type: ignore[assignment]  # optional
    if whole is not None:
        return whole.count_prompt(messages)
    return sum(counter.count_tokens(message.content) for message in messages)


def evenly_spaced(instances: Sequence[Instance], most: int = MAX_INSTANCES) -> list[Instance]:
    """Return at most `most` instances, at equal distances."""
    if len(instances) <= most:
        return list(instances)
    return [instances[place * len(instances) // most] for place in range(most)]


@dataclass(frozen=True)
class PromptSettings:
    """What the stages make prompts from."""

    prompts: Prompts
    counter: Sampler
    """Counts tokens, as the run's sampler does."""
    localize: LocalizeSettings | None
    """None: file lists are given, so nothing is localized."""
    repair: RepairSettings


async def measure_prompts(
    instances: Sequence[Instance], source: Source, files: Mapping[str, Sequence[Sequence[str]]], how: PromptSettings
) -> list[PromptLength]:
    """Measure the prompts that localization and repair would send. The order of files does not change a length.

    Args:
        instances: Whose prompts.
        source: Has their repositories.
        files: File lists by instance id. There is one repair prompt for each list, in this order.
        how: What the stages make prompts from.

    Raises:
        SourceError: A repository cannot be had.
    """
    lengths: list[PromptLength] = []
    for instance in instances:
        snapshot = await source.snapshot(instance)
        lengths += await _measure_instance(instance, snapshot, files.get(instance.instance_id, ()), how)
    return lengths


async def _measure_instance(
    instance: Instance, snapshot: Snapshot, lists: Sequence[Sequence[str]], how: PromptSettings
) -> list[PromptLength]:
    sampler = MeasuringSampler(how.counter)
    with tempfile.TemporaryDirectory() as folder:
        journal: Journal[Sample] = Journal(
            Path(folder) / "samples.jsonl", Sample, lambda sample: (sample.instance_id, sample.stage, sample.index)
        )
        journal.open_for_writing()
        context = SamplingContext(sampler, journal, RequestQueue(1), Progress(), 1.0, 1.0, 1, 0)
        if how.localize is not None:
            await localize(instance, snapshot, context, how.prompts, replace(how.localize, samples=1))
        localization = Localization(instance.instance_id, tuple(map(tuple, lists)), "preflight")
        settings = replace(how.repair, samples=max(1, len(localization.file_lists)))
        await repair(Issue(instance, snapshot, localization), context, how.prompts, settings, ignore)
        lengths = []
        for request, tokens in sampler.lengths:
            sample = journal.get((request.instance_id, request.stage, request.indices[0]))
            shown = set(sample.files) if sample is not None else set()
            left_out = _left_out(localization, shown, snapshot) if shown else ()
            lengths.append(PromptLength(request.instance_id, request.stage, tokens, left_out))
        journal.close()
    return lengths


def _left_out(localization: Localization, shown: set[str], snapshot: Snapshot) -> tuple[str, ...]:
    """Return the existing files of the list that a prompt was made from that the prompt does not show."""
    existing = set(snapshot.paths())
    candidates = [[path for path in files if path in existing] for files in localization.file_lists]
    listed = next((files for files in candidates if shown <= set(files)), [])
    return tuple(path for path in listed if path not in shown)
