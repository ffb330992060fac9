"""Stage 6: the official verdict on one patch, from one container, and the strict one beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from swerl_eval.core.diffs import files_touched, sha256
from swerl_eval.core.errors import GradingError, SandboxError
from swerl_eval.core.jobs import scripts
from swerl_eval.core.suspicions import Touch, suspicions
from swerl_eval.core.types import Evaluation, Instance, JobResult, Oracle, Verdict
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.evaluation.strict import References, strict_verdict
from swerl_eval.official import grading
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

    async def evaluate(self, instance: Instance, oracle: Oracle, patch: str, logs: Path) -> Evaluation:
        """Apply the patch by the official ladder, run the official script, grade by swebench; then the strict verdict.

        Writes the official files (patch.diff, eval.sh, test_output.txt, run_instance.log, report.json) into `logs`. An
        empty patch is not run. What the sandbox cannot do, and a row that swebench cannot read, is the verdict
        `infra_error`, with its reason; everything else is a verdict on the patch. A log that swebench cannot grade
        is unresolved, without a report.
        """
        trial = EvaluationRun(instance, oracle, patch, logs)
        evaluation = await self.official(trial)
        return await self.strict(trial, evaluation) if self.settings.strict else evaluation

    async def official(self, trial: EvaluationRun) -> Evaluation:
        """The official verdict, with what is suspicious about the patch."""
        if not trial.patch:
            return _evaluation(trial.oracle, "", Verdict.EMPTY_PATCH, reason="the patch is empty")
        evaluation = await self.run_tests(trial.instance, trial.oracle, trial.patch, trial.logs)
        return dataclasses.replace(evaluation, suspicious=tuple(map(str, touches(trial))))

    async def strict(
        self, trial: EvaluationRun, evaluation: Evaluation, references: References | None = None
    ) -> Evaluation:
        """An official evaluation with the strict verdict beside it."""
        try:
            return await strict_verdict(trial, evaluation, touches(trial), self.sandbox, self.settings, references)
        except GradingError as error:
            return dataclasses.replace(evaluation, strict=Verdict.UNRESOLVED, strict_reason=str(error))

    async def run_tests(self, instance: Instance, oracle: Oracle, patch: str, logs: Path) -> Evaluation:
        """The official verdict alone; without any patch when it is empty, as `validate` wants it."""
        try:
            return await self._run_tests(instance, oracle, patch, logs)
        except GradingError as error:
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=str(error))

    async def _run_tests(self, instance: Instance, oracle: Oracle, patch: str, logs: Path) -> Evaluation:
        if grading.image_assets(oracle):
            reason = "the row needs binary test assets, which are not staged yet; use `swebench eval` for it"
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=reason)
        trial = EvaluationRun(instance, oracle, patch, logs)
        script = grading.eval_script(oracle)
        _write_inputs(logs, patch, script)
        job_script = scripts.evaluation(apply_patch=bool(patch))
        try:
            result, marks = await trial.run(
                self.sandbox,
                self.settings,
                job_script,
                files=((scripts.EVAL_FILE, script.encode()),),
                outputs={"": RUN_LOG, scripts.APPLIED: TEST_OUTPUT},
            )
        except SandboxError as error:
            (logs / RUN_LOG).write_text(f"{error}\n", encoding="utf-8")
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=str(error))
        return await anyio.to_thread.run_sync(self._graded, trial, result, marks)

    def _graded(self, trial: EvaluationRun, result: JobResult, marks: dict[str, str]) -> Evaluation:
        """Grade the logs of a job that ran."""
        oracle, patch, logs = trial.oracle, trial.patch, trial.logs
        test_seconds = _write_run_log(logs / RUN_LOG, result, marks)
        if scripts.NOT_APPLIED in marks:
            if result.disk_full:
                return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=DISK_FULL, result=result)
            reason = "; ".join(filter(None, (NO_COMMAND, _remark(result))))
            return _evaluation(oracle, patch, Verdict.PATCH_FAILED, reason=reason, result=result)
        if scripts.APPLIED not in marks:
            how = "ran out of memory" if result.out_of_memory else f"ended with exit code {result.exit_code}"
            reason = f"the container {how} before the patch was tried; see {RUN_LOG}"
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=reason, result=result)
        if result.timed_out:
            with (logs / TEST_OUTPUT).open("a", encoding="utf-8") as output:
                output.write(grading.timeout_notice(self.settings.timeout))
            reason = f"stopped after {self.settings.timeout:g} seconds"
            return _evaluation(oracle, patch, Verdict.TIMED_OUT, reason=reason, result=result)
        if scripts.ENDED not in marks and result.exit_code == 0 and not result.disk_exceeded:
            reason = "the output was cut off before its end"  # the script cannot have ended so without its last line
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=reason, result=result)
        (logs / TEST_OUTPUT).touch()  # a script that prints nothing leaves none
        try:
            report = grading.grade(oracle, patch, logs / TEST_OUTPUT)
        except GradingError as error:  # by what the patch's own run printed, so it is no failure of the machine
            return _evaluation(oracle, patch, Verdict.UNRESOLVED, reason=str(error), result=result)
        verdict = grading.verdict_of(report)
        if result.disk_full and verdict is not Verdict.RESOLVED and not result.disk_exceeded:
            return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=DISK_FULL, result=result)
        write_report(logs, oracle.instance_id, report)
        evaluation = _evaluation(oracle, patch, verdict, report=report, reason=_remark(result), result=result)
        remark = unresolved_remark(evaluation, logs)
        return dataclasses.replace(evaluation, test_seconds=test_seconds, remark=remark)


def unresolved_remark(evaluation: Evaluation, logs: Path) -> str:
    """What there is to say of an unresolved patch beside its tests; empty for any other verdict."""
    if evaluation.verdict is not Verdict.UNRESOLVED:
        return ""
    return grading.remark_on_unresolved(evaluation.report or {}, logs / TEST_OUTPUT, logs / RUN_LOG)


def failed_patch(oracle: Oracle, patch: str, reason: str, *, strict: bool) -> Evaluation:
    """The verdict on a patch that cannot be tried."""
    evaluation = _evaluation(oracle, patch, Verdict.PATCH_FAILED, reason=reason)
    return dataclasses.replace(evaluation, strict=Verdict.PATCH_FAILED) if strict else evaluation


def touches(trial: EvaluationRun) -> list[Touch]:
    """The files of a patch that have a say in its verdict."""
    return suspicions(trial.patch, trial.oracle.test_patch, grading.runner(trial.oracle))


def write_report(logs: Path, instance_id: str, report: Mapping[str, Any]) -> None:
    """Write an instance's report.json in the official harness's own layout, to the byte."""
    write_bytes(logs / REPORT, json.dumps({instance_id: report}, indent=4).encode())


def _write_inputs(logs: Path, patch: str, script: str) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    remove_unfinished(logs)
    for stale in (REPORT, TEST_OUTPUT, RUN_LOG):
        (logs / stale).unlink(missing_ok=True)
    (logs / PATCH).write_bytes(patch.encode("utf-8", "replace"))
    (logs / EVAL).write_text(script, encoding="utf-8", newline="")


def _write_run_log(run_log: Path, result: JobResult, marks: dict[str, str]) -> float:
    """Add how the ladder ended, in the official harness's words; returns the seconds of the eval script alone."""
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


def _evaluation(
    oracle: Oracle,
    patch: str,
    verdict: Verdict,
    *,
    reason: str = "",
    report: dict[str, object] | None = None,
    result: JobResult | None = None,
) -> Evaluation:
    return Evaluation(
        instance_id=oracle.instance_id,
        patch_sha256=sha256(patch),
        verdict=verdict,
        report=report,
        reason=reason,
        seconds=round(result.seconds, 3) if result else 0.0,
        image_id=result.image_id if result else "",
        log_truncated=result.log_truncated if result else False,
        gold_files=files_touched(oracle.patch),
    )
