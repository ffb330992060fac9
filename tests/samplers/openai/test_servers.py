"""Several servers as one: real HTTP servers, in this process so that the tests can break them at the right moment."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import anyio
import pytest

from swerl_eval.core.errors import SamplerError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import SamplerSettings, ignore
from swerl_eval.samplers.openai import sampler as sampler_module
from swerl_eval.samplers.openai import servers as servers_module
from swerl_eval.samplers.openai.sampler import OpenAISampler
from swerl_eval.samplers.openai.servers import ATTEMPTS, Attempts, Pool, Server
from tests.fake_server import Answer, FakeServer, HangUp, Refuse, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeServer]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:
        yield [stack.enter_context(serving()) for _ in range(3)]


@pytest.fixture
async def sampler(servers: list[FakeServer]) -> AsyncIterator[OpenAISampler]:
    opened = sampler_of(servers)
    yield opened
    await opened.aclose()


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first pause may be as long as it is wanted."""
    monkeypatch.setattr(servers_module, "LONGEST_PAUSE", 600.0)
    monkeypatch.setattr(sampler_module, "LONGEST_PAUSE", 600.0)


def sampler_of(servers: list[FakeServer], limit: int = 0, first_pause: float = 0.01) -> OpenAISampler:
    pool = Pool([Server(server.base_url) for server in servers], limit, first_pause)
    return OpenAISampler(SamplerSettings(model="m"), pool)


def asking(seed: int, n: int = 1) -> SampleRequest:
    return SampleRequest("a__b-1", "repair", (Message("user", "Fix it."),), tuple(range(n)), seed, 1.0, 1.0, 64)


async def sample_all(sampler: OpenAISampler, seeds: range, n: int = 1) -> dict[int, list[str]]:
    texts: dict[int, list[str]] = {}

    async def one(seed: int) -> None:
        texts[seed] = [completion.text for completion in await sampler.sample(asking(seed, n), ignore)]

    async with anyio.create_task_group() as group:
        for seed in seeds:
            group.start_soon(one, seed)
    return texts


def expected(seeds: range, n: int = 1) -> dict[int, list[str]]:
    return {seed: [f"answer {seed + k}" for k in range(n)] for seed in seeds}


def asked(*servers: FakeServer) -> Counter[tuple[int, int]]:
    """How often each first seed and n were asked for."""
    return Counter((body["seed"], body["n"]) for server in servers for body in server.bodies)


async def test_one_request_after_the_other_goes_round(servers: list[FakeServer], sampler: OpenAISampler) -> None:
    for seed in range(9):
        await sampler.sample(asking(seed), ignore)
    assert [[body["seed"] for body in server.bodies] for server in servers] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


async def test_the_next_request_goes_to_the_server_with_the_fewest_in_flight(
    servers: list[FakeServer], sampler: OpenAISampler
) -> None:
    held = threading.Event()
    servers[0].script.append(Answer(held=held))
    async with anyio.create_task_group() as group:
        group.start_soon(sampler.sample, asking(0), ignore)
        with anyio.fail_after(120):
            while not servers[0].requests:
                await anyio.sleep(0.01)
        for seed in range(1, 7):
            await sampler.sample(asking(seed), ignore)
        assert [len(server.requests) for server in servers] == [1, 3, 3]
        held.set()


async def test_all_servers_get_the_same_request(servers: list[FakeServer], sampler: OpenAISampler) -> None:
    for _ in servers:
        await sampler.sample(asking(5, 2), ignore)
    assert servers[0].bodies == servers[1].bodies == servers[2].bodies
    assert len(servers[0].bodies) == 1


async def test_no_server_gets_more_requests_at_a_time_than_its_limit(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers, limit=2)
    held = threading.Event()
    for server in servers:
        server.script.extend([Answer(held=held)] * 2)
    async with anyio.create_task_group() as group:
        group.start_soon(sample_all, sampler, range(20))
        with anyio.fail_after(120):
            while sum(server.in_flight for server in servers) < 6:
                await anyio.sleep(0.01)
        await anyio.sleep(0.2)
        assert [server.in_flight for server in servers] == [2, 2, 2]
        held.set()
    assert [server.most_in_flight for server in servers] == [2, 2, 2]
    assert asked(*servers) == Counter((seed, 1) for seed in range(20))
    await sampler.aclose()


async def test_the_limit_comes_from_the_settings(servers: list[FakeServer]) -> None:
    settings = SamplerSettings(
        model="m", base_urls=tuple(server.base_url for server in servers[:2]), requests_per_server=1
    )
    sampler = OpenAISampler.open(settings)
    assert await sample_all(sampler, range(8)) == expected(range(8))
    assert [server.most_in_flight for server in servers] == [1, 1, 0]
    await sampler.aclose()


