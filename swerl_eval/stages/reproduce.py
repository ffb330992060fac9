"""Stage 3: scripts that tell whether the issue is still there (SWE-RL, section 2.2; never released by its authors).

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
from swerl_eval.stages.sampling import Prompt, SamplingContext, draw

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
    subject: TestTarget, drawing: SamplingContext, prompts: Prompts, settings: ReproduceSettings
) -> str | None:
    """The existing test file that the model names as the closest one, if it exists and fits the prompt."""
    instance, snapshot = subject.instance, subject.snapshot
    tests = [path for path in snapshot.paths() if path.endswith(".py") and is_test_path(path)]
    if not tests:
        return None
    question = prompts.render(GUIDE, problem_statement=instance.problem_statement, tree=tree_text(tests))
    greedy = dataclasses.replace(drawing, temperature=0.0)
    samples = await draw(
        greedy, instance.instance_id, GUIDE_STAGE, [Prompt(chat(question, prompts, thinking=settings.thinking))]
    )
    solution = solution_of(samples[0].completion, thinking=settings.thinking)
    found, _ = parse_paths(solution or "", frozenset(tests), 1)
    if not found or drawing.sampler.count_tokens(snapshot.read(found[0]) or "") > settings.max_input_tokens:
        return None
    return found[0]


async def reproduce(
    subject: TestTarget,
    guide: str | None,
    drawing: SamplingContext,
    prompts: Prompts,
    settings: ReproduceSettings,
    examiner: TestRunner,
) -> list[ReproductionTest]:
    """All scripts, each with what it did on the original code; the kept ones ranked."""
    instance, snapshot = subject.instance, subject.snapshot
    text = sendable(legible(snapshot.read(guide) or "")) if guide else ""
    question = prompts.render(REPRODUCE, problem_statement=instance.problem_statement, guide=guide or "", text=text)
    prompt = Prompt(chat(question, prompts, thinking=settings.thinking), (guide,) if guide else ())
    samples = await draw(drawing, instance.instance_id, STAGE, [prompt] * settings.samples)
    tests = [read_script(sample, thinking=settings.thinking) for sample in samples]
    # one run for each normal form: equal scripts do the same
    first = {test.normal_form: test for test in reversed(tests) if test.script}
    outcomes = await examiner.run_scripts(subject, {test.index: test.script for test in first.values()})
    seen = [
        dataclasses.replace(test, outcome=outcomes[first[test.normal_form].index]) if test.script else test
        for test in tests
    ]
    return rank(seen, settings.keep)


def read_script(sample: Sample, *, thinking: bool) -> ReproductionTest:
    """The script of an answer, or none where its solution holds none; `thinking` says whether that was asked for."""
    script = script_in(solution_of(sample.completion, thinking=thinking) or "")
    if not script:
        return ReproductionTest(sample.instance_id, sample.index, "", "", Outcome.UNCLEAR)
    return ReproductionTest(sample.instance_id, sample.index, script, sha256(normal_form(script)), Outcome.NOT_RUN)


def normal_form(script: str) -> str:
    """Without comments and docstrings, and with functions that only differ in name named alike."""
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
    """The same tests; of those that reproduce the issue, the first of each of the top normal forms has a rank."""
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
