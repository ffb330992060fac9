"""Verdicts where something is wrong with the row or its log: that instance's own, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.jobs.control_run import CONTROL, CONTROL_FILE
from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, TOKEN_FILE
from swerl_eval.core.types import Evaluation, Job, Verdict
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.strict import strict_verdict_from_logs
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply

pytestmark = pytest.mark.anyio
NAME = "demo__ledgerly-2"
PATCH = "diff --git a/ledgerly/money.py b/ledgerly/money.py\n--- a/ledgerly/money.py\n+++ b/ledgerly/money.py\n"


@pytest.fixture
def run(demo_config: RunConfig, tmp_path: Path) -> Callable[..., EvaluationRun]:
    source = open_source(demo_config)
    instance = next(each for each in source.instances() if each.instance_id == NAME)

    def made(**columns: object) -> EvaluationRun:
        oracle = source.oracle(NAME)
        oracle = replace(oracle, row={**oracle.row, **columns})
        return EvaluationRun(instance, oracle, PATCH, tmp_path / "logs")

    return made


def log(*lines: str) -> bytes:
    return "\n".join(["+ : '>>>>> Start Test Output'", *lines, "+ : '>>>>> End Test Output'", ""]).encode()


def controlled(job: Job) -> bool:
    return any(path == CONTROL_FILE for path, _ in job.files)


async def verdict_on(run: EvaluationRun, reply: Callable[[Job], Reply]) -> tuple[Evaluation, ScriptedSandbox]:
    sandbox = ScriptedSandbox(reply)
    evaluator = Evaluator(sandbox, settings(RunConfig(timeout=60)).evaluate)
    return await evaluator.evaluate(run), sandbox


async def test_a_row_that_swebench_cannot_make_a_specification_of_is_no_verdict_on_the_patch(
    run: Callable[..., EvaluationRun], tmp_path: Path
) -> None:
    broken = run(image_assets="{not JSON")
    found, sandbox = await verdict_on(broken, lambda job: evaluation_reply(job, b""))
    assert (found.verdict, found.strict, sandbox.jobs) == (Verdict.INFRA_ERROR, Verdict.INFRA_ERROR, [])
    assert "cannot make a specification of the row: JSONDecodeError" in found.reason
    cached = CachedEvaluator(
        Evaluator(sandbox, settings(RunConfig(timeout=60)).evaluate), VerdictCache(tmp_path / "verdicts")
    )
    known = await cached.lookup(broken)
    assert known.whole is None
    assert await cached.evaluate(broken, known) == found


DJANGO = {"log_parser": "parse_log_django", "FAIL_TO_PASS": ["test_x (a.T)"], "PASS_TO_PASS": []}
"""Its parser raises where a line of the log is `FAIL:` alone."""


async def test_a_log_that_swebench_cannot_grade_is_unresolved_with_the_reason_and_without_a_report(
    run: Callable[..., EvaluationRun],
) -> None:
    found, _ = await verdict_on(run(**DJANGO), lambda job: evaluation_reply(job, log("test_x (a.T) ... ok", "FAIL:")))
    assert (found.verdict, found.strict, found.report) == (Verdict.UNRESOLVED, Verdict.UNRESOLVED, None)
    assert "cannot grade test_output.txt: IndexError" in found.reason
    assert (found.image_id, found.prevented) == ("scripted", "")


async def test_a_control_run_that_swebench_cannot_read_bears_out_nothing(run: Callable[..., EvaluationRun]) -> None:
    def reply(job: Job) -> Reply:
        if not controlled(job):
            return evaluation_reply(job, log("test_x (a.T) ... ok"))
        token = dict(job.files)[TOKEN_FILE].decode().strip()
        begun = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
        return Reply(begun + log("FAIL:") + f"\n{token} {CONTROL} 1 2.0\n".encode())

    found, _ = await verdict_on(run(**DJANGO), reply)
    assert (found.verdict, found.strict) == (Verdict.RESOLVED, Verdict.UNRESOLVED)
    assert "cannot read control_output.txt: IndexError" in found.strict_reason


async def test_a_row_without_deciding_tests_is_strictly_unresolved_and_runs_no_control(
    run: Callable[..., EvaluationRun],
) -> None:
    empty = run(FAIL_TO_PASS=[], PASS_TO_PASS=[])
    found, sandbox = await verdict_on(empty, lambda job: evaluation_reply(job, log("PASSED tests/test_x.py::test_x")))
    assert (found.verdict, found.strict) == (Verdict.RESOLVED, Verdict.UNRESOLVED)
    assert found.strict_reason == "the row names no test, so nothing can bear the verdict out"
    assert len(sandbox.jobs) == 1
    assert strict_verdict_from_logs(empty, replace(found, strict=None)) == found


async def test_an_unresolved_patch_without_results_says_why(run: Callable[..., EvaluationRun]) -> None:
    found, _ = await verdict_on(run(), lambda job: evaluation_reply(job, b"no tests ran\n"))
    assert (found.verdict, found.reason) == (Verdict.UNRESOLVED, "")
    assert found.remark == (
        "no test results: the log has no '>>>>> Start Test Output', which the eval script should print; "
        "swebench's reason: no_tests_collected"
    )


async def test_a_script_that_prints_nothing_at_all_is_unresolved_as_officially(
    run: Callable[..., EvaluationRun],
) -> None:
    def reply(job: Job) -> Reply:
        token = dict(job.files)[TOKEN_FILE].decode().strip()
        return Reply(f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n{token} ENDED 0 2.0\n".encode())

    found, _ = await verdict_on(run(), reply)
    assert found.verdict is Verdict.UNRESOLVED
    assert found.report is not None
    assert found.report["patch_successfully_applied"] is False
