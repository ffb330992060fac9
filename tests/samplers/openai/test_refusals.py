from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.samplers.openai.dialect import Dialect
from swerl_eval.samplers.openai.refusals import Refusal, printable, status_of

BODY = {
    "n": 8, "temperature": 1.0, "top_p": 0.9, "max_tokens": 64, "seed": 5, "stream": True,
    "stream_options": {"include_usage": True},
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words", "parameters"),
    [
        ({"error": {"message": "no", "param": "seed", "code": None}}, "no", {"seed"}),
        ({"error": {"message": "no", "param": "messages[0].role"}}, "no", {"messages", "0", "role"}),
        ([{"error": {"code": 400, "message": "bad key"}}], "bad key", set()),
        ({"error": "bad key"}, "bad key", set()),
        ("bad key", "bad key", set()),
        ({"detail": [{"loc": ["body", "seed"], "msg": "extra", "input": {"n": 2}}]}, "body.seed: extra", {"seed"}),
        (
            {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}},
            "body.n: too many",
            {"n"},
        ),
        (
            {"error": {"message": "upstream", "metadata": {"raw": "seed is unknown"}}},
            "upstream: seed is unknown",
            set(),
        ),
        ({"error": {"message": ""}, "trace": "x1"}, '{"error": {"message": ""}, "trace": "x1"}', set()),
        ({"errors": [{"title": "a"}, {"description": "b"}]}, "a; b", set()),
        ("\x1b[31mred\x00\nline", "[31mred line", set()),
    ],
)
def test_the_words_and_the_parameter_are_found_in_every_layout(body: Any, words: str, parameters: set[str]) -> None:
    refusal = Refusal.of(400, body)
    assert refusal.words == words
    assert refusal.parameters == parameters - {""}


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("Unsupported parameter: 'max_tokens'; use 'max_completion_tokens'.", {"token_limit": "max_completion_tokens"}),
        ("max_tokens is too large: 64. This model supports at most 32 completion tokens.", None),
        ("'max_tokens' or 'max_completion_tokens' is too large: 64; the maximum context length is 32", None),
        ("This model's maximum context length is 32 tokens; you asked for 64 with max_tokens and n", None),
        ("unknown field `seed`", {"left_out": frozenset({"seed"})}),
        ("stream_options is not allowed", {"left_out": frozenset({"stream_options"})}),
        ("`temperature` and `top_p` cannot both be given", {"left_out": frozenset({"top_p"})}),
        ("n must be between 1 and 4", {"most": 4}),
        ("n must be 1 when sampling is greedy, got 8", {"most": 1}),
        ("only one choice can be asked for", {"most": 1}),
        ("candidateCount is limited to 2", {"most": 2}),
        ("something is wrong", {"most": 1}),
        ("the prompt is too long", None),
    ],
)  # fmt: skip
def test_a_refusals_words_say_what_to_put_otherwise(words: str, change: dict[str, Any] | None) -> None:
    adapted = Dialect().adapted(Refusal.of(400, {"error": {"message": words}}), BODY)
    assert adapted == (None if change is None else Dialect(**change))


def test_words_that_name_nothing_are_no_reason_to_ask_for_fewer_answers_than_were_given_before() -> None:
    refusal = Refusal.of(400, "something is wrong")
    assert Dialect(taken=8).adapted(refusal, BODY) is None
    assert Dialect().adapted(refusal, {**BODY, "n": 1}) is None


def test_a_temperature_other_than_the_usual_one_is_never_left_out() -> None:
    refusal = Refusal.of(400, {"error": {"message": "no", "param": "temperature"}})
    assert Dialect().adapted(refusal, {**BODY, "n": 1}) == Dialect(left_out=frozenset({"temperature"}))
    assert Dialect().adapted(refusal, {**BODY, "n": 1, "temperature": 0.7}) is None


@pytest.mark.parametrize("status", [401, 403, 404, 413])
def test_only_a_refusal_of_the_request_itself_is_read_so(status: int) -> None:
    assert Dialect().adapted(Refusal.of(status, "seed is unknown"), BODY) is None


def test_a_body_is_put_as_the_server_takes_it() -> None:
    assert Dialect().body(BODY) == BODY
    learnt = Dialect(frozenset({"seed", "stream"}), "max_completion_tokens")
    assert learnt.body(BODY) == {"n": 8, "temperature": 1.0, "top_p": 0.9, "max_completion_tokens": 64}


def test_what_two_requests_have_learnt_is_joined() -> None:
    one = Dialect(frozenset({"seed"}), most=4, taken=2)
    other = Dialect(frozenset({"top_p"}), "max_completion_tokens", most=2, taken=8)
    both = Dialect(frozenset({"seed", "top_p"}), "max_completion_tokens", 2, 8)
    assert one.joined(other) == other.joined(one) == both
    assert both.changes(one) == [
        "does not take top_p, so it is left out: it samples with its own",
        "takes max_completion_tokens in place of max_tokens",
        "gives at most 2 answers a request, so more are asked for in several, with the same seeds",
    ]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("System role not supported", "-c thinking=false leaves that message out"),
        ("this API key is not valid", "is OPENAI_API_KEY the key of this server?"),
        ("the model `x` does not exist", "is --model the name that the server knows it by?"),
        ("max_tokens is too large", "lower --max-tokens"),
        ("no", ""),
    ],
)
def test_where_the_words_allow_it_there_is_a_remedy(words: str, remedy: str) -> None:
    assert Refusal.of(400, words).remedy() == remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["message", "detail", "error", "loc", "msg", "param", "code", "metadata", "raw"])
            | st.text(),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON, st.text())
def test_no_error_of_whatever_form_stops_the_reader(body: Any, name: str) -> None:
    refusal = Refusal.of(400, body)
    assert refusal.words.isprintable()
    assert len(refusal.words) <= 502
    assert isinstance(refusal.names(name), bool)
    assert status_of(body) is None or 100 <= (status_of(body) or 0) < 600
    Dialect().adapted(refusal, BODY)


@given(st.text() | st.binary(), st.integers(1, 50))
def test_what_is_shown_is_one_short_printable_line(text: str | bytes, most: int) -> None:
    shown = printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most + 2
