"""Tries jobs again that the machine failed: put around any sandbox, and a sandbox itself.

An engine that is away is waited for, one `patience` for all jobs together: when it is up, each further job fails after
one try, until one gets through. What else may pass (a container killed or removed by somebody else, a full disk) is
tried `TRIES` times, an image that vanished is looked for once more; one that its registry does not give was asked for
with patience of its own. After that it is the error of the last try, with
the number of tries. Nothing that the job itself does is tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, ImageRefusedError, SandboxError
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import UNWATCHED, Sandbox, SandboxSettings, Watcher

PATIENCE = 60.0
"""Seconds for an engine to come back. A restart that has to stop containers first was seen to take 12."""
TRIES = {ImageMissingError: 2, SandboxError: 3}
"""By kind of error, the first that fits; an engine that is away is counted by time."""
FULL_DISK_TRIES = 2
"""For a job that ran while the engine's disk was full: its neighbours may have filled it, and be gone by now."""
ENGINE = "the Docker engine"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


class RetryingSandbox:
    """Another sandbox, which gets jobs again that failed for a reason that may pass (a `ports.Sandbox`)."""

    def __init__(
        self,
        inner: Sandbox,
        patience: float = PATIENCE,
        first_pause: float = FIRST_PAUSE,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._inner = inner
        self._watcher = watcher
        self._patience = patience
        self._first_pause = first_pause
        self._away_since: float | None = None

    @classmethod
    def open(cls, settings: SandboxSettings) -> RetryingSandbox:
        """Around Docker; the composition root puts it around whatever is configured."""
        from swerl_eval.sandboxes.docker.sandbox import DockerSandbox

        return cls(DockerSandbox.open(settings), watcher=settings.watcher)

    def machine(self) -> Machine:
        """The inner sandbox's."""
        return self._inner.machine()

    def pressure(self) -> float | None:
        """The inner sandbox's."""
        return self._inner.pressure()

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """The inner sandbox's; nothing is tried again before a run begins."""
        return await self._inner.check(images)

    def prefetch(self, images: Sequence[str]) -> None:
        """The inner sandbox's."""
        self._inner.prefetch(images)

    async def image_id(self, image: str) -> str:
        """The inner sandbox's."""
        return await self._inner.image_id(image)

    async def run(self, job: Job) -> JobResult:
        """Run one job, again where the machine failed it. Each try is a fresh container and writes the log anew."""
        tries: Counter[type[SandboxError]] = Counter()
        full = 0
        while True:
            try:
                result = await self._inner.run(job)
            except SandboxError as error:
                kind = next(kind for kind in (EngineUnavailableError, *TRIES) if isinstance(error, kind))
                tries[kind] += 1
                if isinstance(error, ImageRefusedError) or not self._worth_another(kind, tries[kind]):
                    message = f"{error} (tried {_times(tries.total() + full)})"
                    raise type(error)(message) from error
            else:
                self._is_back()
                full += 1
                if not result.disk_full or result.disk_exceeded or full == FULL_DISK_TRIES:
                    return result
            await anyio.sleep(min(self._first_pause * 2 ** (tries.total() + full - 1), LONGEST_PAUSE))

    def _worth_another(self, kind: type[SandboxError], tries: int) -> bool:
        if kind is not EngineUnavailableError:
            self._is_back()
            return tries < TRIES[kind]
        now = anyio.current_time()
        if self._away_since is None:
            self._away_since = now
            self._watcher.waiting(ENGINE, f"it does not answer; tried again for {self._patience:.0f} s")
        worth = now - self._away_since < self._patience
        if not worth:
            self._watcher.waiting(ENGINE, "")
        return worth

    def _is_back(self) -> None:
        self._away_since = None
        self._watcher.waiting(ENGINE, "")

    def abort(self) -> None:
        """The inner sandbox's, where it has one."""
        getattr(self._inner, "abort", lambda: None)()

    async def aclose(self) -> None:
        """The inner sandbox's."""
        await self._inner.aclose()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
