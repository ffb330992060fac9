"""The strict verdict: whether a resolved patch is borne out by a control run (`core.control` says what that is)."""

from __future__ import annotations

import dataclasses
import importlib.resources
import secrets
from collections.abc import Mapping, Sequence

import anyio.to_thread

from swerl_eval import grading
from swerl_eval.core import control
from swerl_eval.core.control import ControlResult, objection
from swerl_eval.core.errors import SandboxError
from swerl_eval.core.scripts import APPLIED
from swerl_eval.core.tampering import Touch, python_files
from swerl_eval.core.types import Evaluation, JobResult, Verdict
from swerl_eval.ports import Sandbox
from swerl_eval.stages.trial import EvaluateSettings, Trial

CONTROL_LOG, CONTROL_OUTPUT, CONFIRM_OUTPUT = "control.log", "control_output.txt", "confirm_output.txt"


async def strict_verdict(
    trial: Trial, evaluation: Evaluation, touches: Sequence[Touch], sandbox: Sandbox, settings: EvaluateSettings
) -> Evaluation:
    """The evaluation with the strict verdict beside the official one, which is run under control only if resolved."""
    for stale in (CONTROL_LOG, CONTROL_OUTPUT, CONFIRM_OUTPUT):
        (trial.logs / stale).unlink(missing_ok=True)
    if not evaluation.resolved:
        return dataclasses.replace(evaluation, strict=evaluation.verdict)
    aside = [touch.path for touch in touches if touch.aside]
    try:
        result, unconfirmed = await _control(trial, aside, sandbox, settings)
        gold = result
        if not result.clean and trial.patch != trial.oracle.patch:
            reference = dataclasses.replace(trial, patch=trial.oracle.patch, logs=trial.logs / "gold")
            gold, _ = await _control(reference, [], sandbox, settings)
    except SandboxError as error:
        return dataclasses.replace(evaluation, strict=Verdict.INFRA_ERROR, strict_reason=str(error))
    complaint = objection(result, gold) or unconfirmed
    if complaint:
        suspicious = (*evaluation.suspicious, f"control run: {complaint}")
        return dataclasses.replace(
            evaluation, strict=Verdict.UNRESOLVED, strict_reason=complaint, suspicious=suspicious
        )
    left = f"{len(result.unmoved)} graded tests do not fail under control with the gold patch either"
    return dataclasses.replace(evaluation, strict=Verdict.RESOLVED, strict_reason=left if result.unmoved else "")


async def _control(
    trial: Trial, aside: Sequence[str], sandbox: Sandbox, settings: EvaluateSettings
) -> tuple[ControlResult, str]:
    """Run a patch under control, and again without some of its files; what the latter has against it, or nothing."""
    oracle = trial.oracle
    trial.logs.mkdir(parents=True, exist_ok=True)
    tool = importlib.resources.files("swerl_eval.inside").joinpath("fail_tests.py").read_bytes()
    sabotage = control.sabotage_line(secrets.token_hex(8), python_files(oracle.test_patch))
    files = [
        (control.TOOL_FILE, tool),
        (control.CONTROL_FILE, grading.exit_status_script(oracle, before_tests=sabotage).encode()),
    ]
    outputs = {"": CONTROL_LOG, APPLIED: CONTROL_OUTPUT}
    if aside:
        files += [
            (control.CONFIRM_FILE, grading.exit_status_script(oracle).encode()),
            (control.ASIDE_FILE, b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in aside)),
        ]
        outputs[control.CONTROL] = CONFIRM_OUTPUT
        settings = dataclasses.replace(settings, timeout=2 * settings.timeout)
    script = control.control_script(confirm=bool(aside), base_commit=trial.instance.base_commit)
    result, marks = await trial.run(sandbox, settings, script, files=tuple(files), outputs=outputs)
    if result.disk_full:
        message = "the engine's disk was full at the control run"
        raise SandboxError(message)
    return await anyio.to_thread.run_sync(_read, trial, aside, result, marks)


def _read(trial: Trial, aside: Sequence[str], result: JobResult, marks: Mapping[str, str]) -> tuple[ControlResult, str]:
    graded = grading.statuses(trial.oracle, trial.logs / CONTROL_OUTPUT)
    found = ControlResult(graded, _exit_code(marks, control.CONTROL))
    if result.timed_out:
        return found, "it did not end in time"
    if control.CONTROL not in marks:
        return found, "it did not come to its end"
    if not aside:
        return found, ""
    return found, _unconfirmed(trial, aside, _exit_code(marks, control.CONFIRMED))


def _unconfirmed(trial: Trial, aside: Sequence[str], exit_code: int) -> str:
    """What the run without the files set aside has against the patch."""
    output = trial.logs / CONFIRM_OUTPUT
    without = f"without its version of {', '.join(aside[:3])}{', …' if len(aside) > 3 else ''}"
    if not output.exists() or not grading.grade(trial.oracle, trial.patch, output)["resolved"]:
        return f"{without} the tests do not pass"
    if exit_code != 0 and not control.FAILING & set(grading.statuses(trial.oracle, output, every=True).values()):
        return f"{without} the test command fails, and its output names no failure"
    return ""


def _exit_code(marks: Mapping[str, str], word: str) -> int:
    return int(marks[word].partition(" ")[0]) if word in marks else -1
