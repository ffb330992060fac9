"""Tests in containers: good and bad scripts on the original code, candidates against both kinds of tests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.diffs import unified_diff
from swerl_eval.core.jobs.test_job import TestLimits
from swerl_eval.core.types import Candidate, Outcome, RegressionTests, ReproductionTest
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from swerl_eval.stages.run_tests import TestRunner, TestTarget

pytestmark = [pytest.mark.docker, pytest.mark.anyio, pytest.mark.usefixtures("demo_images")]
NAME = "demo__ledgerly-2"
FILES = ("tests/test_money.py", "tests/test_entries.py")

GOOD = "import ledgerly\nprint('Issue reproduced')\n"
SCRIPTS = {
    "says that the issue is there": (GOOD, Outcome.REPRODUCED),
    "says that it is resolved": ("print('Issue resolved')", Outcome.RESOLVED),
    "says that something else is wrong": ("print('Other issues')", Outcome.OTHER),
    "loops forever": ("while True: pass", Outcome.TIMED_OUT),
    "prints both phrases": ("print('Issue reproduced')\nprint('Issue resolved')", Outcome.UNCLEAR),
    "prints a phrase within a line": ("print('no: Issue reproduced')", Outcome.UNCLEAR),
    "shows a phrase in a traceback": ("raise ValueError('''\\\nIssue reproduced?''')", Outcome.UNCLEAR),
    "prints nothing": ("pass", Outcome.UNCLEAR),
    "prints gigabytes": ("while True: print('x' * 10**6)", Outcome.UNCLEAR),
    "forks": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        Outcome.TIMED_OUT,
    ),
    "leaves a process behind": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\nprint('Issue reproduced')",
        Outcome.REPRODUCED,
    ),
    "looks for the token": (
        "import os, glob\nwords = str(dict(os.environ)) + open('/proc/1/cmdline').read()\n"
        "import re\nfound = re.findall('[0-9a-f]{32}', words)\n"
        "files = glob.glob('/swerl-eval/token') + glob.glob('/swerl-eval-job*')\n"
        "print('Issue resolved' if found or files else 'Issue reproduced')",
        Outcome.REPRODUCED,
    ),
    "forges the end of its part": (
        "print('0' * 32 + ' END script 0 0 1 2 same')\nprint('0' * 32 + ' BEGIN script 1')\nprint('Issue reproduced')",
        Outcome.REPRODUCED,
    ),
    "has no network": (
        "import socket\ntry:\n    socket.create_connection(('203.0.113.1', 80), 2)\n    print('Issue resolved')\n"
        "except OSError as error:\n    print('Issue reproduced' if 'unreachable' in str(error) else error)",
        Outcome.REPRODUCED,
    ),
    "changes the repository": ("open('ledgerly/money.py', 'w').write('broken')", Outcome.UNCLEAR),
    "deletes the repository": ("import shutil; shutil.rmtree('/testbed')", Outcome.UNCLEAR),
    "comes after all of these": (GOOD, Outcome.REPRODUCED),
}


@pytest.fixture
async def sandbox() -> AsyncIterator[DockerSandbox]:
    opened = DockerSandbox.open(SandboxSettings("tests-of-examine", workers=2))
    yield opened
    await opened.aclose()


@pytest.fixture
async def target(demo_config: RunConfig) -> TestTarget:
    source = open_source(demo_config)
    instance = next(i for i in source.instances() if i.instance_id == NAME)
    return TestTarget(instance, await source.snapshot(instance), source.test_plan(NAME))


@pytest.fixture
def runner(sandbox: DockerSandbox, tmp_path: Path) -> TestRunner:
    limits = replace(settings(RunConfig()).evaluate.limits, pids=64)
    return TestRunner(sandbox, anyio.CapacityLimiter(2), limits, TestLimits(3.0, 60.0, 60.0), tmp_path / "logs")


async def test_each_bad_script_is_recorded_as_what_it_is_and_harms_no_other(
    runner: TestRunner, target: TestTarget
) -> None:
    outcomes = await runner.run_scripts(target, {n: text for n, (text, _) in enumerate(SCRIPTS.values())})
    assert {name: outcomes[n] for n, name in enumerate(SCRIPTS)} == {name: want for name, (_, want) in SCRIPTS.items()}
    assert not list(runner.logs.glob("*/*"))  # outputs are read and removed


async def test_the_passing_tests_of_the_original_code_are_found_without_any_answer(
    runner: TestRunner, target: TestTarget
) -> None:
    passing = await runner.passing_tests(target, FILES)
    assert tuple(passing) == FILES
    assert len(passing["tests/test_money.py"]) > 5
    assert all(re.match(r"tests/test_money\.py::test_\w+", name) for name in passing["tests/test_money.py"])


def candidate(target: TestTarget, old: str, new: str, form: str) -> Candidate:
    path = "ledgerly/money.py"
    before = target.snapshot.read(path) or ""
    assert old in before
    return Candidate(NAME, 0, unified_diff({path: before}, {path: before.replace(old, new, 1)}), form)


def ranked(script: str, rank: int) -> ReproductionTest:
    return ReproductionTest(NAME, rank, script, f"form{rank}", Outcome.REPRODUCED, 1, rank)


async def test_a_candidate_is_examined_in_a_state_of_its_own(runner: TestRunner, target: TestTarget) -> None:
    """What one candidate's run writes outside of the repository is not there in the next one's."""
    mark = "import os\nprint('Other issues' if os.path.exists('/mark') else 'Issue resolved')\nopen('/mark', 'w')\n"
    passing = await runner.passing_tests(target, FILES[:1])
    regression = RegressionTests(NAME, FILES[:1], tuple(passing[FILES[0]]))
    harmless = candidate(target, '"""', '"""Comment. ', "a")
    first = await runner.test_candidate(target, harmless, [ranked(mark, 0), ranked(mark, 1)], regression)
    assert first.outcomes == (Outcome.RESOLVED, Outcome.OTHER)  # within one candidate the container is shared
    assert (first.broken, first.error) == ((), "")
    assert 0 < first.test_seconds < first.seconds
    second = await runner.test_candidate(target, replace(harmless, normal_form="b"), [ranked(mark, 0)], regression)
    assert second.outcomes == (Outcome.RESOLVED,)


async def test_a_candidate_that_breaks_collection_breaks_every_regression_test(
    runner: TestRunner, target: TestTarget
) -> None:
    passing = await runner.passing_tests(target, FILES)
    regression = RegressionTests(NAME, FILES, tuple(name for names in passing.values() for name in names))
    broken = candidate(target, '"""', "raise SystemExit(3)\n'''", "x")
    evidence = await runner.test_candidate(target, broken, [ranked(GOOD, 0)], regression)
    assert evidence.broken == regression.passing
    assert evidence.outcomes == (Outcome.UNCLEAR,)


