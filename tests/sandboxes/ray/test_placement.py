"""Which node runs which job: exact placements, and rules that hold whatever is called."""

from __future__ import annotations

import random
from collections.abc import Hashable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from swerl_eval.core.capacity import MEMORY_PER_JOB, ONE_FEWER_ABOVE, ONE_MORE_BELOW
from swerl_eval.sandboxes.ray.placement import PATIENCE, Need, Placement, layer_group
from swerl_eval.sandboxes.ray.waiting import JOB_CPUS

GIB = 2**30


def django(number: int) -> str:
    return f"swebench/sweb.eval.x86_64.django_1776_django-{number}:latest"


def sympy(number: int) -> str:
    return f"swebench/sweb.eval.x86_64.sympy_1776_sympy-{number}:latest"


def cluster(*cpus: float, memory: int = 64 * GIB) -> Placement[str]:
    """Nodes n1, n2, … with so many processors."""
    placement: Placement[str] = Placement()
    for number, count in enumerate(cpus, 1):
        placement.add_node(f"n{number}", count, memory)
    return placement


def queue(placement: Placement[str], image: str, *jobs: str, cpus: float = 1.0, memory: int = 0) -> None:
    for job in jobs:
        placement.add(job, Need(image, cpus, memory))


def had_a_job(placement: Placement[str], *images: str) -> Placement[str]:
    """Let each node, in their order, run and end a job of one image."""
    for image in images:
        placement.add("before", Need(image, 1.0, 0))
        assert len(placement.place()) == 1
        placement.end("before")
    return placement


@pytest.mark.parametrize(
    ("image", "group"),
    [
        ("docker.io/swebench/sweb.eval.x86_64.django_1776_django-11099:latest", "sweb.eval.x86_64.django_1776_django"),
        ("localhost:5000/x/sweb.eval.x86_64.psf_1776_requests-1142", "sweb.eval.x86_64.psf_1776_requests"),
        ("a/scikit-learn-7@sha256:00", "scikit-learn"),
        ("mswebench/cli_m_cli:pr-1069", "cli_m_cli"),
        ("", ""),
    ],
)
def test_the_layer_group_is_the_image_s_name_without_registry_number_and_tag(image: str, group: str) -> None:
    assert layer_group(image) == group


def test_jobs_of_one_image_go_to_the_node_that_has_it_and_the_oldest_first() -> None:
    placement = cluster(2)
    placement.add_node("n2", 2, 64 * GIB, [django(1)])
    queue(placement, django(1), "a", "b", "c")
    assert placement.place() == [("a", "n2"), ("b", "n2"), ("c", "n1")]
    placement.end("a")
    queue(placement, django(1), "d", "e")
    assert placement.place() == [("d", "n1"), ("e", "n2")]  # both have as much room
    assert (placement.running("n1"), placement.running("n2"), placement.queued()) == (2, 2, 0)


def test_nodes_that_had_no_job_take_the_oldest_jobs_so_that_long_ones_are_spread() -> None:
    placement = cluster(2, 2, 2)
    queue(placement, django(1), "a1", "a2", "a3")
    queue(placement, sympy(1), "b1", "b2")
    assert placement.place() == [("a1", "n1"), ("a2", "n2"), ("b1", "n3"), ("a3", "n1"), ("b2", "n3")]


def test_a_node_takes_an_unclaimed_image_of_its_group_with_the_nearest_number() -> None:
    placement = had_a_job(cluster(1), django(100))
    queue(placement, sympy(100), "s")
    queue(placement, django(300), "far")
    queue(placement, django(110), "near")
    assert placement.place() == [("near", "n1")]
    placement.end("near")
    assert placement.place() == [("far", "n1")]
    placement.end("far")
    assert placement.place() == [("s", "n1")]


def test_without_layers_in_common_the_group_with_the_most_images_for_each_of_its_nodes_comes_first() -> None:
    placement = had_a_job(cluster(1), "other/flask-1")
    queue(placement, sympy(1), "s1")
    queue(placement, django(1), "d1")
    queue(placement, django(2), "d2")
    assert placement.place() == [("d1", "n1")]


