from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from swerl_eval.core.types import Machine
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.ray import fleet as module
from swerl_eval.sandboxes.ray.cluster import Place
from swerl_eval.sandboxes.ray.fleet import Fleet, RunningNode
from swerl_eval.sandboxes.ray.node import News
from swerl_eval.sandboxes.ray.node_slots import NodeSlots
from swerl_eval.sandboxes.ray.placement import Need

pytestmark = pytest.mark.anyio
PLACES = 6
"""Jobs that fit on a node."""


async def test_a_node_that_says_that_it_is_overloaded_gets_fewer_jobs_and_the_others_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    slots = NodeSlots()
    fleet = Fleet(cast(Any, None), SandboxSettings(), slots)
    machine = Machine("Docker 1", "x86_64", PLACES, 64 * 2**30)
    for name, pressure in (("calm", 1.0), ("overloaded", 9.0), ("unknown", None)):
        fleet.nodes[name] = RunningNode(Place(name, name), None, machine, (), News(1, {}, frozenset(), pressure))
        slots.add_node(name, machine, ())
    running: list[str] = []
    looks: list[float] = []

    def look_at_load(name: str, pressure: float) -> None:
        looks.append(pressure)
        NodeSlots.look_at_load(slots, name, pressure)

    monkeypatch.setattr(slots, "look_at_load", look_at_load)

    async def run() -> None:
        async with slots.slot(Need("image", 1.0, 0)) as slot:
            running.append(slot.node)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        looking = anyio.CancelScope()

        async def look() -> None:
            with looking:
                await fleet._look_at_loads()

        group.start_soon(look)
        while looks.count(9.0) < PLACES:
            await anyio.sleep(0.01)
        looking.cancel()
        for _ in range(4 * PLACES):
            group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert {name: running.count(name) for name in fleet.nodes} == {
            "calm": PLACES,
            "overloaded": 1,
            "unknown": PLACES,
        }
        group.cancel_scope.cancel()
