"""The strict verdict: whether a control run (`core.jobs.control_run`) confirms that a patch resolves its instance."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import anyio.to_thread
from pydantic import AliasChoices, Field, TypeAdapter

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import control_run
from swerl_eval.core.jobs.control_run import ControlResult, discrepancy
from swerl_eval.core.jobs.scripts import APPLIED
from swerl_eval.core.suspicions import python_files
from swerl_eval.core.types import Evaluation, JobResult, Verdict
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.official import grading, specification
from swerl_eval.ports import Sandbox
from swerl_eval.records.atomic import write_bytes

CONTROL_LOG, CONTROL_OUTPUT, CONFIRM_OUTPUT, CONTROL_FACTS = (
    "control.log",
    "control_output.txt",
    "confirm_output.txt",
    "control.json",
)
REFERENCE = "gold"
"""Folder of the gold patch's control run, where it was needed."""
CONTROL_FILES = (CONTROL_LOG, CONTROL_OUTPUT, CONFIRM_OUTPUT, CONTROL_FACTS)
REFERENCE_FILES = tuple(f"{REFERENCE}/{name}" for name in CONTROL_FILES)


class References(Protocol):
    """Keeps the control run of a gold patch from one evaluation to the next."""

    async def lookup(self, logs: Path) -> bool:
        """Put the logs of the gold patch's control run into a folder; return False when it was never run."""
        ...

    async def store(self, logs: Path) -> None:
        """Store the logs of the gold patch's control run."""
        ...


@dataclass(frozen=True)
class ControlFacts:
    """What of a control run is not in its logs (`control.json`)."""

    reset_files: Annotated[tuple[str, ...], Field(validation_alias=AliasChoices("reset_files", "aside"))]
    """Files of the patch that were reset for the confirmation."""
    exit_code: int
    """Of the test command; -1: it did not come to its end."""
    confirm_exit_code: int
    timed_out: bool
    clear: bool
    """Whether no limit cut the run short, so that it would come out the same again."""


async def strict_verdict(
    run: EvaluationRun,
    evaluation: Evaluation,
    sandbox: Sandbox,
    settings: EvaluateSettings,
    references: References | None = None,
) -> Evaluation:
    """Return the evaluation with the strict verdict beside the official one.

    Only a resolved patch gets a control run. The gold patch gets one as a reference when that of the patch leaves
    something open.

    Args:
        run: The patch, with the logs of its official run.
        evaluation: The official verdict on it.
        sandbox: Runs the containers.
        settings: Limits and timeout of the containers.
        references: Where the control run of the gold patch is kept; None: it is run again.
    """
    for stale in (*CONTROL_FILES, *REFERENCE_FILES):
        (run.logs / stale).unlink(missing_ok=True)
    if evaluation.resolved and not specification.names_no_test(run.oracle.row):
        try:
            await _control_runs(run, sandbox, settings, references)
        except SandboxError as error:
            return dataclasses.replace(evaluation, strict=Verdict.INFRA_ERROR, strict_reason=str(error))
    return await anyio.to_thread.run_sync(strict_verdict_from_logs, run, evaluation)


