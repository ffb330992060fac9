"""Chooses the repository's own tests that a fix has to keep, without any answer.

The test files are the guide of the reproduction tests and those that belong to the modules which candidates edit. Of
their tests, those count that pass on the original code, except those whose behaviour, the model says, the fix changes.
"""

from __future__ import annotations

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
from swerl_eval.stages.sampling import Prompt, SamplingContext, sample_answers

STAGE = "regress"
MOST_NAMES = 400
"""Passing tests that are shown to the model; a list of thousands is not worth its prompt."""


@dataclass(frozen=True)
class RegressSettings:
    """How regression tests are chosen."""

    enabled: bool
    max_files: int
    thinking: bool


async def regress(
    target: TestTarget,
    files: Sequence[str],
    sampling: SamplingContext,
    prompts: Prompts,
    settings: RegressSettings,
    test_runner: TestRunner,
) -> RegressionTests:
    """Return the tests of some files that pass on the original code, except those that the fix should change."""
    instance = target.instance
    if not files:
        return RegressionTests(instance.instance_id, (), (), note="no test file belongs to the edited modules")
    passing = await test_runner.passing_tests(target, files)
    names = [name for passing_in_file in passing.values() for name in passing_in_file]
    if not names:
        return RegressionTests(instance.instance_id, (), (), note="no test passes on the original code")
    excluded = await _excluded(instance, names[:MOST_NAMES], sampling, prompts, settings)
    return RegressionTests(
        instance.instance_id,
        tuple(passing),
        tuple(name for name in dict.fromkeys(names) if name not in excluded),
        tuple(name for name in dict.fromkeys(names) if name in excluded),
        note=f"{len(files) - len(passing)} files were beyond the time budget" if len(passing) < len(files) else "",
    )


async def _excluded(
    instance: Instance, names: list[str], sampling: SamplingContext, prompts: Prompts, settings: RegressSettings
) -> frozenset[str]:
    """Return the passing tests that a right fix breaks, as the model says."""
    question = prompts.render(REGRESS, problem_statement=instance.problem_statement, tests="\n".join(names))
    samples = await sample_answers(
        sampling.greedy, instance.instance_id, STAGE, [Prompt(chat(question, prompts, thinking=settings.thinking))]
    )
    return parse_names(solution_of(samples[0].completion, thinking=settings.thinking) or "", names)


def files_to_run(paths: Iterable[str], candidates: Sequence[Candidate], guide: str | None, most: int) -> list[str]:
    """Return at most `most` test files: the guide, then those that belong to the modules edited most often.

    A test file belongs to a module when its name contains the module's (`test_units.py` and `units.py`); those nearest
    in the tree come first. When none does, the test files in the nearest test folder belong to it.
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
    """Return how many folders the two paths have in common at their beginning."""
    count = 0
    for one, other in zip(module.split("/")[:-1], test.split("/")[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count