def test_a_node_at_work_helps_only_where_the_backlog_fills_the_other_node_twice() -> None:
    placement = cluster(1, 2)
    queue(placement, django(1), "a")
    queue(placement, sympy(1), "b", "c")
    assert placement.place() == [("a", "n2"), ("b", "n1")]  # c waits for n1, once as much as that has places
    queue(placement, sympy(1), "d")
    assert placement.place() == [("c", "n2")]


def test_a_node_that_runs_nothing_takes_whatever_other_nodes_have_no_room_for() -> None:
    placement = had_a_job(cluster(1), django(1))
    placement.add_node("n2", 1, 64 * GIB, ["other/flask-1"])
    queue(placement, "other/flask-1", "f")
    queue(placement, django(1), "a", "b")
    assert placement.place() == [("a", "n1"), ("f", "n2")]
    placement.end("f")
    assert placement.place() == [("b", "n2")]


def test_a_job_that_is_about_to_start_where_its_image_is_is_not_taken_by_another_node() -> None:
    placement = had_a_job(cluster(1, 4), django(1))  # n2 has the image: it has the most room
    assert placement.node_for(django(1)) == "n2"
    placement.add_node("n3", 8, 64 * GIB)
    queue(placement, django(1), "a", "b")
    assert placement.place() == [("a", "n2"), ("b", "n2")]


def test_expected_images_are_promised_one_to_a_node_and_only_while_nothing_waits() -> None:
    placement = cluster(1, 1)
    placement.expect([django(1), django(2), sympy(1)])
    assert placement.node_for(django(1)) is None
    assert placement.promises() == [(django(1), "n1"), (sympy(1), "n2")]
    assert placement.node_for(django(1)) == "n1"
    assert placement.promises() == []
    queue(placement, django(1), "a", "b", "c")
    assert placement.place() == [("a", "n1"), ("b", "n2")]
    assert placement.promises() == []  # c waits
    placement.end("a")
    assert placement.place() == [("c", "n1")]
    assert placement.promises() == [(django(2), "n1")]


def test_what_a_node_holds_counts_before_what_another_is_getting() -> None:
    placement = cluster(1, 1)
    queue(placement, django(1), "a", "b")
    assert placement.place() == [("a", "n1"), ("b", "n2")]
    assert placement.node_for(django(1)) == "n1"
    placement.end("b")
    assert placement.node_for(django(1)) == "n2"
    placement.end("a", holds_image=False)
    queue(placement, django(1), "c")
    assert placement.place() == [("c", "n2")]
    placement.end("c", holds_image=False)
    assert placement.node_for(django(1)) is None


def test_a_removed_node_gives_back_its_jobs_in_their_order_and_they_can_be_added_again() -> None:
    placement = cluster(2, 1)
    queue(placement, django(1), "b", "a", "c")
    assert placement.place() == [("b", "n1"), ("a", "n1"), ("c", "n2")]
    assert placement.remove_node("n1") == ["b", "a"]
    assert placement.remove_node("n1") == []
    assert placement.nodes() == ("n2",)
    placement.end("a")  # it is not known any more
    queue(placement, django(1), "a", "b")
    assert placement.place() == []
    placement.end("c")
    assert placement.place() == [("a", "n2")]


def test_a_queued_job_can_be_cancelled() -> None:
    placement = cluster(1)
    queue(placement, django(1), "a", "b", "c")
    assert placement.place() == [("a", "n1")]
    placement.end("b")
    placement.end("a")
    assert placement.place() == [("c", "n1")]
    assert placement.queued() == 0


