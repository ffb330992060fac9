"""Pulls, their budget and the fetching ahead, with the real engine and a registry of ours on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker.errors
import pytest

from swerl_eval.core.errors import ImageMissingError
from swerl_eval.core.types import Job, Limits
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.disk_budget import image_disk_usage
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.prefetch import Prefetcher
from swerl_eval.sandboxes.docker.pulls import RetryPolicy
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from tests.fake_registry import FakeRegistry, Fault, Layer, layer, serving

pytestmark = pytest.mark.docker
QUICK = RetryPolicy(attempts=6, first=0.05, longest=0.2)
MEGABYTE = 10**6
ONE_BYTE = 1
"""A budget of one byte: whatever may go, goes."""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry whose images are gone from the engine when the test is done."""
    client = connect()
    with serving() as opened:
        yield opened
        prefix = f"localhost:{opened.port}/"
        for image in client.api.images():  # by digest too: one whose name went to another has nothing else
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            if any(name.startswith(prefix) for name in names):
                client.api.remove_image(image["Id"], force=True)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(connect(), tmp_path, retry_policy=QUICK)


def random_layer(megabytes: float = 0.1) -> Layer:
    return layer({f"data-{os.urandom(8).hex()}": os.urandom(int(megabytes * MEGABYTE))})


def eventually(true: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def undisturbed(scenario: Callable[[], None]) -> None:
    """Carry out what goes by the engine's total, anew while others pull or build at the same time."""
    client = connect()

    def others() -> set[str]:
        here = client.api.images(all=True)
        return {image["Id"] for image in here if not any("localhost:" in tag for tag in image["RepoTags"] or ())}

    for _ in range(5):
        before = others()
        try:
            scenario()
        except AssertionError:
            if others() == before:
                raise
            continue
        return
    pytest.fail("the engine never was left alone for as long as the test takes")


def test_two_jobs_that_want_one_image_pull_it_once(registry: FakeRegistry, images: Images) -> None:
    name = registry.add("once", random_layer())
    held = threading.Event()
    registry.faults = [Fault("/blobs/", hold=held)]
    with ThreadPoolExecutor(3) as pool:
        pulls = [pool.submit(images.ensure, name) for _ in range(3)]
        time.sleep(1)
        held.set()
    assert len({pull.result().digest for pull in pulls}) == 1
    assert registry.count("manifests") <= 1  # the engine may take it from an earlier pull
    assert registry.requests.count("HEAD /v2/once/manifests/1") == 1
    assert registry.count("blobs") == 2
    entry = images.pulled()[name]
    assert entry.digest == pulls[0].result().digest
    assert time.time() - 600 < entry.pulled <= entry.used <= time.time()


@pytest.mark.parametrize(("status", "code"), [(429, "TOOMANYREQUESTS"), (429, ""), (503, "UNAVAILABLE"), (500, "")])
def test_rate_limits_and_passing_failures_are_waited_out(
    registry: FakeRegistry, images: Images, status: int, code: str
) -> None:
    name = registry.add("limited", random_layer())
    registry.faults = [Fault("/manifests/", status=status, code=code, times=6)]  # HEAD and GET: three tries
    assert images.ensure(name).digest
    assert registry.requests.count("HEAD /v2/limited/manifests/1") == 4


def test_patience_has_an_end_and_the_error_says_what_the_registry_said(registry: FakeRegistry, tmp_path: Path) -> None:
    name = registry.add("limited", random_layer())
    registry.faults = [Fault("/manifests/", status=429, code="TOOMANYREQUESTS")]
    images = Images(connect(), tmp_path, retry_policy=RetryPolicy(attempts=3, first=0.05, longest=0.1))
    with pytest.raises(ImageMissingError, match=rf"{name} is not here and cannot be pulled .*toomanyrequests"):
        images.ensure(name)
    assert registry.requests.count("HEAD /v2/limited/manifests/1") == 3
    assert images.pulled() == {}


def test_what_is_not_there_fails_at_once(registry: FakeRegistry, tmp_path: Path) -> None:
    images = Images(connect(), tmp_path, retry_policy=RetryPolicy(first=600.0, longest=600.0))
    started = time.monotonic()
    with pytest.raises(ImageMissingError, match="manifest unknown"):
        images.ensure(f"localhost:{registry.port}/there-is-none:1")
    assert time.monotonic() - started < 60


def test_who_pauses_for_a_limit_holds_up_nobody(registry: FakeRegistry, tmp_path: Path) -> None:
    limited = [registry.add(f"limited-{number}", random_layer()) for number in range(4)]  # as many as pull at a time
    registry.faults = [Fault("limited", status=429, code="TOOMANYREQUESTS")]
    images = Images(connect(), tmp_path, retry_policy=RetryPolicy(attempts=3, first=600.0, longest=600.0))
    stop = threading.Event()

    def wait_for(name: str) -> None:
        with contextlib.suppress(ImageMissingError), images.using(name, stop):
            pytest.fail("it cannot be had")

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(wait_for, name) for name in limited]
        assert eventually(lambda: registry.count("limited") >= 4)
        assert images.ensure(registry.add("free", random_layer())).digest
        stop.set()
        started = time.monotonic()
        for waiter in waiting:
            waiter.result(timeout=60)
    assert time.monotonic() - started < 60


