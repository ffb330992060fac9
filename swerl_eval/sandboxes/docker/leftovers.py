"""Containers that a crashed process left: found by their labels, and told from those of a process that lives.

Nothing that may live is removed; what is surely dead is removed by the next start of any command on its host, whoever
made it. A container carries two labels: its owner (a run folder on a host, `compose.owner_of`) and the process that
made it (its host, boot, PID namespace, number and start).

| process that made it                                        | container of this owner | of another one |
|-------------------------------------------------------------|-------------------------|----------------|
| lives on this host                                          | stays                   | stays          |
| ended on this host, or was one of an earlier boot of it     | is removed              | is removed     |
| cannot be asked: another host or PID namespace, no `/proc`  | is removed              | stays          |

The last line rests on the lock of the run folder: who opens a sandbox for an owner holds it, so no other process of
that owner works. A host is its name and its machine ID; two commands in containers of one machine that see each
other's processes as absent are in different PID namespaces, and cannot be asked.
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
_PARTS = 5
"""Of a process's mark."""


def labels(owner: str) -> dict[str, str]:
    """What marks a container of this process."""
    return {OWNER_LABEL: owner, PROCESS_LABEL: process_mark()}


def is_leftover(found: Mapping[str, str], owner: str) -> bool:
    """Whether a container with these labels is to be removed by somebody who holds the lock of `owner`."""
    process = found.get(PROCESS_LABEL, "")
    if is_gone(process):
        return True
    return bool(owner) and found.get(OWNER_LABEL) == owner and is_elsewhere(process)


def process_mark() -> str:
    """Names this process: no later one has the same mark."""
    return _process(os.getpid())


def is_elsewhere(mark: str) -> bool:
    """Whether nobody here can tell if a mark's process lives: it is of another host or PID namespace."""
    host, boot, namespace, _, _ = _parts(mark)
    if host != host_name() or not boot or not _boot():
        return True
    return boot == _boot() and namespace != _namespace()


def is_gone(mark: str) -> bool:
    """Whether a mark's process was one of this host and lives no more."""
    if is_elsewhere(mark):
        return False
    return _process(int(_parts(mark)[3])) != mark


@functools.cache
def host_name() -> str:
    """Names this host beside others that use the same engine, also those of the same name."""
    machine = _text("/etc/machine-id")
    # hashed, since it is not to be shown outside of its machine
    return f"{socket.gethostname()}.{hashlib.sha256(f'swerl-eval {machine}'.encode()).hexdigest()[:12]}"


def _parts(mark: str) -> tuple[str, str, str, str, str]:
    """Host, boot, namespace, number and start; nothing but empty ones for a mark of another form."""
    parts = mark.split(" ")
    if len(parts) != _PARTS or not parts[3].isdecimal():
        return "", "", "", "", ""
    host, boot, namespace, number, started = parts
    return host, boot, namespace, number, started


def _process(number: int) -> str:
    """Host, boot, PID namespace, process number and its start: no later process has the same."""
    # the name in parentheses may hold blanks; the state is the first field after it, the start time the 20th
    fields = _text(f"/proc/{number}/stat").rpartition(")")[2].split()
    ended = len(fields) < 20 or fields[0] in {"Z", "X"}  # a zombie does nothing any more
    started = "gone" if ended else fields[19]
    return f"{host_name()} {_boot()} {_namespace()} {number} {started}"


def _boot() -> str:
    return _text("/proc/sys/kernel/random/boot_id")


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: str) -> str:
    """A file's text, or nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
