"""Writes scripts that tell whether the issue is still there (SWE-RL, section 2.2; not released by its authors).

The model names one existing test file as a guide and writes M scripts. Each runs on the original code; those that
reproduce the issue there are kept, vote by their normal form, and the top K are used on candidates.
"""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from swerl_eval.core.answers.listings import parse_paths
from swerl_eval.core.answers.script_blocks import script_in
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.codings import legible, sendable
from swerl_eval.core.context import is_test_path, tree_text
from swerl_eval.core.diffs import sha256
from swerl_eval.core.pysource import canonical_tree, parse
from swerl_eval.core.types import Outcome, ReproductionTest, Sample
from swerl_eval.prompts import GUIDE, REPRODUCE, Prompts
from swerl_eval.stages.localize import chat
from swerl_eval.stages.run_tests import TestRunner, TestTarget
from swerl_eval.stages.sampling import Prompt, SamplingContext, sample_answers

GUIDE_STAGE = "guide"
STAGE = "reproduce"


@dataclass(frozen=True)
class ReproduceSettings:
    """How reproduction tests are asked for and chosen."""

    samples: int
    """Scripts generated (M)."""
    keep: int
    """Scripts used on candidates (K); 0 turns the stage off."""
    max_input_tokens: int
    thinking: bool

    @property
    def wanted(self) -> int:
        """Scripts of an instance: none where the stage is off."""
        return self.samples if self.keep else 0


async def guide_file(
    target: TestTarget, sampling: SamplingContext, prompts: Prompts, settings: ReproduceSettings
) -> str | None:
    """Return the test file that the model names as the closest one; None when it does not exist or is too long."""
    instance, snapshot = target.instance, target.snapshot
    tests = [path for path in snapshot.paths() if path.endswith(".py") and is_test_path(path)]
    if not tests:
        return None
    question = prompts.render(GUIDE, problem_statement=instance.problem_statement, tree=tree_text(tests))
    samples = await sample_answers(
        sampling.greedy,
        instance.instance_id,
        GUIDE_STAGE,
        [Prompt(chat(question, prompts, thinking=settings.thinking))],
    )
    solution = solution_of(samples[0].completion, thinking=settings.thinking)
    named, _ = parse_paths(solution or "", frozenset(tests), 1)
    if not named or sampling.sampler.count_tokens(snapshot.read(named[0]) or "") > settings.max_input_tokens:
        return None
    return named[0]


async def reproduce(
    target: TestTarget,
    guide: str | None,
    sampling: SamplingContext,
    prompts: Prompts,
    settings: ReproduceSettings,
    test_runner: TestRunner,
) -> list[ReproductionTest]:
    """Return all scripts, each with its outcome on the original code; those that are run on candidates have a rank."""
    instance, snapshot = target.instance, target.snapshot
    text = sendable(legible(snapshot.read(guide) or "")) if guide else ""
    question = prompts.render(REPRODUCE, problem_statement=instance.problem_statement, guide=guide or "", text=text)
    prompt = Prompt(chat(question, prompts, thinking=settings.thinking), (guide,) if guide else ())
    samples = await sample_answers(sampling, instance.instance_id, STAGE, [prompt] * settings.samples)
    tests = [read_script(sample, thinking=settings.thinking) for sample in samples]
    # one run for each normal form, since equal scripts do the same
    first = {test.normal_form: test for test in reversed(tests) if test.script}
    outcomes = await test_runner.run_scripts(target, {test.index: test.script for test in first.values()})
    run = [
        dataclasses.replace(test, outcome=outcomes[first[test.normal_form].index]) if test.script else test
        for test in tests
    ]
    return rank(run, settings.keep)


def read_script(sample: Sample, *, thinking: bool) -> ReproductionTest:
    """Return the script of an answer, empty when there is none. `thinking`: whether the run asks for thinking."""
    script = script_in(solution_of(sample.completion, thinking=thinking) or "")
    if not script:
        return ReproductionTest(sample.instance_id, sample.index, "", "", Outcome.UNCLEAR)
    return ReproductionTest(sample.instance_id, sample.index, script, sha256(normal_form(script)), Outcome.NOT_RUN)


def normal_form(script: str) -> str:
    """Return a script without comments and docstrings, its functions named by their order."""
    tree = parse(script)
    if tree is None:
        return script
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    renamed = {name: f"function_{number}" for number, name in enumerate(names)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in renamed:
            node.name = renamed[node.name]
        elif isinstance(node, ast.Name) and node.id in renamed:
            node.id = renamed[node.id]
    return canonical_tree(tree)


def rank(tests: Sequence[ReproductionTest], keep: int) -> list[ReproductionTest]:
    """Return the tests with their votes. The first script of each of the `keep` most frequent forms has a rank."""
    kept = [test for test in tests if test.outcome is Outcome.REPRODUCED]
    votes = Counter(test.normal_form for test in kept)
    first: dict[str, int] = {}
    for test in kept:
        first.setdefault(test.normal_form, test.index)
    order = sorted(first, key=lambda form: (-votes[form], first[form]))[:keep]
    ranks = {first[form]: place for place, form in enumerate(order)}
    return [
        dataclasses.replace(
            test,
            votes=votes[test.normal_form] if test.outcome is Outcome.REPRODUCED else 0,
            rank=ranks.get(test.index),
        )
        for test in tests
    ]
