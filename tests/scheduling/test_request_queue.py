"""Slots for requests: bounded, earlier instances first, no slot lost."""

from __future__ import annotations

import random

import anyio
import pytest

from swerl_eval.scheduling.request_queue import BLOCKING_STAGES, PATCHES, RequestQueue
from swerl_eval.stages import localize, regress, repair, reproduce

pytestmark = pytest.mark.anyio


async def test_the_instance_that_asked_first_goes_first_and_its_requests_in_their_order() -> None:
    queue, served = RequestQueue(1), []

    async def ask(instance_id: str, name: str) -> None:
        async with queue.slot(queue.priority(instance_id, "reproduce")):
            served.append(name)
            await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as group:
        for instance_id, name in (("b", "b1"), ("a", "a1"), ("a", "a2"), ("c", "c1"), ("a", "a3"), ("b", "b2")):
            group.start_soon(ask, instance_id, name)
    assert served == ["b1", "b2", "a1", "a2", "a3", "c1"]


def test_what_others_wait_for_comes_before_all_tests_and_patches() -> None:
    queue = RequestQueue(1)
    queue.register("a")
    asked = [(name, stage) for name in "ba" for stage in ("repair", "reproduce", *sorted(BLOCKING_STAGES))]
    asked.sort(key=lambda request: queue.priority(*request))
    assert asked[:6] == [(name, stage) for name in "ba" for stage in sorted(BLOCKING_STAGES)]
    assert asked[6:] == [("a", "reproduce"), ("a", "repair"), ("b", "reproduce"), ("b", "repair")]


def test_the_names_are_those_of_the_stages() -> None:
    assert {localize.STAGE, reproduce.GUIDE_STAGE, regress.STAGE} == BLOCKING_STAGES
    assert repair.STAGE == PATCHES


async def test_no_more_than_the_limit_hold_a_slot_and_cancelled_or_failed_ones_take_none_along() -> None:
    queue, chance = RequestQueue(3), random.Random(0)
    held, most, done, failed = 0, 0, 0, 0

    async def ask(number: int) -> None:
        nonlocal held, most, done, failed
        with anyio.move_on_after(chance.choice([0.0005, 0.002, 60])):
            try:
                async with queue.slot(number % 7):
                    held += 1
                    most = max(most, held)
                    try:
                        await anyio.sleep(chance.choice([0, 0.0002, 0.001]))
                        if number % 5 == 0:
                            raise ValueError
                    finally:
                        held -= 1
                    done += 1
            except ValueError:
                failed += 1

    async with anyio.create_task_group() as group:
        for number in range(600):
            group.start_soon(ask, number)
    assert (held, most) == (0, 3)
    assert done > 100
    assert 0 < done + failed < 600  # some were cancelled
    with anyio.fail_after(60):  # all three queue are there again
        async with queue.slot(0), queue.slot(1), queue.slot(2):
            pass
