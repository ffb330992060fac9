"""Grades a run's saved logs again, with the dataset's rows and the swebench of now. No container, no engine.

Only verdicts that were computed from a log are computed again: resolved and unresolved ones. What never got as far
(empty and failed patches, timeouts, machines that failed) stays as it was. The strict verdict is computed from the
saved logs of the control run.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from swerl_eval.core.diffs import files_touched, sha256
from swerl_eval.core.errors import GradingError
from swerl_eval.core.types import Evaluation, Instance, Oracle, Regrade, Verdict
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import touches, unresolved_remark, write_report
from swerl_eval.evaluation.strict import CONTROL_OUTPUT, strict_verdict_from_logs
from swerl_eval.official import grading
from swerl_eval.ports import Source
from swerl_eval.records.log_files import PATCH, TEST_OUTPUT
from swerl_eval.records.run_folder import Run

BYTES_EACH = 4 * 2**20
"""Of logs for a process of its own: less is graded in the time that a process takes to start."""
EVALUATIONS_EACH = 16
"""That one process grades at a time."""
_FROM_LOGS = frozenset({Verdict.RESOLVED, Verdict.UNRESOLVED})


@dataclass(frozen=True)
class Change:
    """A verdict that came out otherwise."""

    before: Evaluation
    after: Evaluation

    @property
    def instance_id(self) -> str:
        """Of both."""
        return self.after.instance_id


@dataclass
class Regrading:
    """What came of grading a run's logs."""

    graded: int = 0
    changes: list[Change] = field(default_factory=list)
    """In the order of the records; also those where only the tests moved or a reason is another."""
    without: dict[str, str] = field(default_factory=dict)
    """Instances with a verdict that could not be graded, and why; it stays as it was."""
    seconds: float = 0.0


def regrade(run: Run, source: Source) -> Regrading:
    """Grade every evaluation of a run (open for writing); what changed is appended, and report.json written anew."""
    begun = time.monotonic()
    found = Regrading()
    instances = {instance.instance_id: instance for instance in source.instances()}
    tasks: dict[str, _Task] = {}
    for stored, logs in _evaluations(run):
        name = stored.instance_id
        if name not in instances:
            found.without[name] = "the dataset has no such instance any more"
        elif not (logs / TEST_OUTPUT).is_file():
            found.without[name] = f"{logs / TEST_OUTPUT} is gone"
        else:
            task = tasks.setdefault(name, _Task(instances[name], source.oracle(name)))
            task.evaluations.append((stored, logs))
    for graded in _all_graded(list(tasks.values())):
        found.graded += sum(not isinstance(after, str) for _, after, _ in graded)
        for before, after, logs in graded:
            if isinstance(after, str):
                found.without[before.instance_id] = after
            elif before != after:
                found.changes.append(Change(before, after))
                write_report(logs, after.instance_id, after.report or {})
    run.evaluations.append(*(change.after for change in found.changes))
    run.regrades.append(Regrade(source.fingerprint, grading.swebench_version(), found.graded, len(found.changes)))
    found.seconds = time.monotonic() - begun
    return found


@dataclass
class _Task:
    """The evaluations of one instance."""

    instance: Instance
    oracle: Oracle
    evaluations: list[tuple[Evaluation, Path]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its logs."""
        found = (logs / name for _, logs in self.evaluations for name in (TEST_OUTPUT, CONTROL_OUTPUT))
        return sum(path.stat().st_size for path in found if path.is_file())

    def pieces(self) -> list[_Task]:
        """The same in pieces that several processes can share."""
        step = EVALUATIONS_EACH
        pieces = [self.evaluations[start : start + step] for start in range(0, len(self.evaluations), step)]
        return [_Task(self.instance, self.oracle, piece) for piece in pieces]


_Graded = list[tuple[Evaluation, Evaluation | str, Path]]
"""Before, after (or why it could not be graded), where the logs are."""


def _all_graded(tasks: list[_Task]) -> Iterator[_Graded]:
    """Each task's evaluations graded; by several processes where there is enough to read for it to pay."""
    processes = min(os.cpu_count() or 1, math.ceil(sum(task.size for task in tasks) / BYTES_EACH))
    if processes <= 1:
        yield from map(_grade_task, tasks)
        return
    pieces = [piece for task in tasks for piece in task.pieces()]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_grade_task, pieces)


def _grade_task(task: _Task) -> _Graded:
    return [(stored, _graded(stored, task.instance, task.oracle, logs), logs) for stored, logs in task.evaluations]


def _evaluations(run: Run) -> Iterator[tuple[Evaluation, Path]]:
    """The verdicts that were computed from a log, and the folder where it lies."""
    chosen = {selection.instance_id: sha256(selection.patch) for selection in run.selections.values()}
    for stored in run.evaluations.values():
        name, patch = stored.instance_id, stored.patch_sha256
        if stored.verdict in _FROM_LOGS:
            yield stored, run.logs(name) if chosen.get(name) == patch else run.candidate_logs(name, patch)


def _graded(stored: Evaluation, instance: Instance, oracle: Oracle, logs: Path) -> Evaluation | str:
    try:
        return _graded_from_logs(stored, instance, oracle, logs)
    except GradingError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"


def _graded_from_logs(stored: Evaluation, instance: Instance, oracle: Oracle, logs: Path) -> Evaluation:
    patch = (logs / PATCH).read_bytes().decode("utf-8", "replace")
    # the file may have lost bytes that no UTF-8 has; which patch it was, the record says
    if stored.patch_sha256 == sha256(oracle.patch):
        patch = oracle.patch
    trial = EvaluationRun(instance, oracle, patch, logs)
    report = grading.grade(oracle, patch, logs / TEST_OUTPUT)
    graded = dataclasses.replace(
        stored,
        verdict=grading.verdict_of(report),
        report=report,
        gold_files=files_touched(oracle.patch),
        suspicious=tuple(map(str, touches(trial))),
    )
    graded = dataclasses.replace(graded, remark=unresolved_remark(graded, logs))
    return graded if stored.strict is None else strict_verdict_from_logs(trial, graded)
