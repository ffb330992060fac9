from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.samplers.openai.chunks import End, Reply, TokenCounts, end_of
from swerl_eval.samplers.openai.events import MOST_BYTES, EventReader, ReplyError


def read(body: bytes, wanted: int = 1, size: int = 0) -> tuple[Reply, EventReader]:
    """A body, in pieces of `size` bytes or as a whole."""
    reply, reader = Reply(wanted), EventReader()
    size = size or len(body) or 1
    for start in range(0, len(body), size):
        for event in reader.feed(body[start : start + size]):
            reply.add(event)
    for event in reader.end():
        reply.add(event)
    if reader.done:
        reply.finish()
    return reply, reader


def stream(*events: Any, done: bool = True) -> bytes:
    lines = [event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def chunk(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **more}


def said(reply: Reply) -> dict[int, tuple[str, str, End | None]]:
    return {
        index: ("".join(answer.text), "".join(answer.reasoning), answer.end) for index, answer in reply.answers.items()
    }


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ([{"index": 0, "finish_reason": None}, {"index": 0, "delta": {"content": "a"}}], ("a", "", End.STOP)),
        ([{"index": 0, "delta": {"content": "a"}}, {"delta": None, "finish_reason": "stop"}], ("a", "", End.STOP)),
        ([{"delta": {"content": "a"}}, {"delta": {"content": "b"}}], ("ab", "", End.STOP)),
        ([{"index": "0", "delta": {"content": "a"}}], ("a", "", End.STOP)),
        ([{"index": None, "message": {"content": "a"}, "finish_reason": "length"}], ("a", "", End.LENGTH)),
        ([{"text": "a", "finish_reason": "stop"}], ("a", "", End.STOP)),
        ([{"delta": {"content": None, "refusal": "no"}, "finish_reason": "stop"}], ("no", "", End.STOP)),
        ([{"delta": {"content": ["a", {"type": "text", "text": "b"}, {"no": 1}, 7]}}], ("ab", "", End.STOP)),
        (
            [{"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "a"]}}],
            ("a", "hm", End.STOP),
        ),
        ([{"delta": {"reasoning": "hm", "content": "a", "role": 3}}], ("a", "hm", End.STOP)),
        ([{"delta": {"reasoning_content": "hm", "reasoning": "hm", "content": "a"}}], ("a", "hm", End.STOP)),
        ([7, None, {"delta": {"content": "a"}, "finish_reason": "stop", "logprobs": [[]]}], ("a", "", End.STOP)),
    ],
)
def test_whatever_a_chunk_lacks_its_text_is_read(choices: list[Any], expected: tuple[str, str, End]) -> None:
    reply, _ = read(stream(*(chunk(choice) for choice in choices)))
    assert said(reply) == {0: expected}


@pytest.mark.parametrize(
    "odd", [chunk() | {"choices": None}, chunk() | {"choices": 3}, {}, chunk(usage=None), {"x": 1}]
)
def test_an_event_without_choices_is_passed_over(odd: dict[str, Any]) -> None:
    reply, _ = read(stream(odd, chunk({"delta": {"content": "a"}}), odd))
    assert said(reply) == {0: ("a", "", End.STOP)}


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_events_are_split_at_every_kind_of_line_end_however_the_bytes_come(end: str, size: int) -> None:
    first, second = (json.dumps(chunk({"delta": {"content": text}})) for text in ("line\u2028one", "two"))
    body = f": comment{end}event: x{end[: len(end) // 2]}data:{first}{end}id: 1{end}data: {second}{end}data: [DONE]"
    reply, reader = read(body.encode(), size=size)
    assert said(reply) == {0: ("line\u2028onetwo", "", End.STOP)}
    assert (reader.done, reader.stray) == (True, b"")


def test_an_event_in_several_lines_is_one() -> None:
    pretty = "\n".join(
        f"data: {line}" for line in json.dumps(chunk({"delta": {"content": "a"}}), indent=1).splitlines()
    )
    assert said(read(f"{pretty}\n\ndata: [DONE]\n\n".encode())[0]) == {0: ("a", "", End.STOP)}


def test_events_without_a_blank_line_between_are_several() -> None:
    lines = "\n".join(f"data: {json.dumps(chunk({'delta': {'content': text}}))}" for text in "abc")
    assert said(read(f"{lines}\ndata: [DONE]\n".encode())[0]) == {0: ("abc", "", End.STOP)}


def test_a_byte_that_is_not_utf8_is_replaced() -> None:
    reply, _ = read(b'data: {"choices":[{"delta":{"content":"caf\xe9"}}]}\n\ndata: [DONE]\n\n')
    assert said(reply) == {0: ("caf\ufffd", "", End.STOP)}


def test_data_that_is_no_json_is_an_error_since_text_may_have_stood_in_it() -> None:
    with pytest.raises(ReplyError, match=r'no JSON: \{"choices": \[\{"de$'):
        read(b'data: {"choices": [{"de\n\ndata: [DONE]\n\n')


@pytest.mark.parametrize(
    ("error", "words", "status"),
    [
        ({"error": {"message": "out of memory", "code": 500}}, "out of memory", 500),
        ({"error": "the runner stopped"}, "the runner stopped", None),
        ({"error": [{"message": "a"}, {"message": "b"}]}, "a; b", None),
        ({"object": "error", "message": "too long", "code": 400}, "too long", 400),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, "no", 400),
        ({"error": {"message": "no", "code": "429"}}, "no", 429),
    ],
)
def test_an_error_in_the_stream_has_the_words_of_the_server(
    error: dict[str, Any], words: str, status: int | None
) -> None:
    with pytest.raises(ReplyError) as caught:
        read(stream(chunk({"delta": {"content": "a"}}), error))
    assert (str(caught.value), caught.value.status) == (words, status)


