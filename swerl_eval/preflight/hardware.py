"""GPUs and main memory of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NVIDIA_SMI_TIMEOUT = 30.0
_FREE_ON_NODE = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")
"""What vLLM counts as free on a NUMA node."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. Sizes in bytes."""

    name: str
    memory: int
    free: int


def gpus() -> list[Gpu]:
    """GPUs that nvidia-smi lists with their memory; none without it."""
    return [
        Gpu(name, int(memory) << 20, int(free) << 20)
        for name, memory, free in nvidia_smi("name", "memory.total", "memory.free") or ()
        if memory.isdigit() and free.isdigit()
    ]


def nvidia_smi(*fields: str) -> list[list[str]] | None:
    """Ask nvidia-smi for fields of each GPU, sizes in MiB.

    Returns:
        A row of values for each GPU. Empty if there is no GPU or the driver does not answer; None if the program is
        not installed.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    # a name may contain commas; it is the first field
    rows = [[value.strip() for value in line.rsplit(",", len(fields) - 1)] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == len(fields)]


@dataclass(frozen=True)
class Memory:
    """Main memory that an engine on a CPU can have. Sizes in bytes."""

    total: int
    """Of the machine, or of the control group that this process is in."""
    free: int
    """Not in use. Cached files do not count as use."""
    node: int
    """Free on the NUMA node that has the least: vLLM binds each worker to one node."""
    node_total: int
    """In all, on this node."""

    def per_worker(self, workers: int) -> int:
        """Bytes that one of this number of workers can have."""
        return min(self.node, self.free // workers)


def memory(root: Path = Path("/")) -> Memory | None:
    """Main memory of this machine; None if the system does not report it (it is no Linux)."""
    machine = _meminfo(root / "proc/meminfo")
    if "MemTotal" not in machine or "MemAvailable" not in machine:
        return None
    total, free = machine["MemTotal"], machine["MemAvailable"]
    for limit, used in _control_groups(root):
        total, free = min(total, limit), min(free, max(0, limit - used))
    nodes = [_node(node) for node in root.glob("sys/devices/system/node/node[0-9]*") if _may_run_on(node)]
    return Memory(total, free, *min([(free, total), *((least, most) for least, most in nodes if least)]))


def _meminfo(file: Path) -> dict[str, int]:
    """Bytes by name. `Node 0 MemFree: 12 kB` reads like `MemFree: 12 kB`. Empty if there is no such file."""
    sizes = {}
    for line in _read(file).splitlines():
        name, _, value = line.rpartition(":")
        number = value.split()[:1]
        if name and number and number[0].isdigit():
            sizes[name.split()[-1]] = int(number[0]) << 10
    return sizes


def _node(node: Path) -> tuple[int, int]:
    """Bytes of a NUMA node, free and in all."""
    sizes = _meminfo(node / "meminfo")
    return sum(sizes.get(name, 0) for name in _FREE_ON_NODE), sizes.get("MemTotal", 0)


def _may_run_on(node: Path) -> bool:
    """Whether this process may run on a CPU of this NUMA node."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    cpus = set()
    for part in filter(None, _read(node / "cpulist").strip().split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            cpus |= set(range(int(first), int(last or first) + 1))
    return not allowed or bool(cpus & allowed)


def _control_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use, in bytes, of this process's control groups that limit memory (versions 1 and 2)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount, limit, used = "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount, limit, used = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # within a container the path is the host's, and the mount is the group itself
        names = [part for part in path.split("/") if part not in {"", ".."}]
        for depth in range(len(names) + 1):
            folder = root.joinpath(mount, *names[:depth])
            most, now = _read(folder / limit).strip(), _read(folder / used).strip()
            if most.isdigit() and now.isdigit():
                yield int(most), int(now) - _cached_files(folder / "memory.stat")


def _cached_files(statistics: Path) -> int:
    """Bytes of cached files that a control group's use includes."""
    counts = dict(line.split(" ", 1) for line in _read(statistics).splitlines() if " " in line)
    # version 1 has the group alone under the plain names, and with all groups below it under `total_`
    return sum(int(counts.get(f"total_{kind}") or counts.get(kind, "0")) for kind in ("active_file", "inactive_file"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