@pytest.mark.usefixtures("long_pauses")
async def test_a_server_that_is_not_there_costs_one_request_a_moment_and_no_answer(servers: list[FakeServer]) -> None:
    servers[1].kill()
    sampler = sampler_of(servers, first_pause=600)
    with anyio.fail_after(120):
        assert await sample_all(sampler, range(0, 60, 3), 3) == expected(range(0, 60, 3), 3)
    assert asked(servers[0], servers[2]) == Counter((seed, 3) for seed in range(0, 60, 3))
    await sampler.aclose()


@pytest.mark.usefixtures("long_pauses")
async def test_when_a_server_is_killed_only_what_it_had_not_finished_is_asked_of_the_others(
    servers: list[FakeServer],
) -> None:
    sampler = sampler_of(servers, first_pause=600)
    lost, others = servers[0], servers[1:]
    held = threading.Event()
    # both of its requests stand in the middle when it dies; each other server has two of its own
    lost.script.extend([Answer(held=held)] * 2)
    seeds = range(0, 24, 4)

    async def kill() -> None:
        while lost.in_flight < 2:
            await anyio.sleep(0.01)
        lost.kill()
        held.set()

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            assert await sample_all(sampler, seeds, 4) == expected(seeds, 4)
    assert asked(*others) == Counter((seed, 4) for seed in seeds), "the lost ones once more, the others once"
    assert len(lost.requests) == 2
    await sampler.aclose()


@pytest.mark.usefixtures("long_pauses")
async def test_of_a_stream_that_breaks_the_finished_answers_are_not_drawn_again(servers: list[FakeServer]) -> None:
    for server in servers:
        server.pieces = lambda seed: ("answer", *[f" {seed}"] * (1 if seed % 2 else 6))
    sampler = sampler_of(servers, first_pause=600)
    texts = [completion.text for completion in await sampler.sample(asking(10, 4), ignore)]
    servers[1].script.append(Answer(drop_after=18))
    again = await sampler.sample(asking(10, 4), ignore)
    assert [completion.text for completion in again] == texts
    assert asked(servers[1]) == {(10, 4): 1}
    assert asked(servers[0], servers[2]) == {(10, 4): 1, (10, 1): 1, (12, 1): 1}, "the long ones, with their seeds"
    assert len(servers[2].bodies) == 1, "both at once, so one a server"
    await sampler.aclose()


async def test_a_server_that_comes_back_is_used_again(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers[:2], first_pause=0.2)
    servers[0].kill()
    assert await sample_all(sampler, range(4)) == expected(range(4))
    assert not servers[0].requests
    servers[0].start()
    while time.monotonic() < sampler._pool.servers[0].away_until:
        await anyio.sleep(0.05)
    assert await sample_all(sampler, range(10, 18)) == expected(range(10, 18))
    assert len(servers[0].requests) >= 1
    await sampler.aclose()


async def test_while_all_are_away_requests_wait_and_then_go_on(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers[:2], first_pause=0.1)
    for server in servers[:2]:
        server.kill()

    async def revive() -> None:
        await anyio.sleep(0.5)
        servers[1].start()

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(revive)
            assert await sample_all(sampler, range(8)) == expected(range(8))
    assert asked(servers[1]) == Counter((seed, 1) for seed in range(8))
    await sampler.aclose()


async def test_a_server_in_doubt_is_tried_by_one_request_alone(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers[:1], first_pause=0.05)
    held = threading.Event()
    servers[0].script.extend([HangUp(), Answer(held=held)])
    async with anyio.create_task_group() as group:
        group.start_soon(sampler.sample, asking(0), ignore)
        with anyio.fail_after(120):
            while len(servers[0].requests) < 2:
                await anyio.sleep(0.01)
        group.start_soon(sample_all, sampler, range(1, 6))
        await anyio.sleep(0.3)
        assert len(servers[0].requests) == 2
        held.set()
    assert len(servers[0].requests) == 7
    await sampler.aclose()


@pytest.mark.usefixtures("long_pauses")
async def test_a_server_that_answers_nothing_but_errors_is_set_aside(servers: list[FakeServer]) -> None:
    servers[0].script.extend([Refuse(500, "broken")] * 1000)
    sampler = sampler_of(servers[:2], first_pause=600)
    with anyio.fail_after(120):
        for seed in range(40):
            assert (await sampler.sample(asking(seed), ignore))[0].text == f"answer {seed}"
    assert len(servers[0].requests) == ATTEMPTS
    assert asked(servers[1]) == Counter((seed, 1) for seed in range(40))
    await sampler.aclose()


