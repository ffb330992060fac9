"""Stage 6: the official verdict on one patch, from one container."""

from __future__ import annotations

import codecs
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio

from swerl_eval import grading
from swerl_eval.core import scripts
from swerl_eval.core.diffs import files_touched, sha256
from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Evaluation, Instance, Job, JobResult, Limits, Oracle, Verdict
from swerl_eval.ports import Sandbox

PATCH, EVAL, TEST_OUTPUT, RUN_LOG, REPORT = (
    "patch.diff",
    "eval.sh",
    "test_output.txt",
    "run_instance.log",
    "report.json",
)
_RAW = "output.raw"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class EvaluateSettings:
    """How evaluations run."""

    timeout: float
    """Seconds, as `swebench eval --timeout`."""
    limits: Limits


async def evaluate(
    instance: Instance, oracle: Oracle, patch: str, sandbox: Sandbox, settings: EvaluateSettings, logs: Path
) -> Evaluation:
    """Apply the patch by the official ladder, run the official script, grade by swebench. An empty patch is not run.

    Writes the official files (patch.diff, eval.sh, test_output.txt, run_instance.log, report.json) into `logs`. What
    the sandbox cannot do is the verdict `infra_error`, with its reason; everything else is a verdict on the patch.
    """
    if not patch:
        return _evaluation(oracle, patch, Verdict.EMPTY_PATCH, reason="the patch is empty")
    return await run_tests(instance, oracle, patch, sandbox, settings, logs)


async def run_tests(
    instance: Instance, oracle: Oracle, patch: str, sandbox: Sandbox, settings: EvaluateSettings, logs: Path
) -> Evaluation:
    """The same, and without any patch when it is empty: how `validate` sees that the tests fail as they should."""
    if grading.image_assets(oracle):
        reason = "the row needs binary test assets, which are not staged yet; use `swebench eval` for it"
        return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=reason)
    token = secrets.token_hex(16)
    script = grading.eval_script(oracle)
    _write_inputs(logs, patch, script)
    job = Job(
        name=instance.instance_id.lower(),
        image=instance.image,
        script=scripts.evaluation(token, apply_patch=bool(patch)),
        files=((scripts.PATCH_FILE, patch.encode("utf-8", "replace")), (scripts.EVAL_FILE, script.encode())),
        limits=settings.limits,
        timeout=settings.timeout,
        log=str(logs / _RAW),
    )
    try:
        result = await sandbox.run(job)
    except SandboxError as error:
        (logs / RUN_LOG).write_text(f"{error}\n", encoding="utf-8")
        return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=str(error))
    return await anyio.to_thread.run_sync(_graded, oracle, patch, settings, logs, token, result)


def _write_inputs(logs: Path, patch: str, script: str) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for stale in (TEST_OUTPUT, RUN_LOG, REPORT):
        (logs / stale).unlink(missing_ok=True)
    (logs / PATCH).write_bytes(patch.encode("utf-8", "replace"))
    (logs / EVAL).write_text(script, encoding="utf-8", newline="")


def _graded(
    oracle: Oracle, patch: str, settings: EvaluateSettings, logs: Path, token: str, result: JobResult
) -> Evaluation:
    """Grade the logs of a job that ran."""
    outcome = split_output(logs / _RAW, token, logs)
    (logs / _RAW).unlink()
    with (logs / RUN_LOG).open("a", encoding="utf-8") as run_log:
        run_log.write(f"Test runtime: {result.seconds:.2f} seconds\n")
    if outcome is None:
        how = "ran out of memory" if result.out_of_memory else f"ended with exit code {result.exit_code}"
        reason = f"the container {how} before the patch was tried; see {RUN_LOG}"
        return _evaluation(oracle, patch, Verdict.INFRA_ERROR, reason=reason, result=result)
    if outcome == scripts.NOT_APPLIED:
        return _evaluation(oracle, patch, Verdict.PATCH_FAILED, reason="no command could apply it", result=result)
    if result.timed_out:
        with (logs / TEST_OUTPUT).open("a", encoding="utf-8") as output:
            output.write(grading.timeout_notice(settings.timeout))
        reason = f"stopped after {settings.timeout:g} seconds"
        return _evaluation(oracle, patch, Verdict.TIMED_OUT, reason=reason, result=result)
    report = grading.grade(oracle, patch, logs / TEST_OUTPUT)
    # the official harness's own layout of this file, to the byte
    (logs / REPORT).write_text(json.dumps({oracle.instance_id: report}, indent=4), encoding="utf-8")
    reason = "a process was killed for memory" if result.out_of_memory else ""
    return _evaluation(oracle, patch, grading.verdict_of(report), report=report, reason=reason, result=result)


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


def split_output(raw: Path, token: str, logs: Path) -> str | None:
    """Split a job's output at its first token line: what the ladder printed, and what the tests printed.

    The ladder's part goes to run_instance.log, the tests' part to test_output.txt as valid UTF-8. Returns `APPLIED`,
    `NOT_APPLIED`, or None when the token never came. The file is read in blocks, so its size does not matter.
    """
    marker = token.encode()
    with raw.open("rb") as source, (logs / RUN_LOG).open("wb") as run_log:
        for line in iter(source.readline, b""):
            if line.startswith(marker):
                outcome, _, command = line[len(marker) :].decode().strip().partition(" ")
                if outcome != scripts.APPLIED:
                    run_log.write(b">>>>> Patch Apply Failed\n")
                else:
                    run_log.write(f">>>>> Applied Patch: {command}\n".encode())
                    _copy_as_text(source, logs / TEST_OUTPUT)
                return outcome
            run_log.write(line)
    return None


def _copy_as_text(source: BinaryIO, target: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with target.open("w", encoding="utf-8", newline="") as output:
        while block := source.read(_BLOCK):
            output.write(decoder.decode(block))
        output.write(decoder.decode(b"", final=True))
