"""Connects to a Ray cluster, or starts one of this machine alone, and starts actors on its nodes.

Ray is told to be quiet: no logs of nodes, no usage statistics, no dashboard.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import EngineUnavailableError, UsageError
from swerl_eval.ports import SandboxSettings

RESOURCE = "docker"
"""What a node has to have for jobs."""
SHARE = 0.001
"""Of it, for one actor: several runs may use a node."""
START = "ray start --resources='{\"docker\": 1}'"
NO_NODE = (
    f"no node of the Ray cluster has the resource {RESOURCE!r}. Start one on each machine whose Docker engine is to "
    f"run jobs: {START} --address=HEAD:6379 (on the first machine --head in place of --address)"
)
NO_RAY = "the sandbox ray needs a package: pip install 'swerl-eval[ray]'"
NO_CLUSTER = (
    "the Ray cluster {address} cannot be used ({reason}). This machine has to be one of its nodes "
    "(`ray start --address=HEAD:6379`), with the same versions of Ray and Python; `ray status` checks"
)
OBJECT_STORE_BYTES = 256 * 2**20
"""Of a cluster that is started here. Only jobs and pieces of logs pass through it."""
CALLS_AT_A_TIME = 4096
"""Of one actor."""
LONGEST_SOCKET = 107 - len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
"""Bytes of a folder's name in which Ray can make its sockets."""
START_SECONDS = 240.0
KNOCK_SECONDS = 10.0
USE_SECONDS = 0.2
"""Of one call of Ray while calls are waited for. Closing waits for the last one."""
END_OF_USE_SECONDS = 60.0
"""For calls of Ray in other threads to end. One of a cluster that does not answer takes that long."""


class ClosedError(Exception):
    """The cluster is used no more."""


@dataclass(frozen=True)
class Place:
    """A node that can run jobs."""

    node_id: str
    where: str
    """For people."""


class Cluster:
    """A cluster that this process is connected to. To be used from any thread."""

    def __init__(self, address: str) -> None:
        """Connect to a cluster; without an address, to the one of this process, else start one.

        Raises:
            EngineUnavailableError: There is no such cluster, or it cannot be used from here.
            UsageError: Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise UsageError(NO_RAY) from error
        self._ray: Any = ray
        self._local: _LocalCluster | None = None
        self._connected = False
        self._uses, self._closed = 0, False
        self._changed = threading.Condition()
        logging.getLogger("ray").setLevel(logging.ERROR)
        if ray.is_initialized():
            return  # whoever connected this process goes on using it
        try:
            if address:
                _knock(address)
                ray.init(address=address, **_QUIET)
                self._connected = True
            else:
                self._local = _LocalCluster(ray)
        except Exception as error:  # Ray raises errors of many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            message = NO_CLUSTER.format(address=address or "of this machine", reason=reason)
            raise EngineUnavailableError(message) from error

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """A block that calls Ray, which the shutdown waits for.

        Where one thread calls Ray while another shuts it down, Ray ends the whole process; a call after the shutdown
        starts a new cluster.

        Raises:
            ClosedError: It was shut down, or is about to be.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            self._uses += 1
        try:
            yield
        finally:
            with self._changed:
                self._uses -= 1
                self._changed.notify_all()

    def places(self) -> list[Place]:
        """The nodes that are alive and have the resource, in a fixed order. Raises what Ray raises."""
        with self.in_use():
            nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get(RESOURCE, 0) > 0]
        return sorted(
            (Place(str(node["NodeID"]), f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})") for node in nodes),
            key=lambda place: place.where,
        )

    def start(self, place: Place, settings: SandboxSettings) -> Any:
        """Start the actor `node.Node` on a node. It ends with this process."""
        from swerl_eval.sandboxes.ray.node import Node

        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(place.node_id, soft=False)
        options = {
            "num_cpus": 0,
            "resources": {RESOURCE: SHARE},
            "scheduling_strategy": strategy,
            "max_concurrency": CALLS_AT_A_TIME,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        with self.in_use():
            return self._ray.remote(Node).options(**options).remote(settings)

    def kill(self, actor: Any) -> None:
        """End an actor's process."""
        with contextlib.suppress(Exception), self.in_use():  # it is gone, or the cluster is
            self._ray.kill(actor)

    def wait(self, calls: Sequence[Any], seconds: float) -> list[Any]:
        """Wait for calls; returns those that have ended by then."""
        deadline = time.monotonic() + seconds
        ended: list[Any] = []
        while len(ended) < len(calls):
            rest = deadline - time.monotonic()
            with self.in_use():
                ended = self._ray.wait(list(calls), num_returns=len(calls), timeout=max(0.0, min(rest, USE_SECONDS)))[0]
            if rest <= 0:
                break
        return ended

    def get(self, call: Any) -> Any:
        """What an ended call returned; raises what it raised."""
        with self.in_use():
            return self._ray.get(call)

    def close(self) -> None:
        """Disconnect, and end a cluster that was started here."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._uses, END_OF_USE_SECONDS)
        if self._local is not None:
            self._local.stop()
        elif self._connected:
            self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens at an address of the form host:port. Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


_QUIET: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}


class _LocalCluster:
    """A cluster of this machine alone, reachable from it only.

    Its processes are children of one thread, which has to live as long as they do: the kernel ends them with it. So
    nothing is left when this process is killed.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._folder = _folder_for_sockets()
        self._started, self._stop = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="ray", daemon=True)
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            self._error = TimeoutError(f"it did not start within {START_SECONDS:.0f} s")
            self._stop.set()
        if self._error is not None:
            self._thread.join(START_SECONDS)
            raise self._error

    def _serve(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(
                address="local",
                num_cpus=1,
                num_gpus=0,
                resources={RESOURCE: 1},
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(self._folder),
                # containers that fill the machine's memory are the kernel's business: Ray would kill the actor
                _system_config={"memory_monitor_refresh_ms": 0},
                **_QUIET,
            )
        except BaseException as error:  # noqa: BLE001 - raised where the cluster is opened
            self._error = error
        self._started.set()
        if self._error is None:
            self._stop.wait()
        with contextlib.suppress(Exception):
            self._ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End its processes."""
        self._stop.set()
        self._thread.join(START_SECONDS)


def _folder_for_sockets() -> Path:
    """A new folder in the temporary folder, or in /tmp where the names of sockets would be too long."""
    usual = tempfile.gettempdir()
    short = len(os.fsencode(usual)) + len("/ray-12345678") <= LONGEST_SOCKET
    return Path(tempfile.mkdtemp(prefix="ray-", dir=usual if short else "/tmp"))
