"""Runs instances with their gold patch and with none, several times each, to see whether this machine can trust them.

The verdict cache is not used here: the question is whether a run comes out the same again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import anyio

from swerl_eval.core.types import Evaluation, Instance
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.instance_check import InstanceCheck
from swerl_eval.ports import Source
from swerl_eval.progress import Progress
from swerl_eval.records.log_files import OFFICIAL_FILES

GOLD, EMPTY = "gold", "empty"
KINDS = (GOLD, EMPTY)
_Evaluations = dict[tuple[str, str, int], Evaluation]
"""By instance id, kind and number of the repetition."""


@dataclass(frozen=True)
class Validator:
    """Validates instances. Logs go to `<folder>/<kind>/<instance>`, those of repetitions to a folder `2`, `3`, … in it.

    Logs of an earlier validation stay until the same run of the same instance begins anew.
    """

    source: Source
    evaluator: Evaluator
    containers: anyio.CapacityLimiter
    """Containers in flight."""
    progress: Progress
    folder: Path
    repeat: int

    async def run(self) -> list[InstanceCheck]:
        """Run each instance `repeat` times. All instances come before the next repetition, so these are far apart."""
        instances = self.source.instances()
        evaluations: _Evaluations = {}
        async with anyio.create_task_group() as group:
            for number in range(self.repeat):
                for instance in instances:
                    for kind in KINDS:
                        group.start_soon(self._run_once, instance, kind, number, evaluations)
        return [self._check(instance.instance_id, evaluations) for instance in instances]

    def _check(self, name: str, evaluations: _Evaluations) -> InstanceCheck:
        gold, empty = (tuple(evaluations[name, kind, number] for number in range(self.repeat)) for kind in KINDS)
        return InstanceCheck(name, gold, empty)

    async def _run_once(self, instance: Instance, kind: str, number: int, evaluations: _Evaluations) -> None:
        first = self.folder / kind / instance.instance_id
        logs = first / str(number + 1) if number else first
        oracle = self.source.oracle(instance.instance_id)
        run = EvaluationRun(instance, oracle, oracle.patch if kind == GOLD else "", logs)
        async with self.containers:
            evaluation = await self.evaluator.run_tests(run)
        if number == self.repeat - 1:
            _remove_later_repetitions(first, self.repeat)
        self.progress.verdicts[f"{kind} {evaluation.verdict.value}"] += 1
        self.progress.finish("evaluate", resumed=False)
        evaluations[instance.instance_id, kind, number] = evaluation


def _remove_later_repetitions(logs: Path, repeat: int) -> None:
    """Remove the logs of repetitions that an earlier validation made and this one does not; nothing else."""
    number = repeat + 1
    while (folder := logs / str(number)).is_dir():
        for name in OFFICIAL_FILES:
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()
        number += 1
