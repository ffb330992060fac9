"""What a session of tests leaves behind, though other work goes on on this machine and its engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from swerl_eval.compose import owner_of
from swerl_eval.demo.setup import SUITE
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL, PROCESS_LABEL, labels
from swerl_eval.sources.datasets import load_rows


class Watch:
    """The engine and the temporary folder before and after."""

    def __init__(self, temporary: Path, runs: Path) -> None:
        self._temporary = temporary
        """TMPDIR of the session and of all processes that it starts."""
        self._runs = runs
        """Where the run folders of tests are."""
        self._before: set[str] | None = None

    def begin(self) -> None:
        """Look at the engine, before tests use it. Raises `EngineUnavailableError`."""
        if self._before is None:
            self._before = set(self._engine_wide())

    def left(self) -> list[str]:
        """What is there now and was not before, and is the session's; nothing where no test has begun."""
        if self._before is None:
            return []
        new = sorted(set(self._engine_wide()) - self._before)
        return [*new, *self._containers(), *self._files(), *self._mounts(), *self._processes()]

    def _engine_wide(self) -> Iterator[str]:
        """What tests have no reason to make at all, or only under names of their own."""
        client = connect()
        suite = {row["image"] for row in load_rows(str(SUITE), None)}
        for volume in client.api.volumes()["Volumes"] or []:
            yield f"the volume {volume['Name']}"
        for network in client.api.networks():
            yield f"the network {network['Name']}"
        for image in client.api.images():
            for tag in image["RepoTags"] or []:
                if "_1776_" in tag and "demo_" in tag and tag not in suite:
                    yield f"the image {tag}"
        client.close()

    def _containers(self) -> Iterator[str]:
        """Those of this process, and of runs whose folder a test made."""
        client = connect()
        own = labels("")[PROCESS_LABEL]
        owners = {owner_of(Path(folder)) for folder, _, _ in os.walk(self._runs)}
        for each in client.api.containers(all=True, filters={"label": OWNER_LABEL}):
            found = each["Labels"]
            if found.get(PROCESS_LABEL) == own or found[OWNER_LABEL] in owners:
                yield f"the container {each['Names'][0].lstrip('/')}"
        client.close()

    def _files(self) -> Iterator[str]:
        yield from (str(path) for path in sorted(self._temporary.iterdir()))

    def _mounts(self) -> Iterator[str]:
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            mount = Path(line.split()[1])
            if mount.is_relative_to(self._temporary) or mount.is_relative_to(self._runs):
                yield f"the mount {mount}"

    def _processes(self) -> Iterator[str]:
        """Those that were started with the session's TMPDIR and still run."""
        mark = f"TMPDIR={self._temporary}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes() and not _is_own_tracker(process):
                    yield f"the process {_command(process)}"
            except OSError:
                continue  # ended by now, or somebody else's


def _command(process: Path) -> str:
    return (process / "cmdline").read_bytes().replace(bytes(1), b" ").decode()


def _is_own_tracker(process: Path) -> bool:
    """Python's own helper for `multiprocessing`, which a process has once and until its end."""
    parent = int((process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return parent == os.getpid() and "multiprocessing.resource_tracker" in _command(process)
