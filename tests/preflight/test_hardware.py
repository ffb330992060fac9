from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.preflight.hardware import Gpu, Memory, gpus, memory, nvidia_smi


def script_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in the place of nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script_nvidia_smi(tmp_path, monkeypatch, "echo 'Card, 80 GB, 81559, 81000'; echo 'Card, 80 GB, 81559, [N/A]'; echo")
    assert gpus() == [Gpu("Card, 80 GB", 81559 << 20, 81000 << 20)]


def test_every_gpu_is_named_whatever_is_known_of_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script_nvidia_smi(tmp_path, monkeypatch, "echo 'Card, 80 GB, 81559'; echo 'Card, [N/A]'; echo odd; echo $*")
    card, unknown, asked = nvidia_smi("name", "memory.total") or []
    assert (card, unknown) == (["Card, 80 GB", "81559"], ["Card", "[N/A]"])
    assert asked[0].startswith("--query-gpu=name,memory.total --format=csv")


def test_without_nvidia_smi_or_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (gpus(), nvidia_smi("name")) == ([], None)
    script_nvidia_smi(tmp_path, monkeypatch, "echo 'couldn''t communicate with the NVIDIA driver'; exit 9")
    assert (gpus(), nvidia_smi("name")) == ([], [])


GIB = 1 << 20
"""In kB, as the kernel counts."""
MEMINFO = f"MemTotal: {32 * GIB} kB\nMemFree: {1 * GIB} kB\nMemAvailable: {20 * GIB} kB\nHugePages_Total: 0\n"


def machine(root: Path, **files: str) -> Path:
    """A machine's /proc and /sys; in the names, `__` stands for a slash."""
    for name, text in {"proc__meminfo": MEMINFO, **files}.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def gib(here: Memory | None) -> list[int]:
    """Total, free, free on the node, the node's total."""
    assert here is not None
    return [size >> 30 for size in (here.total, here.free, here.node, here.node_total)]


def test_memory_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    assert gib(memory(machine(tmp_path))) == [32, 20, 20, 32]


def test_where_the_system_does_not_tell_its_memory_nothing_is_known(tmp_path: Path) -> None:
    assert memory(tmp_path) is None
    assert memory(machine(tmp_path, proc__meminfo="MemTotal: 12 kB\n")) is None


def test_a_control_group_limits_it_and_cached_files_count_as_free(tmp_path: Path) -> None:
    second = {
        "proc__self__cgroup": "0::/user/run\n",
        "sys__fs__cgroup__user__memory.max": f"{8 << 30}\n",
        "sys__fs__cgroup__user__memory.current": f"{5 << 30}\n",
        "sys__fs__cgroup__user__memory.stat": f"anon 1\nactive_file {1 << 30}\ninactive_file {1 << 30}\n",
        "sys__fs__cgroup__user__run__memory.max": "max\n",
        "sys__fs__cgroup__user__run__memory.current": "1\n",
    }
    assert gib(memory(machine(tmp_path / "second", **second))) == [8, 5, 5, 8]
    first = {
        "proc__self__cgroup": "7:cpu:/x\n4:memory:/docker/abc\n",
        # within a container the mount is the group itself
        "sys__fs__cgroup__memory__memory.limit_in_bytes": f"{6 << 30}\n",
        "sys__fs__cgroup__memory__memory.usage_in_bytes": f"{7 << 30}\n",
        "sys__fs__cgroup__memory__memory.stat": "active_file 0\ntotal_active_file 0\ntotal_inactive_file 0\n",
    }
    assert gib(memory(machine(tmp_path / "first", **first))) == [6, 0, 0, 6]


def test_a_worker_has_no_more_than_the_smallest_numa_node_that_it_may_run_on(tmp_path: Path) -> None:
    nodes = {}
    ours = sorted(os.sched_getaffinity(0))[0]
    for number, cpus, free in (
        (0, str(ours), 6),
        (1, f"0-{ours}", 9),
        (2, f"{ours + 1000}-{ours + 1001}", 1),
        (3, "", 1),
    ):
        folder = f"sys__devices__system__node__node{number}__"
        nodes[f"{folder}cpulist"] = f"{cpus}\n"
        nodes[f"{folder}meminfo"] = (
            f"Node {number} MemTotal: {16 * GIB} kB\nNode {number} MemFree: {(free - 1) * GIB} kB\n"
            f"Node {number} Inactive(file): {GIB} kB\n"
        )
    here = memory(machine(tmp_path, **nodes))
    assert gib(here) == [32, 20, 6, 16]
    assert here is not None
    assert [here.per_worker(workers) >> 30 for workers in (1, 2, 4)] == [6, 6, 5]


@given(st.text(), st.text(), st.text())
def test_whatever_stands_in_these_files_there_is_a_number_or_none(
    tmp_path_factory: pytest.TempPathFactory, meminfo: str, groups: str, statistics: str
) -> None:
    root = tmp_path_factory.mktemp("machine")
    machine(
        root,
        **{
            "proc__meminfo": (MEMINFO + meminfo).encode("utf-8", "replace").decode(),
            "proc__self__cgroup": f"0::/\n{groups}".encode("utf-8", "replace").decode(),
            "sys__fs__cgroup__memory.max": "5",
            "sys__fs__cgroup__memory.current": "3",
            "sys__fs__cgroup__memory.stat": statistics.encode("utf-8", "replace").decode(),
        },
    )
    here = memory(root)
    assert here is not None
    assert 0 <= here.node <= here.free


def test_this_machine_tells_its_own() -> None:
    here = memory()
    assert here is not None
    assert 0 < here.node <= here.free <= here.total
