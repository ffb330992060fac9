from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import ImageMissingError
from swerl_eval.core.jobs.control_run import CONTROL, CONTROL_FILE
from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, PATCH_FILE, TOKEN_FILE
from swerl_eval.core.types import Evaluation, Job, JobResult, Machine, Oracle, Verdict
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.official import specification
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply

pytestmark = pytest.mark.anyio
NAME = "demo__ledgerly-2"
PATCH = "diff --git a/ledgerly/money.py b/ledgerly/money.py\n--- a/ledgerly/money.py\n+++ b/ledgerly/money.py\n"
SETTINGS = settings(RunConfig(timeout=60)).evaluate
Answer = Callable[[Job], Reply]


@pytest.fixture
def run(demo_config: RunConfig, tmp_path: Path) -> EvaluationRun:
    source = open_source(demo_config)
    instance = next(each for each in source.instances() if each.instance_id == NAME)
    return EvaluationRun(instance, source.oracle(NAME), PATCH, tmp_path / "logs")


def log_of(oracle: Oracle, status: str, *more: str) -> bytes:
    tests = specification.grading_inputs(oracle.row)
    names = [*tests["FAIL_TO_PASS"], *tests["PASS_TO_PASS"]]
    lines = ["+ : '>>>>> Start Test Output'", *(f"{status} {name}" for name in names), *more]
    return "\n".join([*lines, "+ : '>>>>> End Test Output'", ""]).encode()


def controlled(job: Job) -> bool:
    return any(path == CONTROL_FILE for path, _ in job.files)


def of_gold(job: Job, oracle: Oracle) -> bool:
    return dict(job.files)[PATCH_FILE] == oracle.patch.encode()


def control_reply(job: Job, log: bytes, exit_code: int) -> Reply:
    token = dict(job.files)[TOKEN_FILE].decode().strip()
    begun = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
    return Reply(begun + log + f"\n{token} {CONTROL} {exit_code} 2.0\n".encode(), seconds=0.0)


def passing(oracle: Oracle) -> Answer:
    """Every graded test passes, and fails in the control run."""

    def reply(job: Job) -> Reply:
        if controlled(job):
            return control_reply(job, log_of(oracle, "FAILED"), 1)
        return evaluation_reply(job, log_of(oracle, "PASSED"))

    return reply


def fresh(run: EvaluationRun, name: str = "again") -> EvaluationRun:
    """The same with another folder for its logs."""
    return replace(run, logs=run.logs.parent / name)


