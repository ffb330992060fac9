"""Grades a run's saved logs again, with the dataset's rows and the swebench of now. No container, no engine.

Only verdicts that were computed from a log are computed again: resolved and unresolved ones. What never got as far
(empty and failed patches, timeouts, machines that failed) stays as it was. The strict verdict is computed from the
saved logs of the control run.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from swerl_eval import grading
from swerl_eval.core.diffs import files_touched, sha256
from swerl_eval.core.types import Evaluation, Instance, Oracle, Regrade, Verdict
from swerl_eval.ports import Source
from swerl_eval.stages.control import strict_verdict_from_logs
from swerl_eval.stages.evaluate import PATCH, TEST_OUTPUT, touches, write_report
from swerl_eval.stages.trial import Trial
from swerl_eval.store import Run

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
    oracles: dict[str, Oracle] = {}
    for stored, logs in _evaluations(run):
        instance = instances.get(stored.instance_id)
        if instance is None:
            found.without[stored.instance_id] = "the dataset has no such instance any more"
        elif not (logs / TEST_OUTPUT).is_file():
            found.without[stored.instance_id] = f"{logs / TEST_OUTPUT} is gone"
        else:
            oracle = oracles.setdefault(stored.instance_id, source.oracle(stored.instance_id))
            graded = _graded(stored, instance, oracle, logs)
            found.graded += 1
            if graded != stored:
                found.changes.append(Change(stored, graded))
                write_report(logs, stored.instance_id, graded.report or {})
    run.evaluations.append(*(change.after for change in found.changes))
    run.regrades.append(Regrade(source.fingerprint, grading.swebench_version(), found.graded, len(found.changes)))
    found.seconds = time.monotonic() - begun
    return found


def _evaluations(run: Run) -> Iterator[tuple[Evaluation, Path]]:
    """The verdicts that were computed from a log, and the folder where it lies."""
    chosen = {selection.instance_id: sha256(selection.patch) for selection in run.selections.values()}
    for stored in run.evaluations.values():
        name, patch = stored.instance_id, stored.patch_sha256
        if stored.verdict in _FROM_LOGS:
            yield stored, run.logs(name) if chosen.get(name) == patch else run.candidate_logs(name, patch)


def _graded(stored: Evaluation, instance: Instance, oracle: Oracle, logs: Path) -> Evaluation:
    patch = (logs / PATCH).read_bytes().decode("utf-8", "replace")
    # the file may have lost bytes that no UTF-8 has; which patch it was, the record says
    if stored.patch_sha256 == sha256(oracle.patch):
        patch = oracle.patch
    trial = Trial(instance, oracle, patch, logs)
    report = grading.grade(oracle, patch, logs / TEST_OUTPUT)
    graded = dataclasses.replace(
        stored,
        verdict=grading.verdict_of(report),
        report=report,
        gold_files=files_touched(oracle.patch),
        suspicious=tuple(map(str, touches(trial))),
    )
    return graded if stored.strict is None else strict_verdict_from_logs(trial, graded)
