"""Stage 4: the repository's own tests that a fix has to keep, found without any answer.

Which test files: the guide of the reproduction tests, and those that the modules edited by the candidates point to.
Those that pass on the original code count, but for what the model says the fix should change.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swerl_eval.core.answers.named_tests import parse_names
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.context import is_test_path
from swerl_eval.core.diffs import files_touched
from swerl_eval.core.types import Candidate, Instance, RegressionTests
from swerl_eval.prompts import REGRESS, Prompts
from swerl_eval.stages.localize import chat
from swerl_eval.stages.run_tests import TestRunner, TestTarget
from swerl_eval.stages.sampling import Prompt, SamplingContext, draw

STAGE = "regress"
MOST_NAMES = 400
"""Passing tests shown to the model; of thousands, no answer would be worth its prompt."""


@dataclass(frozen=True)
class RegressSettings:
    """How regression tests are chosen."""

    enabled: bool
    max_files: int
    thinking: bool


async def regress(
    subject: TestTarget,
    files: Sequence[str],
    drawing: SamplingContext,
    prompts: Prompts,
    settings: RegressSettings,
    examiner: TestRunner,
) -> RegressionTests:
    """The tests of some files that pass on the original code, less those that the fix should change."""
    instance = subject.instance
    if not files:
        return RegressionTests(instance.instance_id, (), (), note="no test file belongs to the edited modules")
    passing = await examiner.passing_tests(subject, files)
    names = [name for found in passing.values() for name in found]
    if not names:
        return RegressionTests(instance.instance_id, (), (), note="no test passes on the original code")
    excluded = await _excluded(instance, names[:MOST_NAMES], drawing, prompts, settings)
    return RegressionTests(
        instance.instance_id,
        tuple(passing),
        tuple(name for name in dict.fromkeys(names) if name not in excluded),
        tuple(name for name in dict.fromkeys(names) if name in excluded),
        note=f"{len(files) - len(passing)} files were beyond the time budget" if len(passing) < len(files) else "",
    )


async def _excluded(
    instance: Instance, names: list[str], drawing: SamplingContext, prompts: Prompts, settings: RegressSettings
) -> frozenset[str]:
    """Passing tests that the model says a right fix breaks."""
    question = prompts.render(REGRESS, problem_statement=instance.problem_statement, tests="\n".join(names))
    greedy = dataclasses.replace(drawing, temperature=0.0)
    samples = await draw(
        greedy, instance.instance_id, STAGE, [Prompt(chat(question, prompts, thinking=settings.thinking))]
    )
    return parse_names(solution_of(samples[0].completion, thinking=settings.thinking) or "", names)


def files_to_run(paths: Iterable[str], candidates: Sequence[Candidate], guide: str | None, most: int) -> list[str]:
    """At most `most` test files: the guide, then those that belong to the modules edited most often.

    A test belongs to a module when its name holds the module's (`test_units.py` and `units.py`), those nearest in the
    tree first; where none does, the tests in the nearest test folder.
    """
    tests = [path for path in paths if path.endswith(".py") and is_test_path(path) and _is_run(path)]
    edited = Counter(path for candidate in candidates for path in files_touched(candidate.patch))
    chosen = [guide] if guide in tests else []
    for module, _ in edited.most_common():
        if module.endswith(".py") and not is_test_path(module):
            chosen += sorted(_belonging(module, tests), key=lambda test: (-_shared(module, test), len(test), test))[
                :most
            ]
    return list(dict.fromkeys(chosen))[:most]


def _is_run(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith("test") or name.endswith("_test.py")


def _belonging(module: str, tests: list[str]) -> list[str]:
    *folders, name = module.removesuffix(".py").split("/")
    stem = folders[-1] if name in {"__init__", "base", "core", "main"} and folders else name
    wanted = stem.strip("_").lower()
    named = [test for test in tests if wanted in _words(test)]
    if named:
        return named
    near = max((_shared(module, test) for test in tests), default=0)
    return [test for test in tests if near and _shared(module, test) == near]


def _words(test: str) -> set[str]:
    *folders, name = test.removesuffix(".py").lower().split("/")
    stem = name.removeprefix("test_").removesuffix("_test")
    # Django keeps the tests of a module in a folder of its name
    return {stem, stem.strip("_"), *folders[-1:]} - {"tests", "test", "testing"}


def _shared(module: str, test: str) -> int:
    """How many folders the two have in common at their beginning."""
    count = 0
    for one, other in zip(module.split("/")[:-1], test.split("/")[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count
