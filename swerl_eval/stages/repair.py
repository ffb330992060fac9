"""Asks for patches: prompts with whole files, answers to candidates (SWE-RL, section 2.2)."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from swerl_eval.core.codings import legible, sendable
from swerl_eval.core.context import Shown, join_files, within_budget
from swerl_eval.core.types import Candidate, Instance, Localization, Sample
from swerl_eval.ports import Snapshot
from swerl_eval.prompts import REPAIR, Prompts
from swerl_eval.stages.localize import chat
from swerl_eval.stages.read_candidates import read_in_background
from swerl_eval.stages.sampling import Prompt, SamplingContext, sample_answers, seed_for

STAGE = "repair"


@dataclass(frozen=True)
class RepairSettings:
    """How patches are asked for."""

    samples: int
    max_input_tokens: int
    thinking: bool


@dataclass(frozen=True)
class Issue:
    """What is to be repaired."""

    instance: Instance
    snapshot: Snapshot
    localization: Localization

    @cached_property
    def texts(self) -> dict[str, str]:
        """The listed files that exist, by path. A list of a user may name another one, and a gold patch may add one."""
        paths = dict.fromkeys(chain.from_iterable(self.localization.file_lists))
        return {path: text for path in paths if (text := self.snapshot.read(path)) is not None}


Deliver = Callable[[list[Candidate]], None]
"""Is called with candidates as soon as their answers have come and are read."""


async def repair(
    issue: Issue, sampling: SamplingContext, prompts: Prompts, settings: RepairSettings, deliver: Deliver
) -> None:
    """Deliver one candidate, or the reason why there is none, for each sample; nothing when there is no file to show.

    Args:
        issue: The instance, its repository and its localization.
        sampling: How the run samples.
        prompts: The templates.
        settings: How many patches are asked for, and how many tokens of files a prompt may show.
        deliver: Takes the candidates as they come.
    """
    asked = repair_prompts(issue, sampling.sampler.count_tokens, prompts, settings, sampling.seed)
    if not asked:
        return
    existing = frozenset(issue.snapshot.paths())
    send, samples = anyio.create_memory_object_stream[Sample](math.inf)
    async with anyio.create_task_group() as group:
        group.start_soon(_deliver_as_they_come, samples, issue.texts, existing, deliver, settings.thinking)
        with send:
            await sample_answers(sampling, issue.instance.instance_id, STAGE, asked, send.send_nowait)


def repair_prompts(
    issue: Issue, count_tokens: Callable[[str], int], prompts: Prompts, settings: RepairSettings, seed: int
) -> list[Prompt]:
    """Return the prompt of each sample, in order; none when there is no file to show.

    Args:
        issue: The instance, its repository and its localization.
        count_tokens: Gives the length of a text in the model's tokens.
        prompts: The templates.
        settings: How many prompts are made, and how many tokens of files each may show.
        seed: What the order of the files follows from.
    """
    shown = _shown(issue.localization, issue.texts, count_tokens, settings.max_input_tokens)
    if not shown:
        return []
    # One prompt object for each order of files: 500 prompts of 60,000 tokens are 100 MB, their different orders few.
    legible_texts = {path: legible(text) for path, text in issue.texts.items()}
    prompt_for = lru_cache(maxsize=None)(lambda files: _prompt(issue.instance, legible_texts, files, prompts, settings))
    orders = [_order(shown, index, seed, issue.instance.instance_id, settings) for index in range(settings.samples)]
    return [prompt_for(files) for files in orders]


async def _deliver_as_they_come(
    samples: MemoryObjectReceiveStream[Sample],
    texts: Mapping[str, str],
    existing: Collection[str],
    deliver: Deliver,
    thinking: bool,
) -> None:
    """Read answers as they come. Those that come while others are read are read together."""
    with samples:
        async for sample in samples:
            batch = [sample]
            with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
                while True:
                    batch.append(samples.receive_nowait())
            deliver(await read_in_background(batch, texts, existing, thinking=thinking))


def _shown(
    localization: Localization, texts: Mapping[str, str], count: Callable[[str], int], budget: int
) -> list[Shown]:
    """Return the files that prompts show: the unique lists, each cut to a budget of tokens."""
    sizes = {path: count(text) for path, text in texts.items()}
    lists = dict.fromkeys(tuple(path for path in files if path in texts) for files in localization.file_lists)
    return [within_budget(files, sizes.__getitem__, budget) for files in lists if files]


def _order(shown: list[Shown], index: int, seed: int, instance_id: str, settings: RepairSettings) -> tuple[str, ...]:
    """Return the files of one sample: samples cycle over the lists, and with several samples the order varies."""
    files = list(shown[index % len(shown)].files)
    if settings.samples > 1:
        random.Random(seed_for(seed, instance_id, f"{STAGE}/{index}")).shuffle(files)
    return tuple(files)


def _prompt(
    instance: Instance,
    texts: Mapping[str, str],
    files: tuple[str, ...],
    prompts: Prompts,
    settings: RepairSettings,
) -> Prompt:
    # line ends are sent as a model writes them
    joined = sendable(join_files(files, texts.__getitem__)).replace("\r\n", "\n")
    question = prompts.render(REPAIR, problem_statement=instance.problem_statement, files=joined)
    return Prompt(chat(question, prompts, thinking=settings.thinking), files)
