"""The official verdict on one patch, from one container, and the strict verdict beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from swerl_eval.core.codings import sendable_bytes
from swerl_eval.core.diffs import files_touched, sha256
from swerl_eval.core.errors import GradingError, SandboxError
from swerl_eval.core.jobs import scripts
from swerl_eval.core.types import Evaluation, JobResult, Verdict
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.evaluation.strict import References, strict_verdict
from swerl_eval.official import grading, specification
from swerl_eval.ports import Sandbox
from swerl_eval.records.atomic import remove_unfinished, write_bytes
from swerl_eval.records.log_files import EVAL, PATCH, REPORT, RUN_LOG, TEST_OUTPUT

NO_COMMAND = "no command could apply it"
DISK_FULL = "the engine's disk is full: free some (`docker system df`, `swerl-eval images prune`)"


@dataclass(frozen=True)
class Evaluator:
    """Gives verdicts, by the official specification and grading."""

    sandbox: Sandbox
    settings: EvaluateSettings

    async def evaluate(self, run: EvaluationRun) -> Evaluation:
        """Apply the patch by the official ladder, run the official script, grade by swebench; then the strict verdict.

        Writes the official files (`OFFICIAL_FILES`) into the folder of the run's logs. An empty patch is not run.

        Returns:
            A verdict in every case. What the sandbox cannot do, and a row that swebench cannot read, is `infra_error`
            with its reason; everything else is a verdict on the patch. A log that swebench cannot grade is unresolved,
            without a report.
        """
        evaluation = await self.official(run)
        return await self.strict(run, evaluation) if self.settings.strict else evaluation

    async def official(self, run: EvaluationRun) -> Evaluation:
        """Return the official verdict, with what is suspicious about the patch."""
        if not run.patch:
            return evaluation_of(run, Verdict.EMPTY_PATCH, reason="the patch is empty")
        evaluation = await self.run_tests(run)
        return dataclasses.replace(evaluation, suspicious=tuple(map(str, run.touches)))

    async def strict(
        self, run: EvaluationRun, evaluation: Evaluation, references: References | None = None
    ) -> Evaluation:
        """Return an official evaluation with the strict verdict beside it."""
        try:
            return await strict_verdict(run, evaluation, self.sandbox, self.settings, references)
        except GradingError as error:
            return dataclasses.replace(evaluation, strict=Verdict.UNRESOLVED, strict_reason=str(error))

    async def run_tests(self, run: EvaluationRun) -> Evaluation:
        """Return the official verdict alone. An empty patch is run too, as `validate` wants it."""
        try:
            return await self._run_tests(run)
        except GradingError as error:
            return evaluation_of(run, Verdict.INFRA_ERROR, reason=str(error))

    async def _run_tests(self, run: EvaluationRun) -> Evaluation:
        if specification.image_assets(run.oracle.row):
            reason = "the row needs binary test assets, which are not staged yet; use `swebench eval` for it"
            return evaluation_of(run, Verdict.INFRA_ERROR, reason=reason)
        eval_script = specification.eval_script(run.oracle.row)
        _write_inputs(run.logs, run.patch, eval_script)
        try:
            result, marks = await run.execute(
                self.sandbox,
                self.settings,
                scripts.evaluation(apply_patch=bool(run.patch)),
                files=((scripts.EVAL_FILE, eval_script.encode()),),
                outputs={"": RUN_LOG, scripts.APPLIED: TEST_OUTPUT},
            )
        except SandboxError as error:
            (run.logs / RUN_LOG).write_text(f"{error}\n", encoding="utf-8")
            return evaluation_of(run, Verdict.INFRA_ERROR, reason=str(error))
        return await anyio.to_thread.run_sync(self._verdict, run, result, marks)

    def _verdict(self, run: EvaluationRun, result: JobResult, marks: dict[str, str]) -> Evaluation:
        """Say how a job ended; grade its log when it has one."""
        test_seconds = _write_run_log(run.logs / RUN_LOG, result, marks)
        if scripts.NOT_APPLIED in marks:
            if result.disk_full:
                return evaluation_of(run, Verdict.INFRA_ERROR, reason=DISK_FULL, result=result)
            reason = "; ".join(filter(None, (NO_COMMAND, _remark(result))))
            return evaluation_of(run, Verdict.PATCH_FAILED, reason=reason, result=result)
        if scripts.APPLIED not in marks:
            end = "ran out of memory" if result.out_of_memory else f"ended with exit code {result.exit_code}"
            reason = f"the container {end} before the patch was tried; see {RUN_LOG}"
            return evaluation_of(run, Verdict.INFRA_ERROR, reason=reason, result=result)
        if result.timed_out:
            with (run.logs / TEST_OUTPUT).open("a", encoding="utf-8") as output:
                output.write(grading.timeout_notice(self.settings.timeout))
            reason = f"stopped after {self.settings.timeout:g} seconds"
            return evaluation_of(run, Verdict.TIMED_OUT, reason=reason, result=result)
        if scripts.ENDED not in marks and result.exit_code == 0 and not result.disk_exceeded:
            # the script cannot have ended with 0 without its last line
            reason = "the output was cut off before its end"
            return evaluation_of(run, Verdict.INFRA_ERROR, reason=reason, result=result)
        return dataclasses.replace(_graded(run, result), test_seconds=test_seconds)


def _graded(run: EvaluationRun, result: JobResult) -> Evaluation:
    """Grade the log of a job whose tests ended."""
    test_output = run.logs / TEST_OUTPUT
    test_output.touch()  # a script that prints nothing leaves none
    try:
        report = grading.grade(run.oracle.row, run.patch, test_output)
    except GradingError as error:  # the patch's own run printed it, so the machine did not fail
        return evaluation_of(run, Verdict.UNRESOLVED, reason=str(error), result=result)
    verdict = grading.verdict_of(report)
    if result.disk_full and verdict is not Verdict.RESOLVED and not result.disk_exceeded:
        return evaluation_of(run, Verdict.INFRA_ERROR, reason=DISK_FULL, result=result)
    write_report(run.logs, run.oracle.instance_id, report)
    evaluation = evaluation_of(run, verdict, report=report, reason=_remark(result), result=result)
    return dataclasses.replace(evaluation, remark=unresolved_remark(evaluation, run.logs))


def unresolved_remark(evaluation: Evaluation, logs: Path) -> str:
    """Return what there is to say of an unresolved patch beside its tests; empty for any other verdict."""
    if evaluation.verdict is not Verdict.UNRESOLVED:
        return ""
    return grading.remark_on_unresolved(evaluation.report or {}, logs / TEST_OUTPUT, logs / RUN_LOG)


def failed_patch(run: EvaluationRun, reason: str, *, strict: bool) -> Evaluation:
    """Return the verdict on a patch that cannot be tried."""
    evaluation = evaluation_of(run, Verdict.PATCH_FAILED, reason=reason)
    return dataclasses.replace(evaluation, strict=Verdict.PATCH_FAILED) if strict else evaluation


def write_report(logs: Path, instance_id: str, report: Mapping[str, Any]) -> None:
    """Write an instance's report.json in the official harness's own layout, to the byte."""
    write_bytes(logs / REPORT, json.dumps({instance_id: report}, indent=4).encode())


def evaluation_of(
    run: EvaluationRun,
    verdict: Verdict,
    *,
    reason: str = "",
    report: dict[str, object] | None = None,
    result: JobResult | None = None,
) -> Evaluation:
    """Return the record of a verdict on a run's patch."""
    return Evaluation(
        instance_id=run.oracle.instance_id,
        patch_sha256=sha256(run.patch),
        verdict=verdict,
        report=report,
        reason=reason,
        seconds=round(result.seconds, 3) if result else 0.0,
        image_id=result.image_id if result else "",
        log_truncated=result.log_truncated if result else False,
        gold_files=files_touched(run.oracle.patch),
    )