def test_a_job_counts_as_its_processors_and_as_little_memory_but_needs_its_limit_in_whole() -> None:
    placement = cluster(8, memory=3 * MEMORY_PER_JOB)
    queue(placement, django(1), "a", "b", "c", "d", memory=3 * MEMORY_PER_JOB)
    queue(placement, django(2), "large", memory=3 * MEMORY_PER_JOB + 1)
    assert placement.place() == [("a", "n1"), ("b", "n1"), ("c", "n1")]
    assert placement.fits_nowhere("large")
    assert not placement.fits_nowhere("d")
    assert not placement.fits_nowhere("a")  # it runs


def test_small_limits_leave_room_for_more_and_a_node_of_unknown_memory_takes_any() -> None:
    placement = cluster(8, memory=MEMORY_PER_JOB)
    queue(placement, django(1), "a", "b", "c", memory=MEMORY_PER_JOB // 2)
    assert placement.place() == [("a", "n1"), ("b", "n1")]
    placement.add_node("n2", 2, 0)
    queue(placement, django(1), "d", memory=10**15)
    assert placement.place() == [("c", "n2"), ("d", "n2")]


def test_a_job_that_asks_for_no_processors_counts_as_one() -> None:
    placement = cluster(2)
    queue(placement, django(1), "a", "b", "c", cpus=0.0)
    assert placement.place() == [("a", "n1"), ("b", "n1")]


@pytest.mark.parametrize(
    ("cpus", "limit", "jobs"), [(32, 2.0, 24), (32, 8.0, 24), (4, 2.0, 3), (2, 2.0, 1), (32, 1.0, 32)]
)
def test_a_node_runs_three_jobs_for_four_processors_as_one_machine_does(cpus: int, limit: float, jobs: int) -> None:
    placement = cluster(cpus)
    queue(placement, django(1), *(f"j{number}" for number in range(40)), cpus=limit)
    assert len(placement.place()) == jobs


def test_an_overloaded_node_gets_one_job_fewer_at_a_look_and_has_them_back_later() -> None:
    placement = cluster(6)
    queue(placement, django(1), *(f"j{number}" for number in range(100)))
    running = [job for job, _ in placement.place()]
    assert len(running) == 6
    counts = []
    for pressure in (2.5, 2.5, 1.8, 9.0, 9.0, 9.0, 9.0, 1.0, 0.5, 2.0, 0.0, 0.0, 0.0, 0.0):
        placement.look_at_load("n1", pressure)
        while True:  # the oldest ends, until nothing comes for it, or as many run as before
            placement.end(running.pop(0))
            started = [job for job, _ in placement.place()]
            running += started
            if started:
                break
        counts.append(len(running))
    assert counts == [5, 4, 4, 3, 2, 1, 1, 2, 3, 3, 4, 5, 6, 6]


def test_a_job_fits_nowhere_without_nodes_or_with_too_small_ones() -> None:
    placement = cluster()
    queue(placement, django(1), "a", cpus=4.0)
    assert placement.fits_nowhere("a")
    assert placement.place() == []
    placement.add_node("small", 2, GIB)
    assert placement.fits_nowhere("a")
    placement.add_node("large", 4, GIB)
    assert not placement.fits_nowhere("a")
    assert placement.place() == [("a", "large")]


def test_an_image_on_a_node_that_is_too_small_is_pulled_by_a_larger_one() -> None:
    placement = cluster()
    placement.add_node("small", 1, 64 * GIB, [django(1)])
    placement.add_node("large", 4, 64 * GIB, [sympy(1)])
    queue(placement, sympy(1), "s")
    queue(placement, django(1), "a", cpus=2.0)
    assert placement.place() == [("s", "large"), ("a", "large")]


def test_names_that_are_taken_and_nodes_without_processors_are_refused() -> None:
    placement = cluster(1)
    with pytest.raises(ValueError, match="node 'n1' is there already"):
        placement.add_node("n1", 1, GIB)
    with pytest.raises(ValueError, match="has no processors"):
        placement.add_node("n2", 0.0, GIB)
    queue(placement, django(1), "a")
    with pytest.raises(ValueError, match="job 'a' is queued or running"):
        queue(placement, django(1), "a")


def overtaken(placement: Placement[str], waits: str, image: str, cpus: float) -> int:
    """How many later jobs, of which there are always more, start before the one that waits."""
    queue(placement, image, "x0", "x1", cpus=cpus)
    running, number = ["first", *(job for job, _ in placement.place())], 2
    while waits not in running and number < 200:
        for job in running[:1]:
            placement.end(job)
        queue(placement, image, f"x{number}", f"y{number}", cpus=cpus)
        number += 1
        running = running[1:] + [job for job, _ in placement.place()]
    return number


def test_a_job_too_large_for_any_gap_gets_a_node_that_is_kept_free_for_it() -> None:
    placement = had_a_job(cluster(2), django(1))
    queue(placement, django(1), "first", cpus=1.0)
    placement.place()
    queue(placement, sympy(1), "large", cpus=2.0)
    assert overtaken(placement, "large", django(1), 1.0) < 10 * PATIENCE


def test_a_job_of_another_group_is_not_overtaken_for_ever() -> None:
    placement = had_a_job(cluster(1), django(1))
    queue(placement, django(1), "first")
    placement.place()
    queue(placement, sympy(1), "waits")
    assert overtaken(placement, "waits", django(1), 1.0) < 10 * PATIENCE


def test_a_node_is_kept_free_no_more_when_the_job_is_cancelled() -> None:
    placement = had_a_job(cluster(2), django(1))
    queue(placement, django(1), "first")
    placement.place()
    queue(placement, sympy(1), "large", cpus=2.0)
    queue(placement, django(1), *(f"x{number}" for number in range(50)))
    running = ["first", *(job for job, _ in placement.place())]
    while len(running) == 2:  # until the node is kept free
        placement.end(running.pop(0))
        running += [job for job, _ in placement.place()]
    assert placement.queued() > 20
    placement.end("large")
    assert len(placement.place()) == 1


@pytest.mark.parametrize(("cpus", "memory"), [(8, 64 * GIB), (64, 6 * MEMORY_PER_JOB + GIB)])
def test_ten_thousand_jobs_on_a_hundred_nodes_are_placed_once_each_and_images_stay_together(
    cpus: int, memory: int
) -> None:
    placement: Placement[tuple[int, int]] = Placement()
    for number in range(100):
        placement.add_node(f"n{number}", cpus, memory)  # room for six jobs, and for a part of a further one
    for image in range(500):
        for number in range(20):
            placement.add((image, number), Need(f"r{image % 12}-{image}", 2.0, 0))
    rng = random.Random(1)
    running: list[tuple[tuple[int, int], str]] = []
    placed: list[tuple[int, int]] = []
    pulls: set[tuple[int, str]] = set()
    while placement.queued() or running:
        started = placement.place()
        running += started
        placed += [job for job, _ in started]
        pulls |= {(job[0], node) for job, node in started}
        placement.end(running.pop(rng.randrange(len(running)))[0])
    assert len(placed) == len(set(placed)) == 10_000
    assert len(pulls) < 750  # placed on the first free node, it is some 9,000


IMAGES = [django(1), django(2), sympy(1), sympy(9), "other/flask-1"]


class AnyCalls(RuleBasedStateMachine):
    """A cluster and a second one that gets the same calls; what the rules promise is reckoned here from the outside."""

    nodes = Bundle("nodes")
    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.placement: Placement[int] = Placement()
        self.twin: Placement[int] = Placement()
        self.size: dict[str, tuple[float, int]] = {}
        self.need: dict[int, Need] = {}
        self.where: dict[int, str] = {}
        self.waiting: set[int] = set()
        self.started: set[int] = set()
        self.count = 0

    def both(self, method: str, *arguments: Hashable, **named: object) -> object:
        mine = getattr(self.placement, method)(*arguments, **named)
        assert getattr(self.twin, method)(*arguments, **named) == mine
        return mine

    @rule(
        target=nodes,
        cpus=st.sampled_from([1.0, 2.0, 3.5, 8.0]),
        memory=st.sampled_from([GIB, 5 * GIB, 64 * GIB]),
        images=st.lists(st.sampled_from(IMAGES), max_size=2),
    )
    def add_node(self, cpus: float, memory: int, images: list[str]) -> str:
        self.count += 1
        name = f"n{self.count}"
        self.both("add_node", name, cpus, memory, tuple(images))
        self.size[name] = (cpus, memory)
        return name

    @rule(node=nodes, pressure=st.sampled_from([0.0, ONE_MORE_BELOW, ONE_FEWER_ABOVE, 9.0]))
    def look_at_load(self, node: str, pressure: float) -> None:
        self.both("look_at_load", node, pressure)

    @rule(node=consumes(nodes))
    def remove_node(self, node: str) -> None:
        lost = self.both("remove_node", node)
        assert lost == [job for job, at in self.where.items() if at == node]
        self.where = {job: at for job, at in self.where.items() if at != node}
        del self.size[node]

    @rule(
        target=jobs,
        image=st.sampled_from(IMAGES),
        cpus=st.sampled_from([0.0, 0.1, 1.0, 2.0, 8.0]),
        memory=st.sampled_from([0, GIB, 8 * GIB]),
        count=st.integers(1, 6),
    )
    def add(self, image: str, cpus: float, memory: int, count: int) -> object:
        added = []
        for _ in range(count):
            self.count += 1
            self.need[self.count] = Need(image, cpus, memory)
            self.both("add", self.count, self.need[self.count])
            self.waiting.add(self.count)
            added.append(self.count)
        return multiple(*added)

    @rule(images=st.lists(st.sampled_from(IMAGES), max_size=3))
    def expect(self, images: list[str]) -> None:
        self.both("expect", tuple(images))
        for image, node in self.both("promises"):  # type: ignore[attr-defined]
            assert node in self.size
            assert not self.waiting
            assert self.placement.node_for(image) is not None

    @rule(job=consumes(jobs), holds_image=st.booleans())
    def end(self, job: int, holds_image: bool) -> None:
        self.both("end", job, holds_image=holds_image)
        self.waiting.discard(job)
        self.where.pop(job, None)

    @rule()
    def place(self) -> None:
        for job, node in self.both("place"):  # type: ignore[attr-defined]
            assert job in self.waiting
            assert job not in self.started
            self.waiting.remove(job)
            self.started.add(job)
            self.where[job] = node
        idle = set(self.size) - set(self.where.values())
        for job in self.waiting:
            # it would be better off on an idle node than in any queue
            assert not any(self.fits(job, node) for node in idle), job

    def fits(self, job: int, node: str) -> bool:
        """Whether a job fits into an empty node."""
        need, (cpus, memory) = self.need[job], self.size[node]
        return (need.cpus or 1.0) <= cpus and need.memory <= memory

    @invariant()
    def no_node_has_more_than_fits(self) -> None:
        for node, (cpus, memory) in self.size.items():
            needs = [self.need[job] for job, at in self.where.items() if at == node]
            assert sum(min(need.cpus or 1.0, JOB_CPUS / 1000) for need in needs) <= cpus + 1e-9
            counted = [min(need.memory or MEMORY_PER_JOB, MEMORY_PER_JOB, memory) for need in needs]
            assert sum(counted) <= memory
            assert self.placement.running(node) == len(needs)

    @invariant()
    def counts_are_right(self) -> None:
        assert self.placement.queued() == len(self.waiting)
        assert set(self.placement.nodes()) == set(self.size)
        for job in self.waiting:
            assert self.placement.fits_nowhere(job) == (not any(self.fits(job, node) for node in self.size))

    def teardown(self) -> None:
        """Whatever was called before: once running jobs end, each job that fits somewhere gets its turn."""
        self.place()
        while self.where:
            for job in list(self.where):
                self.both("end", job, holds_image=True)
                del self.where[job]
            self.place()
        assert all(self.placement.fits_nowhere(job) for job in self.waiting)


TestAnyCalls = AnyCalls.TestCase
