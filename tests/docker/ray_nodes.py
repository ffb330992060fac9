"""A Ray cluster on this machine, with nodes whose Docker engines are the tests' own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from own_engine import OwnEngine, kill_those_with, wait_until

RAY = str(Path(sys.executable).parent / "ray")
MARK = "SWERL_EVAL_RAY_NODE"
STARTS_WITHIN = 240.0


class RayNodes:
    """A head without an engine, and nodes that come and go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = uuid.uuid4().hex * 2
        # within the session's own, so that a process that is left is noticed
        self._temporary = Path(tempfile.gettempdir()) / folder.name
        self._temporary.mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._port = _free_port()
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the head, which has no engine."""
        options = ["--head", f"--port={self._port}", "--include-dashboard=false", f"--temp-dir={self._folder}"]
        self._start("head", dict(os.environ), *options)

    @property
    def environment(self) -> dict[str, str]:
        """For whoever uses the cluster, which accepts calls with its token only."""
        return {**os.environ, **self._variables}

    @property
    def _variables(self) -> dict[str, str]:
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
        # a node that was killed is known to be dead soon, and one that is slow is not taken for dead
        health = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "12"}
        return {
            **quiet,
            **health,
            "TMPDIR": str(self._temporary),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self._token,
        }

    def add(self, name: str, engine: OwnEngine) -> None:
        """Start a node with this engine."""
        self._start(name, engine.environment, f"--address={self.address}", '--resources={"docker": 1}')

    def _start(self, name: str, environment: dict[str, str], *options: str) -> None:
        command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--num-gpus=0"]
        command += ["--object-store-memory=100000000", "--disable-usage-stats", *options]
        output = self._folder.with_name(f"{self._folder.name}-{name}.log")
        with output.open("wb") as file:
            self._processes[name] = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**environment, **self._variables, MARK: self._mark(name)},
            )

        def started() -> bool:
            assert self._processes[name].poll() is None, output.read_text()
            return "Ray runtime started" in output.read_text()

        wait_until(started, STARTS_WITHIN, f"the Ray node {name} starts")

    def kill(self, name: str) -> None:
        """Kill all processes of a node at once, and those that it was just starting."""
        mark = f"{MARK}={self._mark(name)}"
        for _ in range(3):
            kill_those_with("environ", mark)
            time.sleep(0.1)
        self._processes.pop(name).wait(60)

    def destroy(self) -> None:
        """No process and no file is left."""
        for name in reversed(list(self._processes)):
            self.kill(name)
        for output in self._folder.parent.glob(f"{self._folder.name}-*.log"):
            output.unlink()
        shutil.rmtree(self._folder)
        shutil.rmtree(self._temporary)

    def _mark(self, name: str) -> str:
        return f"{self._folder.name}-{name}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def ray_nodes() -> Iterator[RayNodes]:
    """A cluster that is gone at the end."""
    # not in pytest's folder: a socket's path may have 107 characters
    nodes = RayNodes(Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")))
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.destroy()
