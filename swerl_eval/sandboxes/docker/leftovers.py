"""Tells containers that a crashed process left from those of a process that may be alive.

A container carries two labels: its owner (a run folder on a host, `compose.owner_of`) and the mark of the process that
made it (host, boot, PID namespace, process number and start time). A container of a dead process is removed by the
next start of any command on the same host. A container whose process may be alive stays.

| process that made it                                        | container of this owner | of another one |
|-------------------------------------------------------------|-------------------------|----------------|
| lives on this host                                          | stays                   | stays          |
| ended on this host, or was one of an earlier boot of it     | is removed              | is removed     |
| cannot be asked: another host or PID namespace, no `/proc`  | is removed              | stays          |

In the last line, the containers of this owner may be removed because whoever opens a sandbox for an owner holds the
lock of its run folder, so no other process works for that owner. A host is its name and its machine ID. Two commands in
different containers of one machine do not see each other's processes; they are in different PID namespaces and cannot
ask for each other.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

OWNER_LABEL = "swerl-eval.owner"
PROCESS_LABEL = "swerl-eval.process"
_MARK_FIELDS = 5


def labels(owner: str) -> dict[str, str]:
    """Labels for a container that this process makes for `owner`."""
    return {OWNER_LABEL: owner, PROCESS_LABEL: process_mark()}


def is_leftover(container_labels: Mapping[str, str], owner: str) -> bool:
    """Whether the process that holds the lock of `owner` is to remove a container with these labels."""
    mark = container_labels.get(PROCESS_LABEL, "")
    if is_gone(mark):
        return True
    return bool(owner) and container_labels.get(OWNER_LABEL) == owner and is_elsewhere(mark)


def process_mark() -> str:
    """Mark of this process; no later process has the same."""
    return _mark_of(os.getpid())


def is_elsewhere(mark: str) -> bool:
    """Whether this process cannot tell if a mark's process is alive: another host or PID namespace, or no `/proc`."""
    host, boot, namespace, _, _ = _fields(mark)
    if host != host_name() or not boot or not _boot():
        return True
    return boot == _boot() and namespace != _namespace()


def is_gone(mark: str) -> bool:
    """Whether a mark's process ran on this host and is dead."""
    if is_elsewhere(mark):
        return False
    return _mark_of(int(_fields(mark)[3])) != mark


@functools.cache
def host_name() -> str:
    """Name of this host that differs from those of other hosts, also of hosts with the same hostname."""
    machine_id = _read_text("/etc/machine-id")
    # hashed: the machine ID itself should not leave its machine
    return f"{socket.gethostname()}.{hashlib.sha256(f'swerl-eval {machine_id}'.encode()).hexdigest()[:12]}"


def _fields(mark: str) -> tuple[str, str, str, str, str]:
    """Host, boot, PID namespace, process number and start time; all empty for a mark of another form."""
    fields = mark.split(" ")
    if len(fields) != _MARK_FIELDS or not fields[3].isdecimal():
        return "", "", "", "", ""
    host, boot, namespace, number, started = fields
    return host, boot, namespace, number, started


def _mark_of(number: int) -> str:
    # the process name in parentheses may hold blanks; after it, the state is the first field, the start time the 20th
    fields = _read_text(f"/proc/{number}/stat").rpartition(")")[2].split()
    ended = len(fields) < 20 or fields[0] in {"Z", "X"}  # a zombie counts as dead
    started = "gone" if ended else fields[19]
    return f"{host_name()} {_boot()} {_namespace()} {number} {started}"


def _boot() -> str:
    return _read_text("/proc/sys/kernel/random/boot_id")


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read_text(path: str) -> str:
    """A file's text, or an empty text where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