def test_a_layer_whose_connection_breaks_goes_on_where_it_broke(registry: FakeRegistry, images: Images) -> None:
    big = random_layer(3)
    name = registry.add("broken", big)
    registry.faults = [Fault(big.digest, break_after=MEGABYTE, times=1)]
    assert images.ensure(name).digest
    asked = [request for request in registry.requests if big.digest in request]
    assert len(asked) == 2
    begun = re.search(r"bytes=(\d+)-", asked[1])
    assert begun is not None
    assert 0 < int(begun[1]) <= MEGABYTE


def test_a_pull_that_the_engine_gave_up_in_the_middle_is_pulled_again(registry: FakeRegistry, images: Images) -> None:
    first, second = random_layer(), random_layer()
    name = registry.add("given-up", first, second)
    held = threading.Event()
    registry.faults = [Fault(second.digest, status=429, code="TOOMANYREQUESTS", hold=held, times=2)]
    threading.Timer(1.0, held.set).start()  # the first layer is here by then
    assert images.ensure(name).digest
    assert registry.requests.count("HEAD /v2/given-up/manifests/1") == 2


def test_a_pull_that_nobody_waits_for_any_more_is_stopped(registry: FakeRegistry, images: Images) -> None:
    held, stop = threading.Event(), threading.Event()
    name = registry.add("unwanted", random_layer())
    registry.faults = [Fault("/blobs/", hold=held)]
    threading.Timer(1.0, stop.set).start()
    started = time.monotonic()
    with pytest.raises(ImageMissingError, match="stopped"), images.using(name, stop):
        pytest.fail("it cannot be had")
    assert time.monotonic() - started < 60
    held.set()
    time.sleep(1)
    assert not images.present(name)
    registry.faults = []
    assert images.ensure(name).digest  # and may be asked for anew


