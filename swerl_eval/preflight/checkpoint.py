"""What a checkpoint's files and this machine say of themselves: configuration, tensors, GPUs, memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import InputError

_LONGEST_HEAD = 100 << 20
"""Bytes; what the format allows."""


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    memory: int
    """Bytes."""
    free: int


def gpus() -> list[Gpu]:
    """Those that nvidia-smi finds; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return list(_listed(done.stdout))


def _listed(output: str) -> Iterator[Gpu]:
    for line in output.splitlines():
        name, *sizes = (part.strip() for part in line.rsplit(",", 2))
        if len(sizes) == 2 and all(size.isdigit() for size in sizes):
            yield Gpu(name, int(sizes[0]) << 20, int(sizes[1]) << 20)


@dataclass(frozen=True)
class Memory:
    """Main memory, as an engine on a CPU can have it."""

    total: int
    """Bytes of the machine, or of the control group that this process is in."""
    free: int
    """Bytes that are not in use; files that are only cached do not count as use."""
    node: int
    """The same of one NUMA node, the one with the least: vLLM binds each worker to one."""
    node_total: int
    """Bytes that this node has."""

    def for_each(self, workers: int) -> int:
        """Bytes that one of so many workers can have."""
        return min(self.node, self.free // workers)


def memory(root: Path = Path("/")) -> Memory | None:
    """This machine's main memory; None where the system does not tell (no Linux)."""
    machine = _meminfo(root / "proc/meminfo")
    if "MemTotal" not in machine or "MemAvailable" not in machine:
        return None
    total, free = machine["MemTotal"], machine["MemAvailable"]
    for limit, used in _control_groups(root):
        total, free = min(total, limit), min(free, max(0, limit - used))
    nodes = [_node(node) for node in root.glob("sys/devices/system/node/node[0-9]*") if _has_our_cpus(node)]
    return Memory(total, free, *min([(free, total), *((least, most) for least, most in nodes if least)]))


def _meminfo(file: Path) -> dict[str, int]:
    """Bytes by name; `Node 0 MemFree: 12 kB` is read like `MemFree: 12 kB`. Empty where there is none."""
    found = {}
    for line in _read(file).splitlines():
        name, _, value = line.rpartition(":")
        number = value.split()[:1]
        if name and number and number[0].isdigit():
            found[name.split()[-1]] = int(number[0]) << 10
    return found


def _node(node: Path) -> tuple[int, int]:
    """Bytes free and in all, as vLLM counts them."""
    found = _meminfo(node / "meminfo")
    free = sum(found.get(name, 0) for name in ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable"))
    return free, found.get("MemTotal", 0)


def _has_our_cpus(node: Path) -> bool:
    """Whether this process may run there."""
    ours = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    cpus = set()
    for part in filter(None, _read(node / "cpulist").strip().split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            cpus |= set(range(int(first), int(last or first) + 1))
    return not ours or bool(cpus & ours)


def _control_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use, in bytes, of this process's control groups that limit memory, of both versions."""
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
                counts = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines() if " " in line)
                # of all below it: version 1 counts each group alone under the plain names
                files = (
                    counts.get(f"total_{kind}") or counts.get(kind, "0") for kind in ("active_file", "inactive_file")
                )
                yield int(most), int(now) - sum(map(int, files))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def folder_of(model: str) -> Path | None:
    """The folder of a checkpoint that is on this machine; None for a name alone."""
    folder = Path(model)
    return folder if (folder / "config.json").is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`. Raises `InputError` when it is no JSON object."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: {error}"
        raise InputError(message) from error
    if not isinstance(config, dict):
        message = f"{file} is no JSON object"
        raise InputError(message)
    return config


def read_tensors(folder: Path) -> list[dict[str, Any]]:
    """The entries (`dtype`, `shape`, `data_offsets`) of all safetensors files; none where there are none.

    Raises `InputError` naming a file whose head cannot be read.
    """
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                head: dict[str, Any] = json.loads(stream.read(min(length, _LONGEST_HEAD)))
            found += [entry for name, entry in head.items() if name != "__metadata__"]
        except (OSError, ValueError, AttributeError) as error:
            message = f"{file} is no safetensors file: {error}"
            raise InputError(message) from error
    return found
