"""Runs jobs on the Docker engines of a Ray cluster's nodes.

Each job is given to one node by the placement (`placement.py`), which knows what nodes have and which images they
hold. The node runs it as the sandbox `docker` does, and sends the result and the log back.

What is covered: everything that the sandbox `docker` covers, on each node; a node that is lost, or whose engine is: its
jobs are run elsewhere, and it is used again when it is back; a job whose nodes are lost time and again is given up.

What is not covered: containers of a node that is lost go on until it is opened again for the same owner, or until they
end. Whoever reaches a cluster's ports can run anything on its nodes: they belong into a closed network.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.ray.cluster import Cluster
from swerl_eval.sandboxes.ray.fleet import Fleet, NodeLostError, RunningNode
from swerl_eval.sandboxes.ray.node import Ended
from swerl_eval.sandboxes.ray.node_slots import NodeSlots
from swerl_eval.sandboxes.ray.placement import Need

Result = TypeVar("Result")
NODES_FOR_A_JOB = 3
"""Nodes that may be lost under one job. More look as if the job is what kills them."""
CANCEL_SECONDS = 40.0
"""How long a cancelled call waits until the node has killed the container."""


class RaySandbox:
    """Docker containers on the nodes of a Ray cluster (a `ports.Sandbox`)."""

    queues_jobs = True

    def __init__(self, settings: SandboxSettings) -> None:
        cluster = Cluster(settings.address)
        self._slots = NodeSlots(lambda node, image: self._fleet.pull_ahead(node, image))
        self._fleet = Fleet(cluster, settings, self._slots)
        try:
            self._fleet.open()
        except BaseException:
            cluster.close()
            raise
        self._machines = [node.machine for node in self._nodes]

    @classmethod
    def open(cls, settings: SandboxSettings) -> RaySandbox:
        """Connect to the cluster, or start one of this machine alone, and open its nodes."""
        return cls(settings)

    @property
    def _nodes(self) -> list[RunningNode]:
        return list(self._fleet.nodes.values())

    def machines(self) -> Sequence[Machine]:
        """The machines of all nodes; where every node is lost, those of the last ones."""
        self._machines = [node.machine for node in self._nodes] or self._machines
        return self._machines

    def pressure(self) -> float | None:
        """None: each node gets jobs by its own load."""
        return None

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """Images that no node has and that are not in their registry either, as one of the nodes finds out."""
        self._fleet.begin()
        present: dict[str, list[str]] = {}

        async def ask(node: RunningNode) -> None:
            with contextlib.suppress(NodeLostError):
                present[node.place.node_id] = await self._fleet.call(node, "present", images)

        async with anyio.create_task_group() as group:
            for node in self._nodes:
                group.start_soon(ask, node)
        somewhere = {image for names in present.values() for image in names}
        absent = [image for image in images if image not in somewhere]
        if not absent:
            return {}
        # the node that has the most is told of one that it has: then it knows that the run can work
        for name in sorted(present, key=lambda name: -len(present[name])):
            if name in self._fleet.nodes:
                with contextlib.suppress(NodeLostError):
                    asked = [*absent, *present[name][:1]]
                    missing: Mapping[str, str] = await self._fleet.call(self._fleet.nodes[name], "check", asked)
                    return missing
        message = "no node of the Ray cluster was left to ask for images"
        raise EngineUnavailableError(message)

    def prefetch(self, images: Sequence[str]) -> None:
        """Have nodes pull images ahead, each the ones that its jobs will come for (`placement.py`)."""
        self._fleet.begin()
        self._slots.expect(images)

    async def image_id(self, image: str) -> str:
        """Content digest of an image on the node that has it, else on the one that its jobs will run on."""
        self._fleet.begin()
        holder = self._fleet.nodes.get(self._slots.node_for(image) or "")
        if holder is not None:
            with contextlib.suppress(NodeLostError):
                return str(await self._fleet.call(holder, "image_id", image))

        def look(node: RunningNode, key: str) -> Awaitable[str]:
            del key
            return self._fleet.call(node, "image_id", image)

        # as a job of unknown size: it may pull the image, and its node is the one that the image's jobs then run on
        return await self._on_a_node(Need(image, 0.0, 0), f"the look-up of {image}", look)

    async def run(self, job: Job) -> JobResult:
        """Run one job on a node that has room. Cancelling kills the container before the cancellation goes on."""
        self._fleet.begin()
        need = Need(job.image, job.limits.cpus or 0.0, job.limits.memory or 0)
        return await self._on_a_node(need, job.name, functools.partial(self._run_on, job))

    async def _on_a_node(self, need: Need, what: str, work: Callable[[RunningNode, str], Awaitable[Result]]) -> Result:
        """Do work, which is given a node and the key of its slot there, and do it on another node if that is lost."""
        losses: list[str] = []
        while len(losses) < NODES_FOR_A_JOB:
            async with self._slots.slot(need) as slot:
                node = self._fleet.nodes.get(slot.node)
                if node is None:
                    continue  # lost between its choice and now
                try:
                    return await work(node, str(slot.key))
                except NodeLostError as error:
                    losses.append(str(error))
                except ImageMissingError:
                    slot.holds_image = False
                    raise
        message = f"{what} is given up: {len(losses)} Ray nodes were lost while they ran it ({losses[-1]})"
        raise SandboxError(message)

    async def _run_on(self, job: Job, node: RunningNode, key: str) -> JobResult:
        try:
            ended: Ended = await self._fleet.call(node, "run", key, job)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CANCEL_SECONDS, shield=True), contextlib.suppress(SandboxError):
                await self._fleet.call(node, "cancel", key)
            raise
        with translated(f"writing the output of {job.name} to {job.log}"):
            log = Path(job.log)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)  # whoever reads the log of an earlier try keeps that one
            async with await anyio.open_file(log, "wb") as file:
                await file.write(ended.log)
                if len(ended.log) < ended.log_size:
                    await self._copy_log(node, key, ended.log_size, file)
        return replace(ended.result, log=job.log)

    async def _copy_log(self, node: RunningNode, key: str, size: int, file: anyio.AsyncFile[bytes]) -> None:
        """Copy a log from a node, piece by piece."""
        try:
            copied = 0
            while copied < size:
                piece: bytes = await self._fleet.call(node, "read_log", key, copied)
                if not piece:
                    message = f"a log of {size} bytes ends after {copied} on {node.place.where}"
                    raise SandboxError(message)
                await file.write(piece)
                copied += len(piece)
        finally:
            with contextlib.suppress(Exception):  # the node is gone, and the log with it
                node.actor.drop_log.remote(key)

    def abort(self) -> None:
        """Have all nodes kill and remove the containers of this run, without waiting for it long."""
        self._fleet.abort()

    async def aclose(self) -> None:
        """Wait, within a bound, for the removals under way on the nodes, and let go of the cluster."""
        with anyio.CancelScope(shield=True):
            await self._fleet.aclose()
