"""The strict verdict: whether a control run (`core.jobs.control_run`) confirms that a patch resolves its instance."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread
from pydantic import TypeAdapter

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import control_run
from swerl_eval.core.jobs.control_run import ControlResult, discrepancy
from swerl_eval.core.jobs.scripts import APPLIED
from swerl_eval.core.suspicions import Touch, python_files
from swerl_eval.core.types import Evaluation, JobResult, Verdict
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.official import grading
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
    """The gold patches' control runs, known from one evaluation to the next."""

    async def lookup(self, logs: Path) -> bool:
        """Put the logs of the gold patch's control run into a folder; False where it was never run."""
        ...

    async def store(self, logs: Path) -> None:
        """Know it from now on."""
        ...


@dataclass(frozen=True)
class ControlFacts:
    """What of a control run is not in its logs (`control.json`)."""

    aside: tuple[str, ...]
    """Files that the confirmation was run without."""
    exit_code: int
    """Of the test command; -1: it did not come to its end."""
    confirm_exit_code: int
    timed_out: bool
    clear: bool
    """Whether no limit cut it short, so that it would come out the same again."""


async def strict_verdict(
    trial: EvaluationRun,
    evaluation: Evaluation,
    touches: Sequence[Touch],
    sandbox: Sandbox,
    settings: EvaluateSettings,
    references: References | None = None,
) -> Evaluation:
    """The evaluation with the strict verdict beside the official one, which is run under control only if resolved."""
    for stale in (*CONTROL_FILES, *REFERENCE_FILES):
        (trial.logs / stale).unlink(missing_ok=True)
    if not evaluation.resolved:
        return dataclasses.replace(evaluation, strict=evaluation.verdict)
    if grading.nothing_decides(trial.oracle):
        return strict_verdict_from_logs(trial, evaluation)
    aside = [touch.path for touch in touches if touch.reset_for_confirmation]
    reference = _reference(trial)
    try:
        result, _ = await _control(trial, aside, sandbox, settings)
        if not result.clean and trial.patch != trial.oracle.patch:
            if references is None or not await references.lookup(reference.logs):
                await _control(reference, [], sandbox, settings)
            if references is not None:
                await references.store(reference.logs)
    except SandboxError as error:
        return dataclasses.replace(evaluation, strict=Verdict.INFRA_ERROR, strict_reason=str(error))
    return await anyio.to_thread.run_sync(strict_verdict_from_logs, trial, evaluation)


def strict_verdict_from_logs(trial: EvaluationRun, evaluation: Evaluation) -> Evaluation:
    """The evaluation with the strict verdict that the saved logs of its control run give.

    A resolved patch that was never run under control is `infra_error`, so that a resume of its run does it.
    """
    bare = dataclasses.replace(evaluation, strict_reason="")
    if not evaluation.resolved:
        return dataclasses.replace(bare, strict=evaluation.verdict)
    if grading.nothing_decides(trial.oracle):
        return dataclasses.replace(bare, strict=Verdict.UNRESOLVED, strict_reason=control_run.NOTHING_DECIDES)
    facts = _facts(trial)
    if facts is None:
        reason = "it was not run under control; the same command again does it"
        return dataclasses.replace(bare, strict=Verdict.INFRA_ERROR, strict_reason=reason)
    result, unconfirmed = _read(trial, facts)
    reference = _reference(trial)
    gold_facts = _facts(reference)
    gold = result if gold_facts is None else _read(reference, gold_facts)[0]
    complaint = discrepancy(result, gold) or unconfirmed
    if complaint:
        suspicious = (*evaluation.suspicious, f"control run: {complaint}")
        return dataclasses.replace(bare, strict=Verdict.UNRESOLVED, strict_reason=complaint, suspicious=suspicious)
    left = f"{len(result.unmoved)} graded tests do not fail under control with the gold patch either"
    return dataclasses.replace(bare, strict=Verdict.RESOLVED, strict_reason=left if result.unmoved else "")


def undisturbed(logs: Path) -> bool:
    """Whether the control runs that left these logs met no limit: no time, memory or disk ran out, no log was cut."""
    paths = [logs / CONTROL_FACTS, logs / REFERENCE / CONTROL_FACTS]
    return all((facts := _read_facts(path)) is not None and facts.clear for path in paths if path.exists())


