"""Runs instances with their gold patch and with none, several times each: are they sound on this machine?

Nothing here looks into the cache of verdicts: what is asked is whether a run comes out the same again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from swerl_eval.core.types import Evaluation, Instance, Oracle
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.instance_check import InstanceCheck
from swerl_eval.progress import Progress
from swerl_eval.records.log_files import OFFICIAL_FILES

GOLD, EMPTY = "gold", "empty"
KINDS = (GOLD, EMPTY)
_Runs = dict[tuple[str, str, int], Evaluation]


@dataclass(frozen=True)
class Validator:
    """What validates. Logs go to `<folder>/<kind>/<instance>`, those of repetitions to a folder `2`, `3`, … in it.

    Logs of an earlier validation stay until the same run of the same instance begins anew.
    """

    evaluator: Evaluator
    limiter: anyio.CapacityLimiter
    """Containers at a time."""
    progress: Progress
    folder: Path
    repeat: int

    async def run(self, instances: Sequence[Instance], oracle: Callable[[str], Oracle]) -> list[InstanceCheck]:
        """Each instance as often as asked, repetition by repetition, so that repetitions are far apart."""
        found: _Runs = {}
        async with anyio.create_task_group() as group:
            for number in range(self.repeat):
                for instance in instances:
                    for kind in KINDS:
                        trial = (instance, oracle(instance.instance_id), kind, number)
                        group.start_soon(self._one, *trial, found)
        numbers = range(self.repeat)
        return [
            InstanceCheck(name, *(tuple(found[name, kind, number] for number in numbers) for kind in KINDS))
            for name in (instance.instance_id for instance in instances)
        ]

    async def _one(self, instance: Instance, oracle: Oracle, kind: str, number: int, found: _Runs) -> None:
        first = self.folder / kind / instance.instance_id
        logs = first / str(number + 1) if number else first
        async with self.limiter:
            patch = oracle.patch if kind == GOLD else ""
            evaluation = await self.evaluator.run_tests(instance, oracle, patch, logs)
        if number == self.repeat - 1:
            _remove_later_repetitions(first, self.repeat)
        self.progress.verdicts[f"{kind} {evaluation.verdict.value}"] += 1
        self.progress.finish("evaluate", resumed=False)
        found[instance.instance_id, kind, number] = evaluation


def _remove_later_repetitions(logs: Path, repeat: int) -> None:
    """Remove the logs of repetitions that an earlier validation made and this one does not; nothing else."""
    number = repeat + 1
    while (folder := logs / str(number)).is_dir():
        for name in OFFICIAL_FILES:
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()
        number += 1