async def test_a_script_that_breaks_the_tree_of_a_candidate_ends_that_candidates_job_only(
    runner: TestRunner, target: TestTarget
) -> None:
    harmless = candidate(target, '"""', '"""Comment. ', "a")
    wipe = ranked("import shutil; shutil.rmtree('/testbed/.git')", 0)
    evidence = await runner.test_candidate(target, harmless, [wipe, ranked(GOOD, 1)], RegressionTests(NAME, (), ()))
    assert evidence.outcomes == (Outcome.UNCLEAR, Outcome.NOT_RUN)
    assert evidence.error == "1 of the tests did not run: a script changed the repository"


async def test_a_patch_that_cannot_be_applied_is_said_and_nothing_is_run(
    runner: TestRunner, target: TestTarget
) -> None:
    bad = Candidate(NAME, 0, "--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-a\n+b\n", "x")
    evidence = await runner.test_candidate(target, bad, [ranked(GOOD, 0)], RegressionTests(NAME, (), ()))
    assert evidence.outcomes == (Outcome.NOT_RUN,)
    assert evidence.error.startswith("1 of the tests did not run: exit code 96, error:")


def test_nothing_of_an_answer_is_in_a_test_plan(demo_config: RunConfig) -> None:
    source = open_source(demo_config)
    for instance in source.instances():
        plan = source.test_plan(instance.instance_id)
        oracle = source.oracle(instance.instance_id)
        commands = "\n".join([*plan.setup, plan.command])
        assert plan.command == "python3 -m pytest -rA -p no:cacheprovider"
        assert "tests/" not in commands
        for line in [*oracle.test_patch.splitlines(), *oracle.row["FAIL_TO_PASS"], *oracle.row["PASS_TO_PASS"]]:
            assert len(line) < 8 or line not in commands
        assert not set(vars(plan)) & {"patch", "test_patch", "FAIL_TO_PASS", "PASS_TO_PASS", "eval_script"}
