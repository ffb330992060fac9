"""How long the prompts at hand are, before hours are spent: made by the stages themselves, sent to nobody."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread

from swerl_eval.core.types import Completion, Instance, Localization, Message, Sample, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, SamplerSettings, Snapshot, Source, unheard
from swerl_eval.progress import Progress
from swerl_eval.prompts import Prompts
from swerl_eval.records.journal import Journal
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.localize import LocalizeSettings, localize
from swerl_eval.stages.repair import Issue, RepairSettings, repair
from swerl_eval.stages.sampling import SamplingContext

MOST = 100
"""Instances whose prompts are made; of more, as many are picked at equal distances."""


@dataclass(frozen=True)
class Length:
    """One prompt."""

    instance_id: str
    stage: str
    tokens: int
    left_out: tuple[str, ...] = ()
    """Files of its list that the budget for files kept away."""


class _CountsPrompts(Protocol):
    def count_prompt(self, messages: Sequence[Message]) -> int: ...


class Measuring:
    """A `ports.Sampler` that notes how long each prompt is and answers nothing. It counts as another one does."""

    recorded = True

    def __init__(self, counter: Sampler) -> None:
        self._counter = counter
        self.lengths: list[tuple[SampleRequest, int]] = []

    @classmethod
    def open(cls, settings: SamplerSettings) -> Measuring:
        """It is made from another sampler, not from settings."""
        del settings
        message = "this sampler only measures, with the counts of another one"
        raise TypeError(message)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """An error for each."""
        del on_tokens, on_answer
        tokens = await anyio.to_thread.run_sync(prompt_tokens, self._counter, request.messages)
        self.lengths.append((request, tokens))
        return [Completion("", "error", tokens, error="only measured")] * request.n

    def count_tokens(self, text: str) -> int:
        """The other's count."""
        return self._counter.count_tokens(text)

    async def aclose(self) -> None:
        """The other is its owner's to close."""


def prompt_tokens(counter: Sampler, messages: Sequence[Message]) -> int:
    """Of a whole prompt: in the model's chat template where the sampler knows it, else of the texts alone."""
    whole: _CountsPrompts | None = counter if hasattr(counter, "count_prompt") else None  # type: ignore[assignment]  # optional
    if whole is not None:
        return whole.count_prompt(messages)
    return sum(counter.count_tokens(message.content) for message in messages)


def spread(instances: Sequence[Instance], most: int = MOST) -> list[Instance]:
    """At most so many, at equal distances."""
    if len(instances) <= most:
        return list(instances)
    return [instances[place * len(instances) // most] for place in range(most)]


@dataclass(frozen=True)
class Asking:
    """How the stages would ask."""

    prompts: Prompts
    counter: Sampler
    localize: LocalizeSettings | None
    """None: files are given, nothing is localized."""
    repair: RepairSettings


async def measure(
    instances: Sequence[Instance], source: Source, files: Mapping[str, Sequence[Sequence[str]]], asking: Asking
) -> list[Length]:
    """The prompts that localization and repair would send for these file lists: one for each list, in its order.

    The order of files within a prompt does not change its length. Raises `SourceError` for a repository that cannot
    be had.
    """
    found: list[Length] = []
    for instance in instances:
        snapshot = await source.snapshot(instance)
        found += await _lengths(instance, snapshot, files.get(instance.instance_id, ()), asking)
    return found


async def _lengths(
    instance: Instance, snapshot: Snapshot, lists: Sequence[Sequence[str]], asking: Asking
) -> list[Length]:
    sampler = Measuring(asking.counter)
    with tempfile.TemporaryDirectory() as folder:
        journal: Journal[Sample] = Journal(
            Path(folder) / "samples.jsonl", Sample, lambda sample: (sample.instance_id, sample.stage, sample.index)
        )
        journal.open_for_writing()
        drawing = SamplingContext(sampler, journal, RequestQueue(1), Progress(), 1.0, 1.0, 1, 0)
        if asking.localize is not None:
            await localize(instance, snapshot, drawing, asking.prompts, replace(asking.localize, samples=1))
        localization = Localization(instance.instance_id, tuple(map(tuple, lists)), "preflight")
        settings = replace(asking.repair, samples=max(1, len(localization.file_lists)))
        issue = Issue(instance, snapshot, localization)
        await repair(issue, drawing, asking.prompts, settings, lambda candidates: None)
        lengths = []
        for request, tokens in sampler.lengths:
            sample = journal.get((request.instance_id, request.stage, request.indices[0]))
            shown = set(sample.files) if sample is not None else set()
            left_out = _left_out(localization, shown, snapshot) if shown else ()
            lengths.append(Length(request.instance_id, request.stage, tokens, left_out))
        journal.close()
    return lengths


def _left_out(localization: Localization, shown: set[str], snapshot: Snapshot) -> tuple[str, ...]:
    """Of the list that a prompt was made from, the files that exist and are not shown."""
    existing = set(snapshot.paths())
    candidates = [[path for path in files if path in existing] for files in localization.file_lists]
    listed = next((files for files in candidates if shown <= set(files)), [])
    return tuple(path for path in listed if path not in shown)