def _write_inputs(logs: Path, patch: str, script: str) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    remove_unfinished(logs)
    for stale in (REPORT, TEST_OUTPUT, RUN_LOG):
        (logs / stale).unlink(missing_ok=True)
    (logs / PATCH).write_bytes(sendable_bytes(patch))
    (logs / EVAL).write_text(script, encoding="utf-8", newline="")


def _write_run_log(run_log: Path, result: JobResult, marks: dict[str, str]) -> float:
    """Add how the ladder ended, in the official harness's words; return the seconds of the eval script alone."""
    begun, _, command = marks.get(scripts.APPLIED, "").partition(" ")
    _, _, ended = marks.get(scripts.ENDED, "").partition(" ")
    seconds = max(0.0, float(ended) - float(begun)) if begun and ended else result.seconds
    with run_log.open("a", encoding="utf-8") as log:
        if scripts.NOT_APPLIED in marks:
            log.write("\n>>>>> Patch Apply Failed\n")
        if command:
            log.write(f"\n>>>>> Applied Patch: {command}\n")
        log.write(f"Test runtime: {seconds:.2f} seconds\n")
    return round(seconds, 3)


def _remark(result: JobResult) -> str:
    if result.disk_exceeded:
        return "killed since it wrote more to disk than it may"
    if result.out_of_memory:
        return "a process was killed for memory"
    return "the middle of its output was left out, and not graded" if result.log_truncated else ""
