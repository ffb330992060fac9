"""Verdicts on patches outside of a run: nothing is stored but what the cache of verdicts keeps."""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Evaluation, Instance
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.ports import Source


@dataclass
class JudgeFigures:
    """What a judge has done."""

    run: int = 0
    """Patches that took a container."""
    cached: int = 0
    """Patches whose verdict was in the cache."""
    shared: int = 0
    """Patches that were asked for again while they ran."""


class _Job:
    """A patch that runs or waits for a container."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()
        self.waiters = 0
        self.evaluation: Evaluation | None = None
        self.error: Exception | None = None


class PatchJudge:
    """Gives patches their verdicts. A patch that is asked for while it runs is not run again.

    Args:
        source: Gives the answers.
        evaluator: Evaluates, with its cache.
        containers: Containers in flight.
        folder: Logs are kept below it while a patch runs.
        group: Patches run in it, so that those who wait may be cancelled in any way: a container is removed by its own
            scope alone. The shielded steps of a removal bear no cancellation by asyncio.
    """

    def __init__(
        self,
        source: Source,
        evaluator: CachedEvaluator,
        containers: anyio.CapacityLimiter,
        folder: Path,
        group: TaskGroup,
    ) -> None:
        self._source = source
        self._evaluator = evaluator
        self._containers = containers
        self._folder = folder
        self._group = group
        self._jobs: dict[tuple[str, str], _Job] = {}
        self.figures = JudgeFigures()

    @property
    def waiting(self) -> int:
        """Patches that run or wait for a container."""
        return len(self._jobs)

    def runs(self, instance: Instance, patch: str) -> bool:
        """Whether a patch runs or waits already."""
        return (instance.instance_id, sha256(patch)) in self._jobs

    async def judge(self, instance: Instance, patch: str) -> Evaluation:
        """Return the verdict on a patch. When everyone who waits for it is cancelled, its container is removed.

        Raises:
            SandboxError: The judge's task group was cancelled.
        """
        key = (instance.instance_id, sha256(patch))
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job()
            self._group.start_soon(self._run, job, key, instance, patch)
        else:
            self.figures.shared += 1
        job.waiters += 1
        try:
            await job.done.wait()
        finally:
            job.waiters -= 1
            if not job.waiters and not job.done.is_set():
                job.scope.cancel()
                self._forget(key, job)  # who asks for it from now on has it run anew
        if job.error is not None:
            raise job.error
        if job.evaluation is None:
            message = "the sandbox was closed before there was a verdict"
            raise SandboxError(message)
        return job.evaluation

    async def _run(self, job: _Job, key: tuple[str, str], instance: Instance, patch: str) -> None:
        try:
            with job.scope:
                job.evaluation = await self._evaluate(instance, patch)
        except Exception as error:  # noqa: BLE001 - raised by those who wait
            job.error = error
        finally:
            job.done.set()
            self._forget(key, job)

    def _forget(self, key: tuple[str, str], job: _Job) -> None:
        if self._jobs.get(key) is job:
            del self._jobs[key]

    async def _evaluate(self, instance: Instance, patch: str) -> Evaluation:
        self._folder.mkdir(exist_ok=True)  # a machine may clean its folder of temporary files while a pool is open
        logs = Path(tempfile.mkdtemp(dir=self._folder))
        run = EvaluationRun(instance, self._source.oracle(instance.instance_id), patch, logs)
        try:
            known = await self._evaluator.lookup(run)
            if known.whole is not None:
                self.figures.cached += 1
                return known.whole
            async with self._containers:
                self.figures.run += 1
                return await self._evaluator.evaluate(run, known)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(functools.partial(shutil.rmtree, logs, ignore_errors=True))