class Machines:
    """One cache, and a new sandbox for each evaluation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = ScriptedSandbox()

    async def evaluate(
        self,
        run: EvaluationRun,
        answer: Answer,
        how: EvaluateSettings = SETTINGS,
        sandbox: ScriptedSandbox | None = None,
    ) -> Evaluation:
        """As the pipeline does; the jobs that it took are in `jobs`."""
        self.sandbox = sandbox or ScriptedSandbox(answer)
        cached = CachedEvaluator(Evaluator(self.sandbox, how), VerdictCache(self.folder))
        known = await cached.lookup(run)
        return known.whole or await cached.evaluate(run, known)

    @property
    def jobs(self) -> list[Job]:
        return self.sandbox.jobs


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path / "cache")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_an_unchanged_pair_is_never_run_twice_and_leaves_the_same_record_and_files(
    machines: Machines, run: EvaluationRun
) -> None:
    first = await machines.evaluate(run, passing(run.oracle))
    assert (first.verdict, first.strict, len(machines.jobs)) == (Verdict.RESOLVED, Verdict.RESOLVED, 2)
    again = await machines.evaluate(fresh(run), passing(run.oracle))
    assert machines.jobs == []
    assert again == first
    assert files(fresh(run).logs) == files(run.logs)
    assert {"patch.diff", "eval.sh", "test_output.txt", "run_instance.log", "report.json"} < files(run.logs).keys()


async def test_without_a_cache_every_patch_is_run(run: EvaluationRun) -> None:
    for _ in range(2):
        sandbox = ScriptedSandbox(passing(run.oracle))
        cached = CachedEvaluator(Evaluator(sandbox, SETTINGS), None)
        known = await cached.lookup(run)
        assert known.whole is None
        assert (await cached.evaluate(run, known)).resolved
        assert len(sandbox.jobs) == 2


async def test_a_verdict_known_without_its_strict_part_takes_only_the_control_run(
    machines: Machines, run: EvaluationRun
) -> None:
    official = await machines.evaluate(run, passing(run.oracle), replace(SETTINGS, strict=False))
    assert (official.strict, len(machines.jobs)) == (None, 1)
    whole = await machines.evaluate(fresh(run), passing(run.oracle))
    assert [controlled(job) for job in machines.jobs] == [True]
    assert whole == replace(official, strict=Verdict.RESOLVED)
    assert (fresh(run).logs / "report.json").exists()


async def test_a_strict_verdict_that_was_not_asked_for_is_not_given(machines: Machines, run: EvaluationRun) -> None:
    await machines.evaluate(run, passing(run.oracle))
    again = await machines.evaluate(fresh(run), passing(run.oracle), replace(SETTINGS, strict=False))
    assert (machines.jobs, again.strict) == ([], None)


async def test_the_gold_patchs_control_run_is_done_once_a_machine(machines: Machines, run: EvaluationRun) -> None:
    stubborn = specification.grading_inputs(run.oracle.row)["PASS_TO_PASS"][0]

    def reply(job: Job) -> Reply:
        if not controlled(job):
            return evaluation_reply(job, log_of(run.oracle, "PASSED"))
        return control_reply(job, log_of(run.oracle, "FAILED", f"XFAIL {stubborn}"), 1)

    first = await machines.evaluate(run, reply)
    assert [of_gold(job, run.oracle) for job in machines.jobs] == [False, False, True]
    other = replace(fresh(run), patch=PATCH + "@@ another\n")
    second = await machines.evaluate(other, reply)
    assert [of_gold(job, run.oracle) for job in machines.jobs] == [False, False]
    assert first.strict is second.strict is Verdict.RESOLVED
    assert second.strict_reason == "1 graded tests do not fail in the control run of the gold patch either"
    assert files(other.logs)["gold/control.json"] == files(run.logs)["gold/control.json"]


async def test_an_unresolved_and_a_failed_patch_are_known_again(machines: Machines, run: EvaluationRun) -> None:
    for patch, answer, verdict in (
        ("a\n", lambda job: evaluation_reply(job, log_of(run.oracle, "FAILED")), Verdict.UNRESOLVED),
        ("b\n", lambda job: evaluation_reply(job, b"", applied=False), Verdict.PATCH_FAILED),
    ):
        first = await machines.evaluate(replace(run, patch=patch), answer)
        again = await machines.evaluate(replace(fresh(run), patch=patch), answer)
        assert (again, first.verdict, first.strict, machines.jobs) == (first, verdict, verdict, [])


class Cut(ScriptedSandbox):
    """A sandbox whose jobs all end with something that a second run may not have."""

    def __init__(self, reply: Answer, **how: Any) -> None:
        super().__init__(reply)
        self._how = how

    async def run(self, job: Job) -> JobResult:
        return replace(await super().run(job), **self._how)


@pytest.mark.parametrize(
    "how",
    [
        {"timed_out": True},
        {"log_truncated": True},
        {"out_of_memory": True},
        {"disk_exceeded": True},
        {"image_id": "another image, under the same name since"},
    ],
)
async def test_what_ran_into_a_limit_is_run_again(
    machines: Machines, run: EvaluationRun, how: dict[str, object]
) -> None:
    for status in ("FAILED", "PASSED"):
        tried = replace(run, patch=f"{status}\n")

        def answer(job: Job, status: str = status) -> Reply:
            if controlled(job):
                return control_reply(job, log_of(run.oracle, "FAILED"), 1)
            return evaluation_reply(job, log_of(run.oracle, status))

        for _ in range(2):
            await machines.evaluate(tried, answer, sandbox=Cut(answer, **how))
            assert any(not controlled(job) for job in machines.jobs)


async def test_a_control_run_that_ran_into_a_limit_is_run_again_but_its_official_verdict_is_not(
    machines: Machines, run: EvaluationRun
) -> None:
    class Slow(ScriptedSandbox):
        async def run(self, job: Job) -> JobResult:
            return replace(await super().run(job), timed_out=controlled(job))

    for expected in ([False, True, True], [True, True]):
        found = await machines.evaluate(run, passing(run.oracle), sandbox=Slow(passing(run.oracle)))
        assert (found.strict, found.strict_reason) == (Verdict.UNRESOLVED, "it did not end in time")
        assert [controlled(job) for job in machines.jobs] == expected[: len(machines.jobs)]
        assert len(machines.jobs) == len(expected) - (1 if not of_gold(machines.jobs[-1], run.oracle) else 0)


async def test_an_environment_that_is_surely_at_fault_is_tried_again(machines: Machines, run: EvaluationRun) -> None:
    broken = log_of(run.oracle, "FAILED", "Could not resolve host: packages.example")
    for _ in range(2):
        await machines.evaluate(run, lambda job: evaluation_reply(job, broken))
        assert len(machines.jobs) == 1
    # where there is no network by configuration, there will be none
    alone = replace(SETTINGS, limits=replace(SETTINGS.limits, network="none"))
    for jobs in (1, 0):
        await machines.evaluate(run, lambda job: evaluation_reply(job, broken), alone)
        assert len(machines.jobs) == jobs


class Elsewhere(ScriptedSandbox):
    """Another machine, several machines, or another image of the same name."""

    digest, place = "scripted", Machine("scripted", "none", 1.0, 0)
    others: tuple[Machine, ...] = ()

    def machines(self) -> Sequence[Machine]:
        return [self.place, *self.others]

    async def image_id(self, image: str) -> str:
        return self.digest


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"patch": "another\n"}, {}),
        ({}, {"timeout": 61.0}),
        ({}, {"limits": replace(SETTINGS.limits, memory=2**30)}),
        ({}, {"limits": replace(SETTINGS.limits, network="none")}),
    ],
)
async def test_another_patch_or_other_limits_are_run(
    machines: Machines, run: EvaluationRun, change: dict[str, Any], other: dict[str, Any]
) -> None:
    await machines.evaluate(run, passing(run.oracle))
    await machines.evaluate(replace(run, **change), passing(run.oracle), replace(SETTINGS, **other))
    assert len(machines.jobs) == 2


@pytest.mark.parametrize(
    "column", ["eval_script", "FAIL_TO_PASS", "PASS_TO_PASS", "test_patch", "log_parser", "eval_type", "version"]
)
async def test_a_row_that_changed_is_run(machines: Machines, run: EvaluationRun, column: str) -> None:
    await machines.evaluate(run, passing(run.oracle))
    changed = {
        "eval_script": run.oracle.row["eval_script"] + "\n# another\n",
        "FAIL_TO_PASS": '["tests/test_money.py::test_x"]',
        "PASS_TO_PASS": "[]",
        "test_patch": run.oracle.test_patch + "\n",
        "log_parser": "parse_log_pytest_v2",
        "eval_type": "fail_only",
        "version": "99",
    }[column]
    test_patch = changed if column == "test_patch" else run.oracle.test_patch
    oracle = replace(run.oracle, row={**run.oracle.row, column: changed}, test_patch=test_patch)
    await machines.evaluate(replace(run, oracle=oracle), passing(oracle))
    assert not controlled(machines.jobs[0])


async def test_another_image_or_architecture_is_run(machines: Machines, run: EvaluationRun) -> None:
    await machines.evaluate(run, passing(run.oracle))
    image, machine = Elsewhere(passing(run.oracle)), Elsewhere(passing(run.oracle))
    image.digest = "sha256:2"
    machine.place = Machine("scripted", "aarch64", 1.0, 0)
    for sandbox in (image, machine):
        await machines.evaluate(run, passing(run.oracle), sandbox=sandbox)
        assert len(machines.jobs) == 2
    newer = Elsewhere(passing(run.oracle))
    newer.place = Machine("scripted 2.0", "none", 1.0, 2**40, "6.1")  # recorded, but no other condition
    await machines.evaluate(run, passing(run.oracle), sandbox=newer)
    assert machines.jobs == []


async def test_where_machines_differ_in_what_verdicts_depend_on_nothing_is_looked_up_or_stored(
    machines: Machines, run: EvaluationRun
) -> None:
    alike, different = Machine("scripted 2.0", "none", 1.0, 2**40, "6.1"), Machine("scripted", "aarch64", 1.0, 0)
    for other, jobs in ((different, 2), (alike, 2), (different, 2), (alike, 0)):
        several = Elsewhere(passing(run.oracle))
        several.others = (other,)
        await machines.evaluate(run, passing(run.oracle), sandbox=several)
        assert len(machines.jobs) == jobs


async def test_a_missing_image_is_the_verdict_of_the_evaluation(machines: Machines, run: EvaluationRun) -> None:
    class Missing(Elsewhere):
        async def image_id(self, image: str) -> str:
            message = f"{image} is not here"
            raise ImageMissingError(message)

        async def run(self, job: Job) -> JobResult:
            message = f"{job.image} is not here"
            raise ImageMissingError(message)

    found = await machines.evaluate(run, passing(run.oracle), sandbox=Missing())
    assert (found.verdict, found.strict) == (Verdict.INFRA_ERROR, Verdict.INFRA_ERROR)
    assert found.reason == f"{run.instance.image} is not here"


async def test_what_is_read_off_the_patch_is_read_anew(machines: Machines, run: EvaluationRun) -> None:
    """A rule that is added later speaks on verdicts that are known already."""
    touching = replace(run, patch="--- a/conftest.py\n+++ b/conftest.py\n@@ -1 +1 @@\n-x\n+y\n")

    def failing(job: Job) -> Reply:
        return evaluation_reply(job, log_of(run.oracle, "FAILED"))

    first = await machines.evaluate(touching, failing)
    assert first.suspicious == ("conftest.py is loaded by pytest beside the tests",)
    again = await machines.evaluate(touching, failing)
    assert (machines.jobs, again) == ([], first)
    shutil.rmtree(machines.folder)
    await machines.evaluate(touching, failing)
    assert len(machines.jobs) == 1