def test_under_a_budget_the_least_recently_used_go_but_none_in_use_and_none_that_was_there(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    client = connect()
    there, one, two, three = (registry.add(name, random_layer()) for name in ("there", "one", "two", "three"))
    client.images.pull(there)
    unbound = Images(client, tmp_path)
    for name in (there, one, two, three):
        unbound.ensure(name)
    unbound.ensure(one)  # used after the others
    other_process = Images(client, tmp_path)
    tight = Images(client, tmp_path, disk=ONE_BYTE)
    assert set(tight.pulled()) == {one, two, three}
    begun = time.time()
    with other_process.using(two), tight.using(registry.add("next", random_layer())) as next_image:
        assert [name for name in (there, one, two, three) if tight.present(name)] == [there, two]
        assert tight.present(next_image.name)
    events = client.events(since=int(begun), until=int(time.time()) + 1, filters={"type": "image"}, decode=True)
    untagged = [event["id"] for event in events if event["Action"] == "delete"]
    assert len(untagged) >= 2
    tight.ensure(registry.add("last", random_layer()))
    assert [name for name in (there, one, two, three, next_image.name) if tight.present(name)] == [there]


def test_images_go_in_the_order_of_their_last_use_and_no_more_than_must(registry: FakeRegistry, tmp_path: Path) -> None:
    client = connect()

    def scenario() -> None:
        cache = tmp_path / os.urandom(4).hex()
        names = [registry.add(f"n{number}-{os.urandom(4).hex()}", random_layer(20)) for number in range(4)]
        images = Images(client, cache)
        before = image_disk_usage(client).layers
        for name in names:
            images.ensure(name)
        images.ensure(names[0])
        budgeted = Images(client, cache, disk=before + 70 * MEGABYTE)
        budgeted.ensure(registry.add(f"n4-{os.urandom(4).hex()}", random_layer(20)))
        assert [budgeted.present(name) for name in names] == [True, False, False, True]
        assert set(budgeted.pulled()) >= {names[0], names[3]}
        assert image_disk_usage(client).layers <= before + 70 * MEGABYTE

    undisturbed(scenario)


def test_an_image_that_a_container_of_somebody_else_needs_is_left_alone(registry: FakeRegistry, tmp_path: Path) -> None:
    client = connect()
    tight = Images(client, tmp_path, disk=ONE_BYTE)
    needed, idle = registry.add("needed", random_layer()), registry.add("idle", random_layer())
    unbound = Images(client, tmp_path)
    unbound.ensure(needed)
    unbound.ensure(idle)
    container = client.api.create_container(needed, command=["none"])["Id"]
    try:
        with tight.using(registry.add("next", random_layer())):
            assert (tight.present(needed), tight.present(idle)) == (True, False)
    finally:
        client.api.remove_container(container)


def test_an_image_that_was_replaced_by_hand_is_not_taken_for_the_pulled_one(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    client = connect()
    name = registry.add("replaced", random_layer())
    Images(client, tmp_path).ensure(name)
    client.images.pull(registry.add("by-hand", random_layer()))
    client.api.tag(f"localhost:{registry.port}/by-hand:1", f"localhost:{registry.port}/replaced", "1", force=True)
    tight = Images(client, tmp_path, disk=ONE_BYTE)
    tight.ensure(registry.add("next", random_layer()))
    assert tight.present(name)
    assert name not in tight.pulled()


def test_images_are_fetched_ahead_in_order_but_only_so_far(registry: FakeRegistry, images: Images) -> None:
    names = [registry.add(f"ahead-{number}", random_layer()) for number in range(6)]
    names[2] = f"localhost:{registry.port}/there-is-none:1"  # no reason to stop
    prefetcher = Prefetcher(images, 2, images.prefetch_room, retry_seconds=0.1)
    prefetcher.add(names)
    assert eventually(lambda: images.present(names[1]))
    time.sleep(0.5)
    assert not images.present(names[3])
    prefetcher.job_began(names[1])
    assert eventually(lambda: images.present(names[3]))
    time.sleep(0.5)
    assert not images.present(names[4])
    prefetcher.job_began(names[5])  # its job pulls it itself
    assert eventually(lambda: images.present(names[4]))
    prefetcher.stop()
    assert not images.present(names[5])
    asked = [request for request in registry.requests if request.startswith("HEAD")]
    assert asked == [f"HEAD /v2/ahead-{number}/manifests/1" for number in (0, 1)] + [
        "HEAD /v2/there-is-none/manifests/1",
        *(f"HEAD /v2/ahead-{number}/manifests/1" for number in (3, 4)),
    ]


def test_nothing_is_fetched_ahead_without_room_but_jobs_pull_all_the_same(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    names = [registry.add(f"full-{number}", random_layer()) for number in range(2)]
    tight = Images(connect(), tmp_path, disk=ONE_BYTE, retry_policy=QUICK)
    prefetcher = Prefetcher(tight, None, tight.prefetch_room, retry_seconds=0.1)
    prefetcher.add(names)
    time.sleep(1.5)
    assert registry.requests == []
    with tight.using(names[1]) as image:
        assert image.digest
    prefetcher.stop()


def test_fetching_ahead_goes_on_when_there_is_room_again(registry: FakeRegistry, tmp_path: Path) -> None:
    client = connect()

    def scenario() -> None:
        mark = os.urandom(4).hex()
        first, second = (registry.add(f"room-{number}-{mark}", random_layer(20)) for number in range(2))
        budgeted = Images(client, tmp_path / mark, disk=image_disk_usage(client).layers + 30 * MEGABYTE)
        prefetcher = Prefetcher(budgeted, 1, budgeted.prefetch_room, retry_seconds=0.2)
        try:
            with budgeted.using(first):
                prefetcher.add([first, second])
                prefetcher.job_began(first)
                time.sleep(2)
                assert not registry.count(f"room-1-{mark}/blobs")
            assert eventually(lambda: budgeted.present(second))
            assert not budgeted.present(first)
        finally:
            prefetcher.stop()

    undisturbed(scenario)


@pytest.mark.anyio
async def test_a_sandbox_fetches_ahead_runs_on_it_and_stops_at_once(registry: FakeRegistry, tmp_path: Path) -> None:
    shell = layer(shell_files())
    names = [registry.add(f"job-{number}", shell, random_layer()) for number in range(2)]
    held = threading.Event()
    slow = random_layer()
    names.append(registry.add("slow", slow))
    registry.faults = [Fault(slow.digest, hold=held)]
    sandbox = DockerSandbox.open(SandboxSettings("tests-of-images", workers=1, cache=tmp_path / "cache"))
    sandbox.prefetch(names)
    limits = Limits(memory=64 * 2**20, cpus=1.0, pids=32, network="none")
    job = Job("test", names[0], "echo it runs", (), limits=limits, timeout=300.0, log=str(tmp_path / "log"))
    result = await sandbox.run(job)
    assert (result.exit_code, (tmp_path / "log").read_text()) == (0, "it runs\n")
    assert eventually(lambda: registry.count(slow.digest) > 0)
    assert registry.count(shell.digest) == 1
    started = time.monotonic()
    await sandbox.aclose()
    assert time.monotonic() - started < 60  # with the removal of a container
    held.set()
    time.sleep(0.5)
    with pytest.raises(docker.errors.ImageNotFound):
        connect().api.inspect_image(names[2])


def test_shared_layers_are_counted_once(registry: FakeRegistry, images: Images) -> None:
    common = random_layer(5)
    one, two = registry.add("one", common, random_layer(1)), registry.add("two", common, random_layer(2))

    def scenario() -> None:
        before = images.disk_usage().layers
        digests = [images.ensure(name).digest for name in (one, two)]
        usage = images.disk_usage()
        grown = usage.layers - before
        for name in (one, two):
            images.remove(name)
        assert [usage.own[digest] for digest in digests] == [MEGABYTE, 2 * MEGABYTE]
        assert [usage.shared[digest] for digest in digests] == [5 * MEGABYTE] * 2
        assert grown == 8 * MEGABYTE
        assert images.pulled() == {}

    undisturbed(scenario)


def shell_files() -> dict[str, bytes]:
    """This machine's bash with the libraries that it needs."""
    needed = subprocess.run(["ldd", "/bin/bash"], check=True, capture_output=True, text=True, timeout=300).stdout
    paths = ["/bin/bash", *re.findall(r"(/\S+) \(0x", needed)]
    files = {path.lstrip("/"): Path(path).read_bytes() for path in paths}
    return files | {"etc/passwd": b"root:x:0:0::/:/bin/bash\n"}