def test_without_done_or_a_finish_reason_an_answer_goes_on() -> None:
    assert said(read(stream(chunk({"delta": {"content": "a"}}), done=False))[0]) == {0: ("a", "", None)}


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("stop", End.STOP),
        ("eos_token", End.STOP),
        ("tool_calls", End.STOP),
        ("LENGTH", End.LENGTH),
        ("MAX_TOKENS", End.LENGTH),
        ("max_tokens", End.LENGTH),
        ("SAFETY", End.FILTERED),
        ("RECITATION", End.FILTERED),
        ("content-filter", End.FILTERED),
        ("insufficient_system_resource", End.UNFINISHED),
        ("abort", End.UNFINISHED),
        ("error", End.UNFINISHED),
        ("null", None),
        ("", None),
        (None, None),
        (False, None),
        ({"type": "stop"}, End.STOP),
    ],
)
def test_each_finish_reason_has_its_meaning(reason: Any, end: End | None) -> None:
    assert end_of(reason) is end


def test_two_answers_under_one_index_are_told_from_one_that_ends_twice() -> None:
    text, end = {"delta": {"content": "a"}}, {"delta": {}, "finish_reason": "stop"}
    assert read(stream(chunk(text), chunk(text), chunk(end), chunk(end)), wanted=2)[0].ambiguous
    assert read(stream(chunk(text), chunk(end), chunk(text), chunk(end)), wanted=2)[0].ambiguous
    assert not read(stream(chunk(text), chunk(end), chunk(end)), wanted=1)[0].ambiguous
    other = [{**each, "index": 1} for each in (text, end)]
    both = stream(chunk(text), chunk(other[0]), chunk(end), chunk(other[1]), chunk(end))
    assert not read(both, wanted=2)[0].ambiguous


def test_choices_of_a_whole_reply_without_an_index_are_told_apart_by_their_place() -> None:
    reply = Reply(2)
    reply.add_whole({"choices": [{"message": {"content": text}, "finish_reason": "stop"} for text in "ab"]})
    assert said(reply) == {0: ("a", "", End.STOP), 1: ("b", "", End.STOP)}


