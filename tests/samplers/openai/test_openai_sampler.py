from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import SamplerSettings, ignore
from swerl_eval.samplers.openai import sampler as sampler_module
from swerl_eval.samplers.openai.pending import MAX_PARTS
from swerl_eval.samplers.openai.sampler import OpenAISampler
from swerl_eval.samplers.openai.servers import ATTEMPTS, Pool, Server
from tests.fake_server import (
    PROMPT_TOKENS,
    Answer,
    Body,
    Choice,
    Events,
    FakeServer,
    HangUp,
    Refuse,
    Reply,
    Rule,
    serving,
)

pytestmark = pytest.mark.anyio

MODEL = "org/model-7b"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
async def sampler(server: FakeServer) -> AsyncIterator[OpenAISampler]:
    opened = sampler_of(server.base_url)
    yield opened
    await opened.aclose()


def sampler_of(address: str, said: list[str] | None = None, **request: Any) -> OpenAISampler:
    notify = (said if said is not None else []).append
    settings = SamplerSettings(model=MODEL, api_key="key-1", notify=notify, request=request)
    return OpenAISampler(settings, Pool([Server(address)], first_pause=0.001))


def asking(n: int = 1, seed: int = 100) -> SampleRequest:
    return SampleRequest(
        instance_id="a__b-1",
        stage="repair",
        messages=(Message("system", "Think."), Message("user", "Fix it.")),
        indices=tuple(range(n)),
        seed=seed,
        temperature=0.7,
        top_p=0.9,
        max_tokens=256,
    )


def answered(seed: int, tokens: int) -> Completion:
    return Completion(f"answer {seed}", "stop", PROMPT_TOKENS, tokens)


def refused(reason: str) -> Completion:
    return Completion("", "error", error=f"refused: {reason}", refused=True)


def refusing_the_prompt(refusal: Reply) -> Rule:
    """A server that refuses `asking()`'s prompt, and no other."""
    return lambda body: refusal if body["messages"][-1]["content"] == "Fix it." else Answer()


