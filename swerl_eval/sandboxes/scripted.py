"""The sandbox that runs nothing: it gives the answers it was told to give. For tests, and for trying a pipeline dry."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from swerl_eval.core.scripts import APPLIED, APPLY_LADDER, NOT_APPLIED
from swerl_eval.core.types import Job, JobResult


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

    def __init__(self, owner: str = "", workers: int = 1, reply: Callable[[Job], Reply] | None = None) -> None:
        del owner, workers  # what real sandboxes need
        self._reply = reply or (lambda job: evaluation_reply(job, b""))
        self.jobs: list[Job] = []

    def check(self, images: Sequence[str]) -> None:
        """Needs no image."""

    async def run(self, job: Job) -> JobResult:
        """Write the told output to the job's log."""
        self.jobs.append(job)
        reply = self._reply(job)
        await anyio.sleep(reply.seconds)
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
    token = re.search(rf'echo "(\S+) {NOT_APPLIED}"', job.script)
    name = token[1] if token else ""
    if not applied:
        return Reply(f"error: patch failed\n{name} {NOT_APPLIED}\n".encode(), exit_code=96)
    return Reply(f"{name} {APPLIED} {APPLY_LADDER[0]}\n".encode() + test_output, timed_out=timed_out)
