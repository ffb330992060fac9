"""Grades a run's saved logs again, with today's dataset rows and the installed swebench. Needs no container.

Only verdicts that were computed from a log are computed again: resolved and unresolved ones. The others (empty and
failed patches, timeouts, machines that failed) stay as they are. The strict verdict is computed from the saved logs of
the control run.
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
from swerl_eval.evaluation.evaluator import unresolved_remark, write_report
from swerl_eval.evaluation.gold_patches import store_gold_patch
from swerl_eval.evaluation.strict import CONTROL_OUTPUT, strict_verdict_from_logs
from swerl_eval.official import grading, specification
from swerl_eval.ports import Source
from swerl_eval.records.log_files import PATCH, TEST_OUTPUT
from swerl_eval.records.run_folder import Run

BYTES_PER_PROCESS = 4 * 2**20
"""Bytes of logs that are worth a process: fewer are graded in the time that it takes to start one."""
EVALUATIONS_PER_PIECE = 16
"""Evaluations that one process grades at a time."""
_FROM_LOGS = frozenset({Verdict.RESOLVED, Verdict.UNRESOLVED})


@dataclass(frozen=True)
class Change:
    """An evaluation that differs after the regrading."""

    before: Evaluation
    after: Evaluation

    @property
    def instance_id(self) -> str:
        """Instance id, the same before and after."""
        return self.after.instance_id


@dataclass
class Regrading:
    """The result of grading a run's logs again."""

    graded: int = 0
    changes: list[Change] = field(default_factory=list)
    """In the order of the records; also where only single tests or a reason differ."""
    ungraded: dict[str, str] = field(default_factory=dict)
    """Instances whose log could not be graded, with the reason. Their verdict stays as it is."""
    seconds: float = 0.0


def regrade(run: Run, source: Source) -> Regrading:
    """Grade every evaluation of a run again.

    Args:
        run: The run, open for writing. Evaluations that differ are appended, and their report.json is written anew.
        source: The rows of its instances.
    """
    begun = time.monotonic()
    regrading = Regrading()
    tasks = _tasks(run, source, regrading)
    for task in tasks:
        store_gold_patch(run, task.oracle)
    for graded in _grade_all(tasks):
        regrading.graded += sum(not isinstance(after, str) for _, after, _ in graded)
        for before, after, logs in graded:
            if isinstance(after, str):
                regrading.ungraded[before.instance_id] = after
            elif before != after:
                regrading.changes.append(Change(before, after))
                write_report(logs, after.instance_id, after.report or {})
    run.evaluations.append(*(change.after for change in regrading.changes))
    swebench = specification.swebench_version()
    run.regrades.append(Regrade(source.fingerprint, swebench, regrading.graded, len(regrading.changes)))
    regrading.seconds = time.monotonic() - begun
    return regrading


def _tasks(run: Run, source: Source, regrading: Regrading) -> list[_Task]:
    """Return the evaluations to grade, by instance, and note those that cannot be."""
    instances = {instance.instance_id: instance for instance in source.instances()}
    tasks: dict[str, _Task] = {}
    for evaluation, logs in _evaluations(run):
        name = evaluation.instance_id
        if name not in instances:
            regrading.ungraded[name] = "the dataset has no such instance any more"
        elif not (logs / TEST_OUTPUT).is_file():
            regrading.ungraded[name] = f"{logs / TEST_OUTPUT} is gone"
        else:
            task = tasks.setdefault(name, _Task(instances[name], source.oracle(name)))
            task.evaluations.append((evaluation, logs))
    return list(tasks.values())


@dataclass
class _Task:
    """The evaluations of one instance."""

    instance: Instance
    oracle: Oracle
    evaluations: list[tuple[Evaluation, Path]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its logs."""
        paths = (logs / name for _, logs in self.evaluations for name in (TEST_OUTPUT, CONTROL_OUTPUT))
        return sum(path.stat().st_size for path in paths if path.is_file())

    def pieces(self) -> list[_Task]:
        """Return the same in pieces that several processes can share."""
        step = EVALUATIONS_PER_PIECE
        pieces = [self.evaluations[start : start + step] for start in range(0, len(self.evaluations), step)]
        return [_Task(self.instance, self.oracle, piece) for piece in pieces]


_Graded = list[tuple[Evaluation, Evaluation | str, Path]]
"""Evaluation before; evaluation after, or why it could not be graded; folder of the logs."""


def _grade_all(tasks: list[_Task]) -> Iterator[_Graded]:
    """Grade the evaluations of each task, in several processes when there is enough to read for it to pay."""
    processes = min(os.cpu_count() or 1, math.ceil(sum(task.size for task in tasks) / BYTES_PER_PROCESS))
    if processes <= 1:
        yield from map(_grade_task, tasks)
        return
    pieces = [piece for task in tasks for piece in task.pieces()]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_grade_task, pieces)


def _grade_task(task: _Task) -> _Graded:
    return [
        (evaluation, _graded(evaluation, task.instance, task.oracle, logs), logs)
        for evaluation, logs in task.evaluations
    ]


def _evaluations(run: Run) -> Iterator[tuple[Evaluation, Path]]:
    """Yield the evaluations that were computed from a log, each with the folder of its logs."""
    selected = {selection.instance_id: sha256(selection.patch) for selection in run.selections.values()}
    for evaluation in run.evaluations.values():
        name, patch = evaluation.instance_id, evaluation.patch_sha256
        if evaluation.verdict in _FROM_LOGS:
            yield evaluation, run.logs(name) if selected.get(name) == patch else run.candidate_logs(name, patch)


def _graded(evaluation: Evaluation, instance: Instance, oracle: Oracle, logs: Path) -> Evaluation | str:
    try:
        return _graded_from_logs(evaluation, instance, oracle, logs)
    except GradingError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"


def _graded_from_logs(evaluation: Evaluation, instance: Instance, oracle: Oracle, logs: Path) -> Evaluation:
    patch = (logs / PATCH).read_bytes().decode("utf-8", "replace")
    # the file may have lost bytes that UTF-8 does not have; the record says which patch it was
    if evaluation.patch_sha256 == sha256(oracle.patch):
        patch = oracle.patch
    run = EvaluationRun(instance, oracle, patch, logs)
    report = grading.grade(oracle.row, patch, logs / TEST_OUTPUT)
    graded = dataclasses.replace(
        evaluation,
        verdict=grading.verdict_of(report),
        report=report,
        gold_files=files_touched(oracle.patch),
        suspicious=tuple(map(str, run.touches)),
    )
    graded = dataclasses.replace(graded, remark=unresolved_remark(graded, logs))
    return graded if evaluation.strict is None else strict_verdict_from_logs(run, graded)
