"""Containers that a crashed process left: found by their labels, and told from those of a process that lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

OWNER_LABEL = "swerl-eval.owner"
PROCESS_LABEL = "swerl-eval.process"


def labels(owner: str) -> dict[str, str]:
    """What marks a container of this process."""
    return {OWNER_LABEL: owner, PROCESS_LABEL: process_mark()}


def is_leftover(found: Mapping[str, str], owner: str) -> bool:
    """Whether a container with these labels belongs to this owner's crashed run, or to a dead process of this host."""
    return found.get(OWNER_LABEL) == owner or is_gone(found.get(PROCESS_LABEL, ""))


def process_mark() -> str:
    """Names this process: no later one has the same mark."""
    return _process(os.getpid())


def is_elsewhere(mark: str) -> bool:
    """Whether a mark is of another host, so that nobody here can tell whether its process lives."""
    return mark.partition(" ")[0] != socket.gethostname() or not _boot()


def is_gone(mark: str) -> bool:
    """Whether a mark's process was one of this host and lives no more."""
    rest = mark.partition(" ")[2]
    if is_elsewhere(mark):
        return False
    pid = rest.split(" ")[1] if rest.count(" ") == 2 else ""
    return bool(pid) and _process(int(pid)) != mark


def _process(pid: int) -> str:
    """Host, boot, process number and its start: no later process has the same."""
    try:
        # the name in parentheses may hold blanks; the start time is the 20th field after it
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        started = "gone"
    return f"{socket.gethostname()} {_boot()} {pid} {started}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
