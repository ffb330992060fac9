"""Chooses the files that are likely to need the change (SWE-RL, section 2.2: files only)."""

from __future__ import annotations

import random
from dataclasses import dataclass

from swerl_eval.core.answers.listings import parse_paths
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.codings import sendable
from swerl_eval.core.context import source_paths, tree_text
from swerl_eval.core.types import Instance, Localization, Message, Sample
from swerl_eval.ports import Snapshot
from swerl_eval.prompts import LOCALIZE, THINKING_SYSTEM, Prompts
from swerl_eval.stages.sampling import Prompt, SamplingContext, sample_answers, seed_for

STAGE = "localize"


@dataclass(frozen=True)
class LocalizeSettings:
    """How files are asked for."""

    samples: int
    max_files: int
    thinking: bool


async def localize(
    instance: Instance, snapshot: Snapshot, sampling: SamplingContext, prompts: Prompts, settings: LocalizeSettings
) -> Localization:
    """Return the unique lists of existing files that the model's answers name, in the order of the answers."""
    tree = source_paths(snapshot.paths(), instance.repo)
    asked = [_prompt(instance, tree, index, sampling.seed, prompts, settings) for index in range(settings.samples)]
    samples = await sample_answers(sampling, instance.instance_id, STAGE, asked)
    return read_lists(instance.instance_id, samples, frozenset(snapshot.paths()), settings)


def _prompt(
    instance: Instance, tree: list[str], index: int, seed: int, prompts: Prompts, settings: LocalizeSettings
) -> Prompt:
    """Return a prompt. With several samples the tree's order and indent and the number of files vary."""
    rng = random.Random(seed_for(seed, instance.instance_id, f"{STAGE}/{index}"))
    several = settings.samples > 1
    limit = rng.randint(min(2, settings.max_files), settings.max_files) if several else settings.max_files
    text = tree_text(tree, rng.choice([2, 4]), rng) if several else tree_text(tree)
    # a file name that is not UTF-8 cannot be sent, and no answer can name it
    tree_sent = sendable(text)
    question = prompts.render(LOCALIZE, problem_statement=instance.problem_statement, tree=tree_sent, limit=limit)
    return Prompt(chat(question, prompts, thinking=settings.thinking))


def chat(question: str, prompts: Prompts, *, thinking: bool) -> tuple[Message, ...]:
    """Return the messages of one question, with the system prompt for thinking when that is asked for."""
    system = (Message("system", prompts.render(THINKING_SYSTEM)),) if thinking else ()
    return (*system, Message("user", question))


def read_lists(
    instance_id: str, samples: list[Sample], known: frozenset[str], settings: LocalizeSettings
) -> Localization:
    """Return the files that the answers name and that exist."""
    lists: list[tuple[str, ...]] = []
    ignored: list[str] = []
    for sample in samples:
        solution = solution_of(sample.completion, thinking=settings.thinking)
        named, missing = parse_paths(solution or "", known, settings.max_files)
        ignored += missing
        if named and tuple(named) not in lists:
            lists.append(tuple(named))
    return Localization(instance_id, tuple(lists), "model", tuple(dict.fromkeys(ignored)))