async def test_all_answers_are_asked_for_in_one_request_and_come_in_index_order(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    # the server sends number 2 first; of several answers the pieces are counted, since usage counts all together
    assert await sampler.sample(asking(3), ignore) == [answered(100, 2), answered(101, 2), answered(102, 2)]
    assert server.bodies == [
        {
            "model": MODEL,
            "messages": [{"role": "system", "content": "Think."}, {"role": "user", "content": "Fix it."}],
            "n": 3,
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 256,
            "seed": 100,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].headers["authorization"] == "Bearer key-1"


async def test_a_single_answer_carries_the_token_count_of_the_server(sampler: OpenAISampler) -> None:
    assert await sampler.sample(asking(1), ignore) == [answered(100, 4)]


async def test_without_usage_the_pieces_are_counted_and_the_prompt_is_not(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(Answer(usage=False))
    assert await sampler.sample(asking(1), ignore) == [Completion("answer 100", "stop", None, 2)]


async def test_a_server_that_ignores_n_is_asked_again_with_the_seeds_of_the_missing_answers(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([Answer(at_most=1)] * 3)
    assert await sampler.sample(asking(3), ignore) == [answered(100, 4), answered(101, 4), answered(102, 4)]
    assert [(body["n"], body["seed"]) for body in server.bodies] == [(3, 100), (2, 101), (1, 102)]


async def test_of_a_server_that_answers_more_than_n_the_first_n_are_taken(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(Answer((Choice(("a",)), Choice(("b",)), Choice(("c",)))))
    assert [completion.text for completion in await sampler.sample(asking(2), ignore)] == ["a", "b"]
    assert len(server.requests) == 1


async def test_on_tokens_is_told_of_each_piece_of_text_and_of_thinking_as_it_comes(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(Answer((Choice(("a", "b"), reasoning=("x", "y", "z")), Choice(("c",)))))
    counts: list[int] = []
    await sampler.sample(asking(2), counts.append)
    assert counts == [1] * 6


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503])
async def test_a_passing_failure_is_retried_with_the_same_request(
    status: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([Refuse(status), Refuse(status)])
    assert await sampler.sample(asking(2), ignore) == [answered(100, 2), answered(101, 2)]
    assert len(server.bodies) == 3
    assert server.bodies[0] == server.bodies[1] == server.bodies[2]


async def test_a_rate_limit_that_says_when_to_come_back_is_waited_for(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(Refuse(429, "slow down", (("retry-after", "0.4"),)))
    assert await sampler.sample(asking(), ignore) == [answered(100, 4)]
    first, second = (request.time for request in server.requests)
    assert second - first >= 0.4


@pytest.mark.parametrize("asked", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", "nan"])
async def test_a_retry_after_that_is_no_number_of_seconds_is_passed_over(
    asked: str, server: FakeServer, sampler: OpenAISampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "LONGEST_PAUSE", 600.0)
    server.script.append(Refuse(503, "busy", (("retry-after", asked),)))
    with anyio.fail_after(60):
        assert await sampler.sample(asking(), ignore) == [answered(100, 4)]


@pytest.mark.parametrize(
    "lost",
    [HangUp(), Answer(drop_after=4), Answer(end_after=4)],
    ids=["before-a-reply", "in-mid-stream", "ended-unfinished"],
)
async def test_a_lost_connection_is_retried_and_no_text_of_the_lost_stream_stays(
    lost: Answer | HangUp, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(lost)
    assert await sampler.sample(asking(2), ignore) == [answered(100, 2), answered(101, 2)]
    assert len(server.bodies) == 2
    assert server.bodies[0] == server.bodies[1]


async def test_answers_of_a_server_that_ignores_n_are_kept_while_a_later_one_is_retried(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([Answer(at_most=1), Refuse(500), Answer(at_most=1)])
    assert await sampler.sample(asking(2), ignore) == [answered(100, 4), answered(101, 4)]
    assert [body["seed"] for body in server.bodies] == [100, 101, 101]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_prompt_is_a_recorded_failure_of_all_its_samples_and_is_asked_once(
    status: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    await sampler.sample(asking(2), ignore)
    server.script.append(Refuse(status, "maximum context length is 4096 tokens"))
    assert await sampler.sample(asking(2), ignore) == [refused(f"{status} maximum context length is 4096 tokens")] * 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 413])
async def test_answers_that_came_before_a_refusal_are_kept(
    status: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([Answer(at_most=1), Refuse(status, "too long")])
    completions = await sampler.sample(asking(3), ignore)
    assert completions[0] == answered(100, 4)
    assert [completion.finish_reason for completion in completions] == ["stop", "error", "error"]


@pytest.mark.parametrize(
    ("status", "reason", "asked"),
    [
        (401, "invalid key; is OPENAI_API_KEY the key of this server?", 1),
        (402, "pay first; the account at this server has to be topped up", 1),
        (403, "not for you", 2),
        (404, "the model does not exist; is --model the name that the server knows it by?", 1),
    ],
)
async def test_a_refused_key_or_model_ends_the_run_and_says_who_refused_what(
    status: int, reason: str, asked: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = lambda _: Refuse(status, reason.partition(";")[0])
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(), ignore)
    assert str(caught.value) == f"{server.base_url}/: it refuses '{MODEL}': {status} {reason}"
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    "failure",
    [Refuse(429, "slow down"), Refuse(500, "broken"), HangUp(), Answer(end_after=2)],
    ids=["rate-limit", "broken", "hangs-up", "breaks-off"],
)
async def test_a_failure_that_does_not_pass_ends_the_run_after_the_last_attempt(
    failure: Answer | Refuse | HangUp, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([failure] * ATTEMPTS)
    with pytest.raises(SamplerError, match=r"127\.0\.0\.1"):
        await sampler.sample(asking(), ignore)
    assert len(server.requests) == ATTEMPTS


async def test_a_server_that_is_not_there_is_named_with_the_question_whether_it_is_up() -> None:
    with socket.socket() as held:  # bound and not listening: nobody else can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        sampler = sampler_of(address)
        with pytest.raises(SamplerError) as caught:
            await sampler.sample(asking(), ignore)
        await sampler.aclose()
    assert str(caught.value).startswith(f"{address}/ gave no whole answer in {ATTEMPTS} attempts: ")
    assert str(caught.value).endswith("; is it up?")


@pytest.mark.parametrize("code", [500, "engine_error"])
async def test_an_error_within_the_stream_is_a_lost_stream(
    code: int | str, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(Answer(error_in_stream="the engine died", error_code=code))
    assert await sampler.sample(asking(2), ignore) == [answered(100, 2), answered(101, 2)]
    server.script.extend([Answer(error_in_stream="the engine died", error_code=code)] * ATTEMPTS)
    with pytest.raises(SamplerError, match="the engine died"):
        await sampler.sample(asking(), ignore)
    assert len(server.requests) == 2 + ATTEMPTS


@pytest.mark.parametrize("code", [400, "400"])
async def test_a_refusal_within_the_stream_is_recorded(
    code: int | str, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = refusing_the_prompt(Answer(error_in_stream="the prompt is too long", error_code=code))
    assert await sampler.sample(asking(2), ignore) == [refused("400 the prompt is too long")] * 2
    assert [len(body["messages"]) for body in server.bodies] == [2, 2], "the prompt, and a short one in its place"


async def test_what_a_broken_stream_has_finished_is_kept_and_the_rest_is_asked_for_with_its_seeds(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    # of the seeds 100 to 104, those of 100, 102 and 104 are short
    server.pieces = lambda seed: ("answer", *[f" {seed}"] * (1 if seed % 2 == 0 else 9))
    undisturbed = [completion.text for completion in await sampler.sample(asking(5), ignore)]
    server.script.append(Answer(drop_after=22))
    completions = await sampler.sample(asking(5), ignore)
    assert [completion.text for completion in completions] == undisturbed
    assert [completion.prompt_tokens for completion in completions] == [PROMPT_TOKENS] * 5
    again = sorted((body["seed"], body["n"]) for body in server.bodies[2:])
    assert again == [(101, 1), (103, 1)]


async def test_an_answer_that_the_server_aborted_is_asked_for_again(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer((Choice(("half",), finish_reason="abort"),)))
    assert await sampler.sample(asking(), ignore) == [answered(100, 4)]


async def test_cached_tokens_are_taken_from_the_servers_usage(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer(cached=16))
    cached = [completion.cached_tokens for completion in await sampler.sample(asking(2), ignore)]
    assert cached == [16, 16]
    assert [completion.cached_tokens for completion in await sampler.sample(asking(), ignore)] == [None]


async def test_a_filtered_answer_is_a_failure_and_those_beside_it_are_not(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    filtered = Choice(("half an ans",), finish_reason="content_filter")
    server.script.append(Answer((Choice(("fine",)), filtered)))
    assert await sampler.sample(asking(2), ignore) == [
        Completion("fine", "stop", PROMPT_TOKENS, 1),
        Completion("", "error", PROMPT_TOKENS, None, error="refused: filtered by the server"),
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thinking_that_is_sent_apart_is_kept_apart(name: str, server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer((Choice(("done",), reasoning=("let me ", "see"), reasoning_name=name),)))
    assert await sampler.sample(asking(), ignore) == [
        Completion("done", "stop", PROMPT_TOKENS, 6, reasoning="let me see")
    ]


async def test_an_answer_that_was_cut_says_so(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer((Choice(("and then",), finish_reason="length"),)))
    assert await sampler.sample(asking(), ignore) == [Completion("and then", "length", PROMPT_TOKENS, 2)]


async def test_an_answer_without_text_is_an_answer(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer((Choice(()),)))
    assert await sampler.sample(asking(), ignore) == [Completion("", "stop", PROMPT_TOKENS, 0)]


async def test_lone_surrogates_in_the_servers_json_reach_the_caller(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer((Choice(("a\ud83d", "b"), reasoning=("\udc00",)),)))
    (completion,) = await sampler.sample(asking(), ignore)
    assert (completion.text, completion.reasoning) == ("a\ud83db", "\udc00")


async def test_lone_surrogates_in_a_prompt_are_replaced_since_json_cannot_carry_them(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    request = SampleRequest("a__b-1", "localize", (Message("user", "caf\udce9.py"),), (0,), 1, 0.0, 1.0, 8)
    assert await sampler.sample(request, ignore) == [answered(1, 4)]
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "caf?.py"}]


async def test_cancelling_closes_the_request_at_the_server(server: FakeServer, sampler: OpenAISampler) -> None:
    server.script.append(Answer(endless=True))
    arrived = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(sampler.sample, asking(), lambda _: arrived.set())
        with anyio.fail_after(60):
            await arrived.wait()
        assert not server.disconnected.is_set()
        group.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(server.disconnected.wait, 60.0)
    assert len(server.requests) == 1


async def test_many_requests_at_once_do_not_mix_their_answers_or_their_retries(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    # fewer than one request has attempts, so that none can meet them all
    server.script.extend([Refuse(429), Answer(drop_after=3), Refuse(500), HangUp(), Answer(end_after=2)])
    completions: dict[int, list[Completion]] = {}

    async def sample(seed: int) -> None:
        completions[seed] = await sampler.sample(asking(2, seed), ignore)

    async with anyio.create_task_group() as group:
        for seed in range(0, 400, 20):
            group.start_soon(sample, seed)
    assert completions == {seed: [answered(seed, 2), answered(seed + 1, 2)] for seed in range(0, 400, 20)}
    assert len(server.requests) == 25


def test_without_a_model_opening_names_the_option() -> None:
    with pytest.raises(UsageError, match="--model"):
        OpenAISampler.open(SamplerSettings(base_urls=("http://127.0.0.1:1/v1",)))


def text(content: Any, index: int = 0, end: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": end}]}


def one_answer(*events: dict[str, Any] | bytes) -> Rule:
    return lambda _: Events(events)


WHOLE = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (one_answer(text("a"), {"choices": [{"finish_reason": "stop"}]}), Completion("a", "stop", None, 1)),
        (one_answer(text("a", end="stop"), {"choices": None, "usage": WHOLE["usage"]}), Completion("a", "stop", 3, 1)),
        (one_answer(text([{"text": "a"}]), text("", end="MAX_TOKENS")), Completion("a", "length", None, 1)),
        (one_answer(b'data: {"choices":[{"delta":{"content":"\xe9"}}]}\n\n'), Completion("\ufffd", "stop", None, 1)),
        (one_answer(text("a")), Completion("a", "stop", None, 1)),
        (one_answer(text("a", index=1, end="stop")), Completion("a", "stop", None, 1)),
        (one_answer(text("a", end="SAFETY")), Completion("", "error", error="refused: filtered by the server")),
        (lambda _: Body(WHOLE), Completion("whole", "stop", 3, 1)),
    ],
    ids=["no-delta", "null-choices", "parts", "bad-byte", "done-alone", "counts-from-1", "safety", "no-stream"],
)
async def test_a_reply_that_is_not_quite_openais_is_read(
    rule: Rule, expected: Completion, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = rule
    assert await sampler.sample(asking(), ignore) == [expected]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Body(b"<html>\n<body>sign in first</body>"), "the reply is no answer: <html> <body>sign in first</body>"),
        (Body({"status": "starting"}), 'the reply is no answer: {"status": "starting"}'),
        (Body({"error": {"message": "no credit", "code": 402}}), "it refuses 'org/model-7b': 402 no credit"),
    ],
)
async def test_a_reply_that_is_no_answer_ends_the_run_with_its_words_at_once(
    reply: Reply, words: str, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = lambda _: reply
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(), ignore)
    assert words in str(caught.value)
    assert "is it up?" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Events(({"error": "the runner stopped"},)), "in 6 attempts: the runner stopped"),
        (
            Events((text("a", end="insufficient_system_resource"),)),
            "an answer ended unfinished: insufficient_system_reso",
        ),
        (Events((text("a"), {"detail": "shutting down"}), done=False), "the stream broke off: shutting down"),
        (Events((text("a", index=7),)), "its answers have the indices [7], and 2 were asked for"),
        (Events((text("a"), b"data: {half\n\n")), "the stream holds what is no JSON: {half"),
    ],
)
async def test_what_does_not_pass_is_tried_again_and_then_told_in_the_servers_words(
    reply: Reply, words: str, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.extend([reply] * ATTEMPTS)
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(2), ignore)
    assert words in str(caught.value)
    assert "is it up?" not in str(caught.value)
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize("empty", [Events((), done=False), Events(()), Answer(drop_after=0)])
async def test_a_reply_without_a_word_is_asked_for_once_without_streaming(
    empty: Reply, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.script.append(empty)
    assert [completion.text for completion in await sampler.sample(asking(2), ignore)] == ["answer 100", "answer 101"]
    streamed, plain = server.bodies
    assert {**plain, "stream": True, "stream_options": {"include_usage": True}} == streamed


async def test_why_a_stream_is_empty_is_learnt_without_streaming(server: FakeServer, sampler: OpenAISampler) -> None:
    await sampler.sample(asking(), ignore)
    server.rule = lambda body: Events((), done=False) if body.get("stream") else Refuse(400, "9000 tokens are too many")
    assert await sampler.sample(asking(), ignore) == [refused("400 9000 tokens are too many")]


async def test_a_stream_that_stays_empty_is_asked_for_without_streaming_once_only(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = lambda _: Events((), done=False)
    with pytest.raises(SamplerError, match="in 6 attempts: the reply was empty"):
        await sampler.sample(asking(), ignore)
    assert [body.get("stream", False) for body in server.bodies].count(False) == 1
    assert len(server.bodies) == ATTEMPTS + 1


async def test_two_answers_under_one_index_are_dropped_and_drawn_one_at_a_time_with_their_seeds(
    server: FakeServer,
) -> None:
    said: list[str] = []
    reported: list[int] = []
    sampler = sampler_of(server.base_url, said)
    server.script.append(Events((text("one "), text("two"), text("uno", end="stop"), text("dos", end="stop"))))
    completions = await sampler.sample(asking(2), ignore, lambda place, _: reported.append(place))
    assert completions == [answered(100, 4), answered(101, 4)]
    assert await sampler.sample(asking(2, 200), ignore) == [answered(200, 4), answered(201, 4)]
    assert sorted((body["n"], body["seed"]) for body in server.bodies) == [
        (1, 100),
        (1, 101),
        (1, 200),
        (1, 201),
        (2, 100),
    ]
    assert said == [
        f"{server.base_url}/ gives one answer a request, so more are asked for in several, with the same seeds"
    ]
    assert sorted(reported) == [0, 1], "none of the dropped ones was reported"
    await sampler.aclose()


@pytest.mark.parametrize(
    ("refuses", "words", "more", "sent", "said"),
    [
        ("seed", "extra inputs", {"param": "seed"}, {}, "the same command will not give the same answers again"),
        ("stream_options", "stream_options is unknown", {}, {}, "the tokens of prompts are not counted"),
        ("top_p", "`temperature` and `top_p` together are not taken", {}, {}, "it samples with its own"),
        ("max_tokens", "use max_completion_tokens, not max_tokens", {}, {"max_completion_tokens": 256}, "in place of"),
    ],
)
async def test_what_a_server_does_not_take_is_learnt_once_and_said_once(
    refuses: str, words: str, more: dict[str, Any], sent: dict[str, Any], said: str, server: FakeServer
) -> None:
    lines: list[str] = []
    sampler = sampler_of(server.base_url, lines)
    server.rule = lambda body: Refuse(400, words, more=tuple(more.items())) if refuses in body else Answer()
    for _ in range(3):
        (completion,) = await sampler.sample(asking(), ignore)
        assert completion.text.startswith("answer ")
    first, second, *rest = server.bodies
    assert second == {**{key: value for key, value in first.items() if key != refuses}, **sent}
    assert rest == [second, second]
    (line,) = lines
    assert line.startswith(f"{server.base_url}/ ")
    assert said in line
    await sampler.aclose()


async def test_several_things_that_a_server_does_not_take_are_learnt_within_one_request(server: FakeServer) -> None:
    lines: list[str] = []
    sampler = sampler_of(server.base_url, lines)

    def rule(body: dict[str, Any]) -> Reply:
        unknown = next((name for name in ("seed", "top_p", "max_tokens") if name in body), "")
        return Refuse(422, f"unknown field {unknown}") if unknown else Answer()

    server.rule = rule
    (completion,) = await sampler.sample(asking(), ignore)
    assert completion.text == "answer 0"
    assert len(server.bodies) == 4
    assert len(lines) == 3
    await sampler.aclose()


@pytest.mark.parametrize(
    ("words", "more", "most"),
    [
        ("n is above its maximum of 3", {"param": "n"}, 3),
        ("only one choice can be asked for", {}, 1),
        ("this cannot be done", {}, 1),
    ],
)
async def test_a_server_that_gives_fewer_answers_a_request_is_asked_in_parts_with_the_same_seeds(
    words: str, more: dict[str, Any], most: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = lambda body: Refuse(400, words, more=tuple(more.items())) if body["n"] > most else Answer()
    for seed in (100, 200):
        texts = [completion.text for completion in await sampler.sample(asking(8, seed), ignore)]
        assert texts == [f"answer {seed + k}" for k in range(8)]
    assert [body["n"] for body in server.bodies].count(8) == 1
    taken = sorted((body["seed"], body["n"]) for body in server.bodies if body["n"] <= most)
    expected = [(seed + k, min(most, 8 - k)) for seed in (100, 200) for k in range(0, 8, most)]
    assert taken == expected


async def test_of_parts_no_more_are_in_flight_than_a_client_has_connections_for(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = lambda body: Refuse(400, "n has to be 1") if body["n"] > 1 else Answer()
    completions = await sampler.sample(asking(60), ignore)
    assert [completion.text for completion in completions] == [f"answer {100 + k}" for k in range(60)]
    assert server.most_in_flight <= MAX_PARTS


async def test_what_was_only_guessed_is_forgotten_when_it_does_not_help(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    server.rule = refusing_the_prompt(Refuse(400, "this cannot be done, whatever the seed"))
    assert await sampler.sample(asking(2), ignore) == [refused("400 this cannot be done, whatever the seed")] * 2
    server.rule = lambda _: Answer()
    assert await sampler.sample(asking(2), ignore) == [answered(100, 2), answered(101, 2)]
    assert server.bodies[-1]["n"] == 2


async def test_a_size_that_is_refused_is_no_other_name_and_its_words_are_told(server: FakeServer) -> None:
    sampler = sampler_of(server.base_url)
    server.rule = lambda _: Refuse(400, "max_tokens is too large: at most 128 completion tokens")
    with pytest.raises(SamplerError) as caught:
        await sampler.sample(asking(), ignore)
    assert str(caught.value).endswith("400 max_tokens is too large: at most 128 completion tokens; lower --max-tokens")
    assert all(body["max_tokens"] == 256 for body in server.bodies)
    await sampler.aclose()


async def test_further_parameters_are_sent_along_and_named_when_they_are_refused(server: FakeServer) -> None:
    sampler = sampler_of(server.base_url, reasoning_effort="low", chat_template_kwargs={"enable_thinking": True})
    assert await sampler.sample(asking(), ignore) == [answered(100, 4)]
    assert server.bodies[0]["reasoning_effort"] == "low"
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": True}
    await sampler.aclose()
    sampler = sampler_of(server.base_url, reasoning_effort="low")
    server.rule = lambda _: Refuse(400, "unknown parameter reasoning_effort")
    with pytest.raises(SamplerError, match=r"; take -c request\.reasoning_effort back$"):
        await sampler.sample(asking(), ignore)
    await sampler.aclose()


def long_prompt(characters: int) -> SampleRequest:
    return replace(asking(2), messages=(Message("user", "x" * characters),))


@pytest.mark.parametrize(
    ("characters", "tokens", "cached", "whole"),
    [
        (30_000, 2050, None, False),
        (30_000, 2501, None, True),
        (30_000, 2050, 3000, True),
        (30_000, 17, None, True),
        (7_999, 300, None, True),
    ],
)
async def test_a_prompt_that_was_cut_without_a_word_is_a_failure_that_names_both_figures(
    characters: int, tokens: int, cached: int | None, whole: bool, server: FakeServer, sampler: OpenAISampler
) -> None:
    usage = {"prompt_tokens": tokens, "prompt_tokens_details": {"cached_tokens": cached}}
    server.rule = lambda _: Events((text("a", 0, "stop"), text("b", 1, "stop"), {"choices": [], "usage": usage}))
    reported: list[int] = []
    completions = await sampler.sample(long_prompt(characters), ignore, lambda place, _: reported.append(place))
    if whole:
        assert [completion.text for completion in completions] == ["a", "b"]
    else:
        error = (
            "refused: the server cut the prompt: 30,000 characters were sent, and it counts 2,050 tokens; give it a "
            "longer context, or lower -c max_input_tokens"
        )
        assert completions == [Completion("", "error", tokens, error=error, refused=True)] * 2
        assert reported == []


async def test_answers_to_a_long_prompt_are_told_early_once_the_server_has_not_cut_one(
    server: FakeServer, sampler: OpenAISampler
) -> None:
    usage = {"prompt_tokens": 9_000}
    server.rule = lambda _: Events((text("a", 0, "stop"), text("b", 1, "stop"), {"choices": [], "usage": usage}))
    reported: list[int] = []
    for characters in (20_000, 20_000, 20_001):
        await sampler.sample(long_prompt(characters), ignore, lambda place, _: reported.append(place))
    assert reported == [0, 1], "of the second request alone"


@pytest.mark.parametrize("n", [1, 3])
async def test_an_answer_is_told_as_soon_as_it_is_whole_and_before_the_counts(
    n: int, server: FakeServer, sampler: OpenAISampler
) -> None:
    reported: list[tuple[int, str, int | None]] = []

    def on_answer(place: int, completion: Completion) -> None:
        reported.append((place, completion.text, completion.prompt_tokens))

    await sampler.sample(asking(n), ignore, on_answer)
    assert sorted(reported) == [(k, f"answer {100 + k}", None) for k in range(n)]
