from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from swerl_eval.core.capacity import MOST_JOBS, jobs_at_first
from swerl_eval.core.types import Machine
from swerl_eval.scheduling.workers import Workers

GIB = 2**30


def machine(cpus: float, gib: int) -> Machine:
    return Machine("Docker 1", "x86_64", cpus, gib * GIB)


@pytest.mark.parametrize(
    ("cpus", "gib", "workers"),
    [(2, 24, 2), (4, 24, 3), (16, 64, 12), (32, 24, 12), (1, 1, 1), (8, 0, 6), (1000, 10**6, MOST_JOBS)],
)
def test_the_machine_s_cores_and_memory_decide(cpus: float, gib: int, workers: int) -> None:
    assert jobs_at_first(machine(cpus, gib)) == workers


def test_a_number_that_was_asked_for_stays_whatever_the_machine_does() -> None:
    workers = Workers(5)
    workers.size_to_machines([machine(2, 24)])
    for pressure in (None, 99.0, 0.0):
        workers.rescale(pressure)
        assert workers.maximum == 5
    assert Workers(5).limiter.total_tokens == 5


def test_the_number_is_the_sum_over_the_machines_and_eight_times_as_many_where_the_sandbox_has_a_queue() -> None:
    workers = Workers(0)
    workers.size_to_machines([machine(4, 24), machine(16, 64), machine(4, 24)])
    assert (workers.maximum, workers.limiter.total_tokens) == (18, 18)
    workers.size_to_machines([machine(4, 24), machine(16, 64), machine(4, 24)], queued=True)
    assert workers.maximum == 144
    asked_for = Workers(5)
    asked_for.size_to_machines([machine(16, 64)] * 2, queued=True)
    assert asked_for.maximum == 5


def test_an_overloaded_machine_gets_one_worker_fewer_at_a_look_and_has_them_back_later() -> None:
    workers = Workers(0)
    workers.size_to_machines([machine(4, 24)])
    sizes = []
    for pressure in (2.5, 2.5, 2.5, 1.8, 1.0, 0.5, 0.5):
        workers.rescale(pressure)
        sizes.append(workers.limiter.total_tokens)
    assert sizes == [2, 1, 1, 1, 2, 3, 3]


def test_a_machine_that_cannot_be_seen_changes_nothing() -> None:
    workers = Workers(0)
    workers.size_to_machines([machine(4, 24)])
    workers.rescale(None)
    assert workers.limiter.total_tokens == 3


def test_a_number_in_the_run_folder_s_file_counts_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "workers"
    workers = Workers(2, file)
    for text, size in (("7\n", 7), ("1", 1), ("many", 1), ("-4", 1), ("0", 1), ("3", 3)):
        file.write_text(text)
        workers.rescale(None)
        assert workers.limiter.total_tokens == size, text
    file.unlink()
    workers.rescale(None)
    assert workers.limiter.total_tokens == 3


@pytest.mark.anyio
async def test_jobs_under_way_go_on_and_the_next_ones_see_the_new_number(tmp_path: Path) -> None:
    file = tmp_path / "workers"
    workers = Workers(1, file)
    running = most = 0
    three = anyio.Event()

    async def job() -> None:
        nonlocal running, most
        async with workers.limiter:
            running += 1
            most = max(most, running)
            if running == 3:
                three.set()
            await three.wait()
            running -= 1

    async with anyio.create_task_group() as group:
        group.start_soon(workers.autoscale, lambda: None, 0.01)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as jobs:
                for _ in range(4):
                    jobs.start_soon(job)
                await anyio.sleep(0.05)
                assert most == 1
                file.write_text("3")
        group.cancel_scope.cancel()
    assert most == 3
