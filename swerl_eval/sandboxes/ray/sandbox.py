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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Machine
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.ray.cluster import Cluster
from swerl_eval.sandboxes.ray.fleet import Fleet, NodeLostError, RunningNode
from swerl_eval.sandboxes.ray.job_queue import JobQueue, Turn
from swerl_eval.sandboxes.ray.node import Ended
from swerl_eval.sandboxes.ray.placement import Need

NODES_FOR_A_JOB = 3
"""Nodes that may be lost under one job. More look as if the job is what kills them."""
CANCEL_SECONDS = 40.0
"""How long a cancelled call waits until the node has killed the container."""
LOOK_UP = 0.01
"""Processors that the look-up of an image is counted with; it may pull the image."""


class RaySandbox:
    """Docker containers on the nodes of a Ray cluster (a `ports.Sandbox`)."""

    queues_jobs = True

    def __init__(self, settings: SandboxSettings) -> None:
        cluster = Cluster(settings.address)
        self._queue = JobQueue()
        self._fleet = Fleet(cluster, settings, self._queue)
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
        """The mean of the nodes' pressures, as they last told them."""
        known = [node.news.pressure for node in self._nodes if node.news.pressure is not None]
        return sum(known) / len(known) if known else None

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
        """Have each image pulled by the node that its jobs will run on, as far as that is known."""
        self._fleet.begin()
        self._queue.expect(images)
        for node in self._nodes:
            own = [image for image in images if self._queue.node_for(image) == node.place.node_id]
            if own:
                node.actor.prefetch.remote(own)

    async def image_id(self, image: str) -> str:
        """Content digest of an image on the node that has it, else on the one that its jobs will run on."""
        self._fleet.begin()
        holder = self._fleet.nodes.get(self._queue.node_for(image) or "")
        if holder is not None:
            with contextlib.suppress(NodeLostError):
                return str(await self._fleet.call(holder, "image_id", image))

        async def look(node: RunningNode, turn: Turn) -> str:
            del turn
            return str(await self._fleet.call(node, "image_id", image))

        return str(await self._on_a_node(Need(image, LOOK_UP, 1), f"the look-up of {image}", look))

    async def run(self, job: Job) -> JobResult:
        """Run one job on a node that has room. Cancelling kills the container before the cancellation goes on."""
        self._fleet.begin()

        async def run_on(node: RunningNode, turn: Turn) -> JobResult:
            return await self._run_on(node, str(turn.key), job)

        need = Need(job.image, job.limits.cpus or 0.0, job.limits.memory or 0)
        result: JobResult = await self._on_a_node(need, job.name, run_on)
        return result

    async def _on_a_node(self, need: Need, what: str, work: Any) -> Any:
        """Do work on a node, and on another one if that is lost."""
        losses: list[str] = []
        while len(losses) < NODES_FOR_A_JOB:
            async with self._queue.turn(need) as turn:
                node = self._fleet.nodes.get(turn.node)
                if node is None:
                    continue  # lost between its choice and now
                try:
                    return await work(node, turn)
                except NodeLostError as error:
                    losses.append(str(error))
                except ImageMissingError:
                    turn.holds_image = False
                    raise
        message = f"{what} is given up: {len(losses)} Ray nodes were lost while they ran it ({losses[-1]})"
        raise SandboxError(message)

    async def _run_on(self, node: RunningNode, key: str, job: Job) -> JobResult:
        try:
            ended: Ended = await self._fleet.call(node, "run", key, job)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CANCEL_SECONDS, shield=True), contextlib.suppress(SandboxError):
                await self._fleet.call(node, "cancel", key)
            raise
        await self._write_log(node, key, job, ended)
        return replace(ended.result, log=job.log)

    async def _write_log(self, node: RunningNode, key: str, job: Job, ended: Ended) -> None:
        """Write a job's log, which comes in pieces if it is long."""
        action = f"writing the output of {job.name} to {job.log}"
        log = Path(job.log)
        with translated(action):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)  # a reader of an earlier try keeps its own
            file = await anyio.open_file(log, "wb")
        async with file:
            with translated(action):
                await file.write(ended.log)
            if len(ended.log) == ended.log_size:
                return
            try:
                written = len(ended.log)
                while written < ended.log_size:
                    piece: bytes = await self._fleet.call(node, "read_log", key, written)
                    if not piece:
                        message = f"the log of {job.name} is cut off on {node.place.where}"
                        raise SandboxError(message)
                    with translated(action):
                        await file.write(piece)
                    written += len(piece)
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
