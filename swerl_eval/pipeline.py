"""All instances of a run: in which order they start, how many at once, and what becomes of those that fail.

`instance_run.py` carries one instance through the stages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio

from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import GradingError, SandboxError, SourceError, cause_of
from swerl_eval.core.types import Failure, Instance
from swerl_eval.instance_run import InstanceRun
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.run_context import RunContext
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import STAGES, Parts, Settings

SAMPLES_IN_A_REQUEST = 16
"""How many samples of one instance are assumed to be in flight at once, for the number of instances to start."""


class Pipeline:
    """Carries the instances of a run through the stages, up to the stage `until`."""

    def __init__(
        self, run: Run, parts: Parts, settings: Settings, progress: Progress, workers: Workers, until: str = STAGES[-1]
    ) -> None:
        self._run = run
        self._progress = progress
        self._queue = RequestQueue(settings.requests)
        self._context = RunContext(run, parts, settings, progress, self._queue, workers.limiter, until)
        # Enough instances at once to keep both the sampler and the containers busy; more would only hold memory.
        sampling = math.ceil(settings.requests / min(settings.repair.samples, SAMPLES_IN_A_REQUEST))
        self._in_flight = anyio.CapacityLimiter(sampling + 2 * workers.maximum)
        self.failures: dict[str, str] = {}
        """Instances that could not be worked on, with the reason. A resume tries them again."""

    async def run(self, instances: Sequence[Instance]) -> None:
        """Carry every instance to the last stage. Records land in the run folder as they come."""
        self._progress.total = len(instances)
        async with anyio.create_task_group() as group:
            for instance in instances:
                self._queue.register(instance.instance_id)  # requests are served in this order of instances
                await self._in_flight.acquire_on_behalf_of(instance.instance_id)
                group.start_soon(self._run_instance, instance)

    async def _run_instance(self, instance: Instance) -> None:
        """Run one instance. What fails in it alone is stored, and does not end the others."""
        name = instance.instance_id
        try:
            await InstanceRun(instance, self._context).run()
            if name in self._run.failures:
                self._run.failures.remove_if(name.__eq__)
        except Exception as error:
            cause = cause_of(error)
            if not isinstance(cause, SourceError | SandboxError | GradingError):
                raise
            self.failures[name] = str(cause)
            self._run.failures.append(Failure(name, sendable(str(cause))))
        finally:
            self._in_flight.release_on_behalf_of(name)
