from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swerl_eval.core.secrets import REDACTED, Redactor, is_secret_name, redacted, secrets_in


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "api_key", "api-key", "apiKey", "APIKey", "apikey",
        "X-Api-Key", "Authorization", "password", "DB_PWD", "GITHUB_PAT", "client_secret", "AWS_SECRET_ACCESS_KEY",
        "token", "key", "API_KEY_2", "sig", "AZURE_OPENAI_KEY", "api_keys",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens", "eos_token", "eos_token_id", "stop_token_ids", "tokenizer", "skip_special_tokens", "PWD",
        "OLDPWD", "prompt_cache_key", "prefix_cache_key", "keys", "monkey", "author", "model", "SSH_AUTH_SOCK", "", "1",
    ],
)  # fmt: skip
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown", "found"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1", set()),
        ("http://me:p%40ss@h/v1", f"http://{REDACTED}@h/v1", {"p%40ss", "p@ss"}),
        ("http://me:p@s/s@h:80/v1", f"http://{REDACTED}@h:80/v1", {"p@s/s"}),
        ("http://host:80/x@y", "http://host:80/x@y", set()),
        ("https://sometoken@h/v1", f"https://{REDACTED}@h/v1", {"sometoken"}),
        ("https://h/v1?key=abc&deployment=d", f"https://h/v1?key={REDACTED}&deployment=d", {"abc"}),
        ("API_KEY=abc serve --port {port}", f"API_KEY={REDACTED} serve --port {{port}}", {"abc"}),
        ("serve --api-key a1 b2 --port 1", f"serve --api-key {REDACTED} --port 1", {"a1", "b2", "a1 b2"}),
        ("serve --api-key=a1 --max-tokens 5", f"serve --api-key={REDACTED} --max-tokens 5", {"a1"}),
        ("serve --api-key 'a b' --port 1", f"serve --api-key {REDACTED} --port 1", {"a b"}),
        ("bash -c 'HF_TOKEN=xx vllm'", f"bash -c 'HF_TOKEN={REDACTED} vllm'", {"xx"}),
        ("-H 'Authorization: Bearer abcdefgh'", f"-H 'Authorization: {REDACTED}'", {"abcdefgh", "Bearer abcdefgh"}),
        ('{"api_key": "v", "n": 1}', f'{{"api_key": {REDACTED}, "n": 1}}', {"v"}),
        ("CUDA_VISIBLE_DEVICES={index} vllm serve {model}", "CUDA_VISIBLE_DEVICES={index} vllm serve {model}", set()),
        ("use sk-abcdefghijklmnopqrst", f"use {REDACTED}", {"sk-abcdefghijklmnopqrst"}),
    ],
)
def test_a_secret_in_a_text_is_known_by_its_place(text: str, shown: str, found: set[str]) -> None:
    assert redacted(text) == shown
    assert secrets_in(text) - {base64.b64encode(b).decode() for b in (b"me:p@ss", b"me:p@s/s", b"sometoken:")} == found
    assert redacted(shown) == shown
    assert secrets_in(shown) == frozenset()


def test_what_a_client_makes_of_user_and_password_is_known_too() -> None:
    assert base64.b64encode(b"me:p@ss").decode() in secrets_in("http://me:p%40ss@h/v1")


def test_everything_below_the_name_of_a_secret_is_one_and_the_rest_stays() -> None:
    settings = {
        "credentials": {"user": "u1", "more": ["m1", 7]},
        "password": 12345678,
        "token": "",
        "auth": True,
        "extra": [{"api_key": "k1"}, "plain"],
        "max_tokens": 5,
        "eos_token": "</s>",
        "none": None,
    }
    assert redacted(settings) == {
        "credentials": {"user": REDACTED, "more": [REDACTED, 7]},
        "password": REDACTED,
        "token": "",
        "auth": True,
        "extra": [{"api_key": REDACTED}, "plain"],
        "max_tokens": 5,
        "eos_token": "</s>",
        "none": None,
    }
    assert secrets_in(settings) == {"u1", "m1", "12345678", "k1"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_record_of_settings_is_not_changed_by_redacting_it_again(value: Any) -> None:
    once = redacted(value)
    assert redacted(once) == once


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30).filter(
    lambda text: len(text.strip()) >= 6 and len(text.splitlines()) == 1
)


@given(SECRETS)
@example("sk-ä/\\\"'%")
def test_a_secret_is_found_in_a_table_and_taken_out_of_whatever_repeats_it(secret: str) -> None:
    redact = Redactor(secrets_in({"api_key": secret}))
    for spelling in (secret.strip(), quote(secret.strip(), safe="")):
        assert spelling not in redact(f"who is {spelling}?").removeprefix("who is ").removesuffix("?")


def test_a_text_that_was_cut_within_a_secret_loses_its_beginning_too() -> None:
    redact = Redactor(["0123456789abcdef"])
    assert redact("refused: 0123456789 …") == f"refused: {REDACTED} …"
    assert redact("refused: 01234") == "refused: 01234"


def test_short_words_and_empty_ones_are_no_secrets_of_other_texts() -> None:
    redact = Redactor(["none", "", "EMPTY"])
    assert not redact
    assert redact("none is EMPTY") == "none is EMPTY"


def test_each_line_of_a_long_secret_is_one() -> None:
    assert Redactor(["-----BEGIN-----\nabcdefgh\n"])("x abcdefgh y") == f"x {REDACTED} y"


PARTS = st.sampled_from([b"secret", b"sec", b"ret", b"se", b"x", b"secre", b"secret-two", b"-two", b"ret-three"])


@given(st.lists(PARTS, max_size=8))
@example([b"secret", b"-two"])
@example([b"secret", b"-three"])
def test_a_stream_is_redacted_wherever_it_is_cut(parts: list[bytes]) -> None:
    redactor = Redactor(["secret", "secret-two", "ret-three"])
    feed = redactor.stream()
    whole = b"".join(parts)
    assert b"".join(map(feed, parts)) + feed(b"") == redactor.stream()(whole + b"|").removesuffix(b"|")


def test_nothing_is_held_back_of_a_stream_but_the_beginning_of_a_secret() -> None:
    feed = Redactor(["secret"]).stream()
    assert [feed(b"loading 50%"), feed(b"\r100% sec"), feed(b"ond. "), feed(b"s"), feed(b"")] == [
        b"loading 50%", b"\r100% ", b"second. ", b"", b"s",
    ]  # fmt: skip


def test_masked_bytes_stay_as_many() -> None:
    assert Redactor(["secret"]).masked(b"a secret b") == b"a ****** b"