async def test_when_every_server_fails_for_good_each_is_named_with_its_reason(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers[:2], first_pause=0.001)
    servers[0].kill()
    servers[1].script.extend([Refuse(503, "out of memory")] * ATTEMPTS)
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(0), ignore)
    first, second = str(caught.value).split("; http")
    assert first.startswith(f"{servers[0].base_url}/ gave no whole answer in {ATTEMPTS} attempts: ")
    assert second.startswith(f"{servers[1].base_url[4:]}/ failed {ATTEMPTS} times: 503 ")
    assert second.endswith("out of memory")
    assert len(servers[1].requests) == ATTEMPTS
    await sampler.aclose()


async def test_a_part_of_an_answer_that_nobody_can_finish_ends_in_one_error(servers: list[FakeServer]) -> None:
    servers[0].pieces = lambda seed: ("answer", *[f" {seed}"] * (1 if seed % 2 else 6))
    servers[0].script.append(Answer(drop_after=18))
    servers[0].script.extend([HangUp()] * 100)
    sampler = sampler_of(servers[:1], first_pause=0.001)
    with pytest.raises(SamplerError, match="gave no whole answer"):
        await sampler.sample(asking(10, 4), ignore)
    await sampler.aclose()


@pytest.mark.parametrize(("status", "words"), [(404, "no such model"), (400, "this key is of another project")])
async def test_a_server_that_refuses_everything_is_left_and_the_others_go_on(
    status: int, words: str, servers: list[FakeServer]
) -> None:
    servers[0].rule = lambda _: Refuse(status, words)
    sampler = sampler_of(servers[:2])
    with anyio.fail_after(120):
        assert await sample_all(sampler, range(0, 60, 3), 3) == expected(range(0, 60, 3), 3)
    seen = len(servers[0].requests)
    assert await sample_all(sampler, range(100, 110)) == expected(range(100, 110))
    assert len(servers[0].requests) == seen
    await sampler.aclose()


async def test_when_all_refuse_everything_the_run_ends_with_the_words_of_each(servers: list[FakeServer]) -> None:
    servers[0].rule = lambda _: Refuse(404, "no such model")
    servers[1].rule = lambda _: Refuse(400, "the system role is not taken")
    sampler = sampler_of(servers[:2])
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(0), ignore)
    assert str(caught.value) == (
        f"{servers[0].base_url}/: it refuses 'm': 404 no such model; is --model the name that the server knows it by?; "
        f"{servers[1].base_url}/: it refuses 'm': 400 the system role is not taken; "
        "-c thinking=false leaves that message out"
    )
    await sampler.aclose()


async def test_one_probe_at_a_time_tells_a_refused_prompt_from_a_server_that_refuses_everything(
    servers: list[FakeServer],
) -> None:
    servers[0].rule = lambda body: Refuse(400, "no") if body["messages"][0]["content"] == "Fix it." else Answer()
    sampler = sampler_of(servers[:1])
    completions: list[Completion] = []

    async def one(seed: int) -> None:
        completions.extend(await sampler.sample(asking(seed), ignore))

    async with anyio.create_task_group() as group:
        for seed in range(8):
            group.start_soon(one, seed)
    assert completions == [Completion("", "error", error="refused: 400 no", refused=True)] * 8
    probes = [body for body in servers[0].bodies if body["messages"][0]["content"] != "Fix it."]
    assert len(probes) == 1
    assert {key: value for key, value in probes[0].items() if key not in {"messages", "seed"}} == {
        key: value for key, value in servers[0].bodies[0].items() if key not in {"messages", "seed"}
    }
    await sampler.aclose()


async def test_a_refused_prompt_is_recorded_and_asked_of_one_server_only(servers: list[FakeServer]) -> None:
    sampler = sampler_of(servers)
    for seed in range(3):
        await sampler.sample(asking(seed), ignore)
    servers[0].script.append(Refuse(400, "too long"))
    (completion,) = await sampler.sample(asking(0), ignore)
    assert completion == Completion("", "error", error="refused: 400 too long", refused=True)
    assert [len(server.requests) for server in servers] == [2, 1, 1]
    await sampler.aclose()


async def test_the_pause_grows_with_every_outage_and_an_answer_ends_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers_module, "time", SimpleNamespace(monotonic=lambda: 0.0))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    pool = Pool([server], first_pause=10)
    pauses = []
    for began in range(5):
        server.away_until = began
        pool.eject(server, began)
        pauses.append(server.away_until)
        pool.eject(server, began)  # another request that was lost in the same outage
    assert pauses == [10, 20, 40, 60, 60]
    pool.answered(server)
    server.away_until = 0
    pool.eject(server, 1)
    assert server.away_until == 10


async def test_no_pause_ends_unseen() -> None:
    """However short it is: some end between the look at who is free and the wait."""
    server = Server("")
    pool = Pool([server])
    attempts = Attempts()
    with anyio.fail_after(300):
        for number in range(20_000):
            attempts.not_before[server] = time.monotonic() + 1e-7 * (number % 200)
            async with pool.taking(attempts):
                pass
