"""The sandbox that runs nothing: it gives the answers it was told to give. For tests, and for trying a pipeline dry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, ENDED, NOT_APPLIED, TOKEN_FILE
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import UNWATCHED, SandboxSettings, Watcher


@dataclass(frozen=True)
class Reply:
    """How a job is to end."""

    output: bytes = b""
    exit_code: int = 0
    timed_out: bool = False
    out_of_memory: bool = False
    seconds: float = 0.0
    """Also how long it takes, so that concurrency can be seen."""


class ScriptedSandbox:
    """Answers every job by a function (a `ports.Sandbox`); keeps the jobs for whoever wants to look."""

    def __init__(self, reply: Callable[[Job], Reply] | None = None, watcher: Watcher = UNWATCHED) -> None:
        self._reply = reply or (lambda job: evaluation_reply(job, b""))
        self._watcher = watcher
        self.jobs: list[Job] = []

    @classmethod
    def open(cls, settings: SandboxSettings) -> ScriptedSandbox:
        """Needs nothing of the settings but who watches."""
        return cls(watcher=settings.watcher)

    def machine(self) -> Machine:
        """No machine at all."""
        return Machine("scripted", "none", 1.0, 0)

    def pressure(self) -> float | None:
        """Nothing runs."""
        return None

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """Needs no image."""
        del images
        return {}

    def prefetch(self, images: Sequence[str]) -> None:
        """Needs no image."""

    async def image_id(self, image: str) -> str:
        """Every image is the same."""
        del image
        return "scripted"

    async def run(self, job: Job) -> JobResult:
        """Write the told output to the job's log."""
        self.jobs.append(job)
        reply = self._reply(job)
        self._watcher.running(job.log, now=True)
        try:
            await anyio.sleep(reply.seconds)
        finally:
            self._watcher.running(job.log, now=False)
        log = Path(job.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(reply.output)
        return JobResult(
            reply.exit_code, reply.timed_out, reply.out_of_memory, reply.seconds, job.log, image_id="scripted"
        )

    async def aclose(self) -> None:
        """Nothing is held."""


def evaluation_reply(job: Job, test_output: bytes, *, applied: bool = True, timed_out: bool = False) -> Reply:
    """The reply of an evaluation job whose tests print `test_output`, or whose patch does not apply."""
    token = next((content.decode().strip() for path, content in job.files if path == TOKEN_FILE), "")
    if not applied:
        return Reply(f"error: patch failed\n{token} {NOT_APPLIED}\n".encode(), exit_code=96)
    begun = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
    return Reply(begun + test_output + f"\n{token} {ENDED} 0 2.0\n".encode(), timed_out=timed_out)
