"""Runs jobs again that failed through no fault of their own: a sandbox around any other sandbox.

- An engine that does not answer is waited for, `patience` seconds for all jobs together. After that, each job fails
  after one try, until a job gets through again.
- Other errors that may pass (a container that somebody else killed, a full disk) are tried `TRIES` times. An image that
  vanished is looked for once more; one that its registry refuses is not, since the pull has its own retries.
- What the job itself does is never tried again.

A job that fails for good raises the error of its last try, with the number of tries.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence

import anyio
import tenacity

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, ImageRefusedError, SandboxError
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import UNWATCHED, Sandbox, SandboxSettings, Watcher

PATIENCE = 60.0
"""Seconds for an engine to come back. A restart that has to stop containers first was seen to take 12."""
TRIES = {ImageMissingError: 2, SandboxError: 3}
"""By kind of error; the first that fits counts. An engine that does not answer is limited by time instead."""
FULL_DISK_TRIES = 2
"""For a job that ran while the engine's disk was full: other jobs may have filled it and ended since."""
ENGINE = "the Docker engine"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two tries; pauses double."""


class RetryingSandbox:
    """Another sandbox, with jobs run again that failed for a reason that may pass (a `ports.Sandbox`)."""

    def __init__(
        self,
        inner: Sandbox,
        patience: float = PATIENCE,
        first_pause: float = FIRST_PAUSE,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        """Wrap a sandbox.

        Args:
            inner: The sandbox that runs the jobs.
            patience: Seconds to wait for an engine that does not answer.
            first_pause: Seconds between the first two tries.
            watcher: Is told when the engine is waited for.
        """
        self._inner = inner
        self._watcher = watcher
        self._patience = patience
        self._first_pause = first_pause
        self._unavailable_since: float | None = None

    @classmethod
    def open(cls, settings: SandboxSettings) -> RetryingSandbox:
        """A Docker sandbox with retries. The composition root wraps whichever sandbox is configured."""
        from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

        return cls(DockerSandbox.open(settings), watcher=settings.watcher)

    @property
    def queues_jobs(self) -> bool:
        """Whether the inner sandbox decides itself which jobs are next."""
        return getattr(self._inner, "queues_jobs", False)

    def machines(self) -> Sequence[Machine]:
        """The inner sandbox's machines."""
        return self._inner.machines()

    def pressure(self) -> float | None:
        """The inner sandbox's pressure."""
        return self._inner.pressure()

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """The inner sandbox's check; nothing is tried again before a run begins."""
        return await self._inner.check(images)

    def prefetch(self, images: Sequence[str]) -> None:
        """Prefetch by the inner sandbox."""
        self._inner.prefetch(images)

    async def image_id(self, image: str) -> str:
        """The inner sandbox's image id."""
        return await self._inner.image_id(image)

    async def run(self, job: Job) -> JobResult:
        """Run one job, with retries. Each try is a fresh container and overwrites the log."""
        attempts = tenacity.AsyncRetrying(
            retry=functools.partial(self._is_worth_retrying, Counter()),
            wait=tenacity.wait_exponential(multiplier=self._first_pause, max=LONGEST_PAUSE),
            sleep=anyio.sleep,
        )
        try:
            return await attempts(self._inner.run, job)
        except SandboxError as error:
            message = f"{error} (tried {_times(attempts.statistics['attempt_number'])})"
            raise type(error)(message) from error

    def _is_worth_retrying(self, errors: Counter[type[SandboxError]], state: tenacity.RetryCallState) -> bool:
        """Return whether a try should be followed by another one; `errors` counts those of this job by kind."""
        if state.outcome is None:
            return False
        error = state.outcome.exception()
        if error is None:
            self._engine_answered()
            result: JobResult = state.outcome.result()
            results = state.attempt_number - errors.total()
            return result.disk_full and not result.disk_exceeded and results < FULL_DISK_TRIES
        if not isinstance(error, SandboxError) or isinstance(error, ImageRefusedError):
            return False
        if isinstance(error, EngineUnavailableError):
            errors[EngineUnavailableError] += 1
            return self._has_patience()
        self._engine_answered()
        kind = next(kind for kind in TRIES if isinstance(error, kind))
        errors[kind] += 1
        return errors[kind] < TRIES[kind]

    def _has_patience(self) -> bool:
        """Return whether an engine that does not answer is still waited for."""
        now = anyio.current_time()
        if self._unavailable_since is None:
            self._unavailable_since = now
            self._watcher.waiting(ENGINE, f"it does not answer; tried again for {self._patience:.0f} s")
        has_time = now - self._unavailable_since < self._patience
        if not has_time:
            self._watcher.waiting(ENGINE, "")
        return has_time

    def _engine_answered(self) -> None:
        self._unavailable_since = None
        self._watcher.waiting(ENGINE, "")

    def abort(self) -> None:
        """Abort the inner sandbox, where it can be aborted."""
        getattr(self._inner, "abort", lambda: None)()

    async def aclose(self) -> None:
        """Close the inner sandbox."""
        await self._inner.aclose()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
