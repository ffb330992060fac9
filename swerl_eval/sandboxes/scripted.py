"""A sandbox that runs nothing and gives scripted replies: for tests, and for trying out a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, ENDED, NOT_APPLIED, TOKEN_FILE
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import UNWATCHED, SandboxSettings, Watcher
from swerl_eval.sandboxes.capped_log import CappedLog


@dataclass(frozen=True)
class Reply:
    """How a job ends."""

    output: bytes = b""
    exit_code: int = 0
    timed_out: bool = False
    out_of_memory: bool = False
    seconds: float = 0.0
    """How long the job takes, in real time too, so that tests can see concurrency."""


class ScriptedSandbox:
    """Answers each job by a function, and keeps the jobs for tests (a `ports.Sandbox`)."""

    def __init__(self, reply: Callable[[Job], Reply] | None = None, watcher: Watcher = UNWATCHED) -> None:
        """Set up the replies.

        Args:
            reply: Returns the reply to a job. None: each patch applies, and tests print nothing.
            watcher: Is told of the jobs that run.
        """
        self._reply = reply or (lambda job: evaluation_reply(job, b""))
        self._watcher = watcher
        self.jobs: list[Job] = []

    @classmethod
    def open(cls, settings: SandboxSettings) -> ScriptedSandbox:
        """A sandbox with the default replies; of the settings it uses the watcher only."""
        return cls(watcher=settings.watcher)

    def machines(self) -> Sequence[Machine]:
        """No machine at all."""
        return [Machine("scripted", "none", 1.0, 0)]

    def pressure(self) -> float | None:
        """None: nothing runs."""
        return None

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """No image is missing, since none is needed."""
        del images
        return {}

    def prefetch(self, images: Sequence[str]) -> None:
        """Do nothing: no image is needed."""

    async def image_id(self, image: str) -> str:
        """The same id for every image."""
        del image
        return "scripted"

    async def run(self, job: Job) -> JobResult:
        """Take the reply's time, at most the job's limit, and write its output to the job's log."""
        self.jobs.append(job)
        reply = self._reply(job)
        self._watcher.running(job.log, now=True)
        try:
            await anyio.sleep(min(reply.seconds, job.timeout))
        finally:
            self._watcher.running(job.log, now=False)
        with CappedLog(Path(job.log), job.max_log_bytes) as log:
            log.write(reply.output)
        return JobResult(
            reply.exit_code,
            timed_out=reply.timed_out or reply.seconds > job.timeout,
            out_of_memory=reply.out_of_memory,
            seconds=min(reply.seconds, job.timeout),
            log=job.log,
            log_truncated=log.truncated,
            image_id="scripted",
        )

    async def aclose(self) -> None:
        """Do nothing: nothing is held."""


def evaluation_reply(job: Job, test_output: bytes, *, applied: bool = True, timed_out: bool = False) -> Reply:
    """Reply to an evaluation job.

    Args:
        job: The job, which carries the token of its output's sections.
        test_output: What its tests print.
        applied: Whether its patch applies; the tests do not run otherwise.
        timed_out: Whether it was killed at its time limit.
    """
    token = next((content.decode().strip() for path, content in job.files if path == TOKEN_FILE), "")
    if not applied:
        return Reply(f"error: patch failed\n{token} {NOT_APPLIED}\n".encode(), exit_code=96)
    head = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
    return Reply(head + test_output + f"\n{token} {ENDED} 0 2.0\n".encode(), timed_out=timed_out)