def _reference(trial: EvaluationRun) -> EvaluationRun:
    """The gold patch's own trial."""
    return dataclasses.replace(trial, patch=trial.oracle.patch, logs=trial.logs / REFERENCE)


def fail_tests_program() -> bytes:
    """The program that makes tests fail, for the Python of an image."""
    return importlib.resources.files("swerl_eval.container_tools").joinpath("fail_tests.py").read_bytes()


async def _control(
    trial: EvaluationRun, aside: Sequence[str], sandbox: Sandbox, settings: EvaluateSettings
) -> tuple[ControlResult, str]:
    """Run a patch under control, and again without some of its files; what the latter has against it, or nothing."""
    oracle = trial.oracle
    trial.logs.mkdir(parents=True, exist_ok=True)
    tool = fail_tests_program()
    sabotage = control_run.fail_tests_command(secrets.token_hex(8), python_files(oracle.test_patch))
    files = [
        (control_run.FAIL_TESTS_FILE, tool),
        (control_run.CONTROL_FILE, grading.exit_status_script(oracle, before_tests=sabotage).encode()),
    ]
    outputs = {"": CONTROL_LOG, APPLIED: CONTROL_OUTPUT}
    if aside:
        files += [
            (control_run.CONFIRM_FILE, grading.exit_status_script(oracle).encode()),
            (control_run.RESET_LIST_FILE, b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in aside)),
        ]
        outputs[control_run.CONTROL] = CONFIRM_OUTPUT
        settings = dataclasses.replace(settings, timeout=2 * settings.timeout)
    script = control_run.control_script(confirm=bool(aside), base_commit=trial.instance.base_commit)
    result, marks = await trial.run(sandbox, settings, script, files=tuple(files), outputs=outputs)
    if result.disk_full:
        message = "the engine's disk was full at the control run"
        raise SandboxError(message)
    return await anyio.to_thread.run_sync(_concluded, trial, _facts_of(aside, result, marks))


def _concluded(trial: EvaluationRun, facts: ControlFacts) -> tuple[ControlResult, str]:
    """Store the facts beside the logs, which makes them a control run, and read them."""
    write_bytes(trial.logs / CONTROL_FACTS, json.dumps(dataclasses.asdict(facts)).encode())
    return _read(trial, facts)


def _facts_of(aside: Sequence[str], result: JobResult, marks: Mapping[str, str]) -> ControlFacts:
    return ControlFacts(
        aside=tuple(aside),
        exit_code=_exit_code(marks, control_run.CONTROL),
        confirm_exit_code=_exit_code(marks, control_run.CONFIRMED),
        timed_out=result.timed_out,
        clear=not (result.timed_out or result.out_of_memory or result.disk_exceeded or result.log_truncated),
    )


def _facts(trial: EvaluationRun) -> ControlFacts | None:
    """What is known of a trial's control run; None where it was not run to its end."""
    return _read_facts(trial.logs / CONTROL_FACTS)


def _read_facts(path: Path) -> ControlFacts | None:
    """None for a file that is absent, torn, or of another program."""
    try:
        return _FACTS.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


_FACTS = TypeAdapter(ControlFacts)


def _read(trial: EvaluationRun, facts: ControlFacts) -> tuple[ControlResult, str]:
    """What the saved logs of a control run say, and what they have against the patch by themselves, or nothing."""
    found = ControlResult(grading.statuses(trial.oracle, trial.logs / CONTROL_OUTPUT), facts.exit_code)
    if facts.timed_out:
        return found, "it did not end in time"
    if facts.exit_code < 0:
        return found, "it did not come to its end"
    if not facts.aside:
        return found, ""
    return found, _unconfirmed(trial, facts.aside, facts.confirm_exit_code)


def _unconfirmed(trial: EvaluationRun, aside: Sequence[str], exit_code: int) -> str:
    """What the run without the files set aside has against the patch."""
    output = trial.logs / CONFIRM_OUTPUT
    without = f"without its version of {', '.join(aside[:3])}{', …' if len(aside) > 3 else ''}"
    if not output.exists() or not grading.grade(trial.oracle, trial.patch, output)["resolved"]:
        return f"{without} the tests do not pass"
    if exit_code != 0 and not control_run.FAILING & set(grading.statuses(trial.oracle, output, every=True).values()):
        return f"{without} the test command fails, and its output names no failure"
    return ""


def _exit_code(marks: Mapping[str, str], word: str) -> int:
    return int(marks[word].partition(" ")[0]) if word in marks else -1
