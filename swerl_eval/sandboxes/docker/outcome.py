"""Says how a job ended: from what the engine reports about its container to a result or an error."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Job, JobResult

KILLED = 137
"""Exit code of a container that was killed. The job's shell is its first process, which nothing inside can kill."""


class Exceeded(Enum):
    """A limit for which this process kills a container."""

    TIME = "time"
    DISK = "disk"


def job_result(
    job: Job,
    inspection: Mapping[str, Any],
    *,
    exceeded: Exceeded | None,
    seconds: float,
    log_truncated: bool,
    disk_full: bool,
) -> JobResult:
    """Result of a job whose container has ended.

    Args:
        job: The job.
        inspection: What the engine's API says of the container after its end.
        exceeded: The limit for which this process killed the container, if any.
        seconds: From the container's start to its end.
        log_truncated: Whether part of the output was left out of the log.
        disk_full: Whether the engine's disk was full while the job ran.

    Raises:
        SandboxError: Somebody else killed or removed the container.
    """
    state = inspection["State"]
    exit_code, out_of_memory = int(state["ExitCode"]), bool(state["OOMKilled"])
    killed_by_others = exit_code == KILLED and exceeded is None and not out_of_memory
    if killed_by_others or state["Status"] == "removing":
        message = f"the container of {job.name} was killed or removed by somebody else"
        raise SandboxError(message)
    return JobResult(
        exit_code=exit_code,
        timed_out=exceeded is Exceeded.TIME,
        out_of_memory=out_of_memory,
        seconds=seconds,
        log=job.log,
        log_truncated=log_truncated,
        image_id=str(inspection["Image"]),
        disk_exceeded=exceeded is Exceeded.DISK,
        disk_full=disk_full,
    )
