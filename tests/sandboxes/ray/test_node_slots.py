"""Who waits for a node and who has one. The placement itself has tests of its own."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.core.types import Machine
from swerl_eval.sandboxes.ray.node_slots import NodeSlots
from swerl_eval.sandboxes.ray.placement import Need

pytestmark = pytest.mark.anyio
GIB = 2**30


def machine(cpus: float, gib: int = 16) -> Machine:
    return Machine("Docker 1", "x86_64", cpus, gib * GIB)


def need(cpus: float = 2.0, gib: int = 1, image: str = "some/image:1") -> Need:
    return Need(image, cpus, gib * GIB)


class Jobs:
    """Jobs that have their slots until they are ended."""

    def __init__(self, slots: NodeSlots) -> None:
        self._slots = slots
        self.nodes: dict[str, str] = {}
        """Of those that run, by name."""
        self.errors: dict[str, str] = {}
        self._end: dict[str, anyio.Event] = {}

    async def run(self, name: str, wanted: Need) -> None:
        self._end[name] = anyio.Event()
        try:
            async with self._slots.slot(wanted) as slot:
                self.nodes[name] = slot.node
                try:
                    await self._end[name].wait()
                finally:
                    del self.nodes[name]
        except EngineUnavailableError as error:
            self.errors[name] = str(error)

    def let_end(self, name: str) -> None:
        self._end[name].set()

    async def end(self, name: str) -> None:
        self.let_end(name)
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
def slots() -> NodeSlots:
    return NodeSlots()


async def test_a_job_waits_until_another_one_leaves_room(slots: NodeSlots) -> None:
    slots.add_node("n", machine(4), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        for name in "abcd":
            group.start_soon(jobs.run, name, need())
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"a": "n", "b": "n", "c": "n"}  # three for four processors
        await jobs.end("a")
        assert jobs.nodes == {"b": "n", "c": "n", "d": "n"}
        group.cancel_scope.cancel()


async def test_a_job_that_is_cancelled_while_it_waits_takes_no_room(slots: NodeSlots) -> None:
    slots.add_node("n", machine(2), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        group.start_soon(jobs.run, "a", need())
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01):
            await jobs.run("gone", need())
        group.start_soon(jobs.run, "b", need())
        await anyio.wait_all_tasks_blocked()
        await jobs.end("a")
        assert jobs.nodes == {"b": "n"}
        group.cancel_scope.cancel()


@pytest.mark.parametrize("steps", range(5))
async def test_a_job_that_is_cancelled_in_the_moment_of_its_turn_gives_the_room_to_the_next(
    slots: NodeSlots, steps: int
) -> None:
    slots.add_node("n", machine(2), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        group.start_soon(jobs.run, "a", need())
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(jobs.run, "gone", need())
            await anyio.wait_all_tasks_blocked()
            group.start_soon(jobs.run, "b", need())
            await anyio.wait_all_tasks_blocked()
            jobs.let_end("a")
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            waiting.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"b": "n"}
        group.cancel_scope.cancel()


@pytest.mark.parametrize("wanted", [need(cpus=64.0), need(gib=64), need(cpus=64.0, gib=64)])
async def test_a_job_that_asks_for_more_than_any_node_has_gets_a_whole_one(slots: NodeSlots, wanted: Need) -> None:
    slots.add_node("small", machine(2, 4), ())
    slots.add_node("large", machine(4, 16), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        group.start_soon(jobs.run, "a", wanted)
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"a": "large"}
        group.cancel_scope.cancel()


async def test_jobs_that_only_a_lost_node_had_room_for_fit_on_what_is_left(slots: NodeSlots) -> None:
    slots.add_node("large", machine(2), ())
    slots.add_node("small", machine(1), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        for name in "ab":
            group.start_soon(jobs.run, name, need(cpus=2.0))
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"a": "large"}
        assert slots.remove_node("large", "it burned") == 1
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"a": "large", "b": "small"}  # a finds out by its own call
        await jobs.end("a")
        await jobs.end("b")
        assert jobs.nodes == {}


async def test_without_a_node_jobs_fail_with_the_reason_until_one_is_there_again(slots: NodeSlots) -> None:
    slots.add_node("n", machine(2), ())
    jobs = Jobs(slots)
    async with anyio.create_task_group() as group:
        for name in "ab":
            group.start_soon(jobs.run, name, need())
        await anyio.wait_all_tasks_blocked()
        slots.remove_node("n", "it burned")
        await anyio.wait_all_tasks_blocked()
        await jobs.run("c", need())
        message = "no node of the Ray cluster is left that jobs could run on; the last one: it burned"
        assert jobs.errors == {"b": message, "c": message}
        await jobs.end("a")
        slots.add_node("n", machine(2), ())
        group.start_soon(jobs.run, "d", need())
        await anyio.wait_all_tasks_blocked()
        assert jobs.nodes == {"d": "n"}
        group.cancel_scope.cancel()


async def test_images_that_jobs_will_come_for_are_promised_to_nodes() -> None:
    promised: list[tuple[str, str]] = []
    slots = NodeSlots(lambda node, image: promised.append((node, image)))
    slots.add_node("n", machine(2), ["a/held:1"])
    slots.expect(["a/held:1", "b/other:1"])
    assert promised == [("n", "b/other:1")]
    assert [slots.node_for(image) for image in ("a/held:1", "b/other:1", "c/unknown:1")] == ["n", "n", None]