def test_counts_that_are_no_counts_are_left_out() -> None:
    usage = {"prompt_tokens": -1, "completion_tokens": 2.5, "prompt_tokens_details": {"cached_tokens": True}}
    assert read(stream(chunk(usage=usage)))[0].tokens == TokenCounts()
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    assert read(stream(chunk(usage=usage), chunk(usage=None)))[0].tokens == TokenCounts(3, 2, 1)


def test_a_body_that_is_no_stream_is_kept_and_one_without_end_is_given_up() -> None:
    page = b"<html>\n<body>sign in</body>\n"
    assert read(page)[1].stray == b"<html>\n<body>sign in</body>"
    reader = EventReader()
    with pytest.raises(ReplyError, match="no stream of events"):
        for _ in range(MOST_BYTES // (1 << 20) + 1):
            list(reader.feed(b"x" * (1 << 20)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["delta", "message", "content", "text", "type", "error", "code", "index", "choices", "usage"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": VALUES,
        "delta": st.fixed_dictionaries({}, optional={"content": VALUES, "reasoning": VALUES, "refusal": VALUES})
        | VALUES,
        "message": VALUES,
        "finish_reason": VALUES,
        "error": VALUES,
    },
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(CHOICES | VALUES, max_size=3) | VALUES,
        "usage": VALUES,
        "error": VALUES,
        "object": st.sampled_from(["chat.completion.chunk", "error"]),
        "status": VALUES,
    },
)


@given(st.lists(EVENTS, max_size=4), st.integers(1, 3), st.integers(1, 40))
def test_no_event_raises_anything_but_the_readers_own_error(events: list[Any], wanted: int, size: int) -> None:
    try:
        reply, _ = read(stream(*events), wanted, size)
    except ReplyError as error:
        assert str(error).isprintable()
        return
    for answer in reply.answers.values():
        assert all(isinstance(text, str) for text in [*answer.text, *answer.reasoning, answer.finish_reason])
    assert isinstance(reply.ambiguous, bool)


@given(VALUES | EVENTS, st.integers(1, 3))
def test_no_whole_reply_raises_anything_but_the_readers_own_error(value: Any, wanted: int) -> None:
    reply = Reply(wanted)
    try:
        reply.add_whole(value)
    except ReplyError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=200), st.integers(1, 40))
def test_no_bytes_raise_anything_but_the_readers_own_error(body: bytes, size: int) -> None:
    try:
        read(b"data: " + body, 1, size)
    except ReplyError as error:
        assert str(error).isprintable()


LAYOUTS: list[Any] = [
    lambda text: {"delta": {"content": text}},
    lambda text: {"delta": {"content": [{"type": "text", "text": text}]}},
    lambda text: {"delta": {"content": [text[:1], [text[1:]]]}},
    lambda text: {"delta": {"content": {"text": text}}},
    lambda text: {"message": {"content": text}, "delta": None},
    lambda text: {"text": text},
]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.text(), st.text(), st.sampled_from(LAYOUTS)), max_size=12),
    st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]),
    st.booleans(),
    st.integers(1, 60),
)
def test_no_text_is_lost_however_it_is_laid_out(
    pieces: list[tuple[int, str, str, Any]], end: str, ascii_only: bool, size: int
) -> None:
    body = ""
    expected: dict[int, tuple[str, str]] = {}
    for index, text, thought, layout in pieces:
        choice = {**layout(text), "index": index}
        if isinstance(choice.get("delta"), dict):
            choice["delta"]["reasoning"] = thought
        else:
            thought = ""
        data = json.dumps(chunk(choice), ensure_ascii=ascii_only)
        body += f"data: {data}{end}"
        before = expected.get(index, ("", ""))
        expected[index] = (before[0] + text, before[1] + thought)
    reply, _ = read(body.encode("utf-8", "surrogatepass") if ascii_only else body.encode("utf-8", "replace"), 3, size)
    if not ascii_only:
        expected = {index: (_replaced(text), _replaced(thought)) for index, (text, thought) in expected.items()}
    assert {index: texts[:2] for index, texts in said(reply).items()} == expected


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
