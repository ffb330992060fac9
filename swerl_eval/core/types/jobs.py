"""Scripts to run in containers, and how they end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one container may use."""

    memory: int | None = None
    """Bytes; None is no limit."""
    cpus: float | None = None
    pids: int | None = None
    network: str = "bridge"
    """Docker network mode: `bridge`, or `none`."""
    disk: int | None = None
    """Bytes that it may write."""


@dataclass(frozen=True)
class Job:
    """A script to run in a fresh container, as data: it can be shipped to another machine or hashed."""

    name: str
    """Shown in the list of containers."""
    image: str
    script: str
    """Bash, built by `core.jobs`, never from a model's text. It must not end with exit code 137, which means that the
    container was killed from outside."""
    files: tuple[tuple[str, bytes], ...]
    """Absolute paths and contents, copied into the container before the start."""
    limits: Limits
    timeout: float
    """Seconds for the whole script; then the container is killed."""
    log: str
    """Path of the file for the output (both streams, in order)."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that are set unless the image sets them itself."""
    max_log_bytes: int = 256 * 2**20
    """Of a longer output, the middle is left out (a line counts more than its bytes); the end is always kept."""


@dataclass(frozen=True)
class JobResult:
    """How a job ended."""

    exit_code: int
    timed_out: bool
    out_of_memory: bool
    seconds: float
    """From the container's start to its end."""
    log: str
    log_truncated: bool = False
    image_id: str = ""
    """Digest of the image that was run."""
    disk_exceeded: bool = False
    """Whether it was killed because it wrote more than its limit."""
    disk_full: bool = False
    """Whether the engine's disk was full when the job ended, for whatever reason."""


@dataclass(frozen=True)
class Machine:
    """The machine that ran the containers (`machines.jsonl`); scores can differ between engines."""

    engine: str
    """Name and version."""
    architecture: str
    cpus: float
    memory: int
    """Bytes."""
    kernel: str = ""