def strict_verdict_from_logs(run: EvaluationRun, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with the strict verdict that the saved logs of its control run give.

    A resolved patch that never had a control run is `infra_error`, so that a resume of its run does it.
    """
    evaluation = dataclasses.replace(evaluation, strict_reason="")
    if not evaluation.resolved:
        return dataclasses.replace(evaluation, strict=evaluation.verdict)
    if specification.names_no_test(run.oracle.row):
        reason = control_run.NOTHING_DECIDES
        return dataclasses.replace(evaluation, strict=Verdict.UNRESOLVED, strict_reason=reason)
    facts = _facts_in(run.logs)
    if facts is None:
        reason = "it had no control run; the same command again does it"
        return dataclasses.replace(evaluation, strict=Verdict.INFRA_ERROR, strict_reason=reason)
    result = _result(run, facts)
    reference = _reference(run)
    gold_facts = _facts_in(reference.logs)
    gold = result if gold_facts is None else _result(reference, gold_facts)
    reason = discrepancy(result, gold) or _not_confirmed(run, facts)
    if reason:
        suspicious = (*evaluation.suspicious, f"control run: {reason}")
        return dataclasses.replace(evaluation, strict=Verdict.UNRESOLVED, strict_reason=reason, suspicious=suspicious)
    unmoved = f"{len(result.unmoved)} graded tests do not fail in the control run of the gold patch either"
    return dataclasses.replace(evaluation, strict=Verdict.RESOLVED, strict_reason=unmoved if result.unmoved else "")


def hit_no_limit(logs: Path) -> bool:
    """Return whether the control runs that left these logs met no limit of time, memory, disk or log length."""
    folders = [folder for folder in (logs, logs / REFERENCE) if (folder / CONTROL_FACTS).exists()]
    return all((facts := _facts_in(folder)) is not None and facts.clear for folder in folders)


def fail_tests_program() -> bytes:
    """Return the program that makes tests fail, for the Python of an image."""
    return importlib.resources.files("swerl_eval.container_tools").joinpath("fail_tests.py").read_bytes()


def _reference(run: EvaluationRun) -> EvaluationRun:
    """Return the run of the gold patch in the place of a candidate's."""
    return dataclasses.replace(run, patch=run.oracle.patch, logs=run.logs / REFERENCE)


async def _control_runs(
    run: EvaluationRun, sandbox: Sandbox, settings: EvaluateSettings, references: References | None
) -> None:
    """Do the control run of a patch and, when it leaves something open, that of the gold patch."""
    reset = [touch.path for touch in run.touches if touch.reset_for_confirmation]
    facts = await _control_run(run, reset, sandbox, settings)
    result = await anyio.to_thread.run_sync(_result, run, facts)
    if result.clean or run.patch == run.oracle.patch:
        return
    reference = _reference(run)
    if references is None or not await references.lookup(reference.logs):
        await _control_run(reference, [], sandbox, settings)
    if references is not None:
        await references.store(reference.logs)


async def _control_run(
    run: EvaluationRun, reset: Sequence[str], sandbox: Sandbox, settings: EvaluateSettings
) -> ControlFacts:
    """Do a control run, and its confirmation when files of the patch are to be reset for it.

    The facts are stored beside the logs at the end. Without them the logs are not a control run.
    """
    row = run.oracle.row
    run.logs.mkdir(parents=True, exist_ok=True)
    fail_tests = control_run.fail_tests_command(secrets.token_hex(8), python_files(run.oracle.test_patch))
    files = [
        (control_run.FAIL_TESTS_FILE, fail_tests_program()),
        (control_run.CONTROL_FILE, specification.exit_status_script(row, before_tests=fail_tests).encode()),
    ]
    outputs = {"": CONTROL_LOG, APPLIED: CONTROL_OUTPUT}
    if reset:
        files += [
            (control_run.CONFIRM_FILE, specification.exit_status_script(row).encode()),
            (control_run.RESET_LIST_FILE, b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in reset)),
        ]
        outputs[control_run.CONTROL] = CONFIRM_OUTPUT
        settings = dataclasses.replace(settings, timeout=2 * settings.timeout)
    script = control_run.control_script(confirm=bool(reset), base_commit=run.instance.base_commit)
    result, marks = await run.execute(sandbox, settings, script, files=tuple(files), outputs=outputs)
    if result.disk_full:
        message = "the engine's disk was full at the control run"
        raise SandboxError(message)
    facts = _facts_of(reset, result, marks)
    write_bytes(run.logs / CONTROL_FACTS, json.dumps(dataclasses.asdict(facts)).encode())
    return facts


def _facts_of(reset: Sequence[str], result: JobResult, marks: Mapping[str, str]) -> ControlFacts:
    return ControlFacts(
        reset_files=tuple(reset),
        exit_code=_exit_code(marks, control_run.CONTROL),
        confirm_exit_code=_exit_code(marks, control_run.CONFIRMED),
        timed_out=result.timed_out,
        clear=not (result.timed_out or result.out_of_memory or result.disk_exceeded or result.log_truncated),
    )


def _exit_code(marks: Mapping[str, str], word: str) -> int:
    return int(marks[word].partition(" ")[0]) if word in marks else -1


_FACTS = TypeAdapter(ControlFacts)


def _facts_in(folder: Path) -> ControlFacts | None:
    """Return the facts of a control run; None for a file that is absent, torn, or of another program."""
    try:
        return _FACTS.validate_json((folder / CONTROL_FACTS).read_bytes())
    except (OSError, ValueError):
        return None


def _result(run: EvaluationRun, facts: ControlFacts) -> ControlResult:
    """Return what the saved logs of a control run say."""
    return ControlResult(grading.graded_statuses(run.oracle.row, run.logs / CONTROL_OUTPUT), facts.exit_code)


def _not_confirmed(run: EvaluationRun, facts: ControlFacts) -> str:
    """Return what a control run has against its patch by itself, whatever the reference says; empty for nothing."""
    if facts.timed_out:
        return "it did not end in time"
    if facts.exit_code < 0:
        return "it did not come to its end"
    if not facts.reset_files:
        return ""
    row, output = run.oracle.row, run.logs / CONFIRM_OUTPUT
    names = f"{', '.join(facts.reset_files[:3])}{', …' if len(facts.reset_files) > 3 else ''}"
    if not output.exists() or not grading.grade(row, run.patch, output)["resolved"]:
        return f"without its version of {names} the tests do not pass"
    failing = control_run.FAILING & set(grading.all_statuses(row, output).values())
    if facts.confirm_exit_code != 0 and not failing:
        return f"without its version of {names} the test command fails, and its output names no failure"
    return ""
