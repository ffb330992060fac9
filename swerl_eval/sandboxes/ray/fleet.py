"""The nodes that jobs run on: opens them, listens to them, leaves them out when they are lost, and takes them back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.to_thread

import swerl_eval
from swerl_eval.core.capacity import LOOK_SECONDS
from swerl_eval.core.errors import EngineUnavailableError, SandboxError
from swerl_eval.core.types import Machine
from swerl_eval.ports import UNWATCHED, SandboxSettings, ignore
from swerl_eval.sandboxes.ray.cluster import NO_NODE, ClosedError, Cluster, Place
from swerl_eval.sandboxes.ray.node import News
from swerl_eval.sandboxes.ray.node_slots import NodeSlots

OPEN_SECONDS = 150.0
"""For a node to start its actor and reach its engine. An engine that hangs gives no answer for two minutes."""
REJOIN_SECONDS = 5.0
"""Between two looks at which nodes there are."""
ANSWER_SECONDS = 10.0
"""For an engine to show that it answers, after a call that it did not answer."""
CLOSE_SECONDS = 75.0
"""For nodes to remove their last containers."""
ABORT_SECONDS = 1.8


class NodeLostError(SandboxError):
    """The node that was asked is gone, or its engine is; it is left out from now on."""


@dataclass(eq=False)
class RunningNode:
    """A node with an actor on it."""

    place: Place
    actor: Any
    machine: Machine
    images: tuple[str, ...]
    news: News = field(default_factory=lambda: News(-1, {}, frozenset(), None))


class Fleet:
    """All nodes of a cluster that can run jobs. But for `open` and `abort`, to be used on one event loop."""

    def __init__(self, cluster: Cluster, settings: SandboxSettings, slots: NodeSlots) -> None:
        self._cluster, self._slots = cluster, slots
        self._watcher, self._notify = settings.watcher, settings.notify
        cache = settings.cache.absolute() if settings.cache else None
        self._settings = replace(settings, watcher=UNWATCHED, notify=ignore, cache=cache)
        self.nodes: dict[str, RunningNode] = {}
        """By id."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False

    def open(self) -> None:
        """Open all nodes.

        Raises:
            EngineUnavailableError: There is none, or none could be opened; with the remedy.
        """
        places = self._cluster.places()
        if not places:
            raise EngineUnavailableError(NO_NODE)
        opened, faults = self._open(places)
        if not opened:
            message = f"no node of the Ray cluster can run jobs: {'; '.join(faults)}"
            raise EngineUnavailableError(message)
        for fault in faults:
            self._notify(f"a Ray node is left out: {fault}")
        for node in opened:
            self._add(node)

    def begin(self) -> None:
        """Listen to the nodes from now on, and look for others; at most once."""
        if not self._begun:
            self._begun = True
            self._spawn(self._look_for_nodes())
            self._spawn(self._look_at_loads())
            for node in self.nodes.values():
                self._spawn(self._listen(node))

    async def call(self, node: RunningNode, method: str, *arguments: Any) -> Any:
        """Call a method of a node's actor (`node.Node`).

        Raises:
            NodeLostError: The node is gone, or its engine.
            SandboxError: What the method raised.
        """
        import ray.exceptions

        try:
            return await getattr(node.actor, method).remote(*arguments)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EngineUnavailableError) and not await self._answers(node):
                raise self._lost(node, str(cause)) from cause
            if isinstance(cause, SandboxError):
                raise cause from None
            message = f"{method} failed on {node.place.where}: {_reason(error)}"
            raise SandboxError(message) from error
        except ray.exceptions.RayError as error:
            raise self._lost(node, _reason(error)) from error

    def pull_ahead(self, node_id: str, image: str) -> None:
        """Have a node pull an image while its jobs run."""
        with contextlib.suppress(Exception):  # it is gone; the image is pulled by the job
            self.nodes[node_id].actor.prefetch.remote([image])

    async def aclose(self) -> None:
        """Close all nodes within a bound, and let go of the cluster."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = []
        for node in self.nodes.values():
            with contextlib.suppress(Exception):  # it is gone
                closing.append(node.actor.aclose.remote())
        await anyio.to_thread.run_sync(self._cluster.wait, closing, CLOSE_SECONDS)
        for node in self.nodes.values():
            self._cluster.kill(node.actor)
            self._show(node, News(0, {}, frozenset(), None))
        await anyio.to_thread.run_sync(self._cluster.close)

    def abort(self) -> None:
        """Have all nodes remove their containers; waits no longer than `ABORT_SECONDS`. From any thread."""
        with contextlib.suppress(ClosedError):
            with self._cluster.in_use():
                calls = [node.actor.abort.remote() for node in list(self.nodes.values())]
            self._cluster.wait(calls, ABORT_SECONDS)

    def _open(self, places: Sequence[Place]) -> tuple[list[RunningNode], list[str]]:
        """Start actors; returns those that can run jobs, and for the others why not."""
        actors = [self._cluster.start(place, self._settings) for place in places]
        calls = [actor.open.remote() for actor in actors]
        ended = set(self._cluster.wait(calls, OPEN_SECONDS))
        opened, faults = [], []
        for place, actor, call in zip(places, actors, calls, strict=True):
            try:
                if call not in ended:
                    raise TimeoutError(f"no answer within {OPEN_SECONDS:.0f} s")
                found = self._cluster.get(call)
                if found.version != swerl_eval.__version__:
                    raise SandboxError(f"swerl-eval {found.version} is installed there, not {swerl_eval.__version__}")
                opened.append(RunningNode(place, actor, found.machine, found.images))
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                self._cluster.kill(actor)
                faults.append(f"{place.where}: {_reason(error)}")
        return opened, faults

    def _add(self, node: RunningNode) -> None:
        self.nodes[node.place.node_id] = node
        self._slots.add_node(node.place.node_id, node.machine, node.images)

    async def _answers(self, node: RunningNode) -> bool:
        """Whether a node's engine answers now."""
        with anyio.move_on_after(ANSWER_SECONDS), contextlib.suppress(Exception):
            await node.actor.present.remote(["swerl-eval/no-such-image"])
            return True
        return False

    def _lost(self, node: RunningNode, reason: str) -> NodeLostError:
        """Leave a node out, once; returns the error for who asked it."""
        where = node.place.where
        if self.nodes.get(node.place.node_id) is node:
            del self.nodes[node.place.node_id]
            jobs = self._slots.remove_node(node.place.node_id, f"{where}: {reason}")
            self._show(node, News(0, {}, frozenset(), None))
            self._cluster.kill(node.actor)  # it may live on out of reach, and takes its jobs with it
            self._notify(f"the Ray node {where} is lost ({reason}); {jobs} jobs that ran there are run elsewhere")
        return NodeLostError(f"{where}: {reason}")

    async def _listen(self, node: RunningNode) -> None:
        """Pass on what a node does, until it is lost."""
        while self.nodes.get(node.place.node_id) is node:
            try:
                self._show(node, await self.call(node, "news", node.news.number))
            except NodeLostError:
                return
            except SandboxError:
                await anyio.sleep(REJOIN_SECONDS)

    def _show(self, node: RunningNode, news: News) -> None:
        before, node.news = node.news, news
        for what in before.waits.keys() - news.waits.keys():
            self._watcher.waiting(what, "")
        for what, how in news.waits.items():
            self._watcher.waiting(what, how)
        for container in before.containers - news.containers:
            self._watcher.running(container, now=False)
        for container in news.containers - before.containers:
            self._watcher.running(container, now=True)

    async def _look_at_loads(self) -> None:
        """Relieve nodes that are overloaded."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            for node in self.nodes.values():
                if node.news.pressure is not None:
                    self._slots.look_at_load(node.place.node_id, node.news.pressure)

    async def _look_for_nodes(self) -> None:
        """Take in nodes that come, or come back."""
        while True:
            await anyio.sleep(REJOIN_SECONDS)
            with contextlib.suppress(Exception):  # the cluster does not answer just now
                places = await anyio.to_thread.run_sync(self._cluster.places, abandon_on_cancel=True)
                new = [place for place in places if place.node_id not in self.nodes]
                opened, _ = await anyio.to_thread.run_sync(self._open, new, abandon_on_cancel=True)
                for node in opened:
                    self._add(node)
                    self._spawn(self._listen(node))
                    self._notify(f"the Ray node {node.place.where} is used from now on")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reason(error: BaseException) -> str:
    """An error in one line: Ray's have many, of which the first and the last say most."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
    return " … ".join(dict.fromkeys((lines[0][:200], lines[-1][:200])))
