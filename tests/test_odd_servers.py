"""The command with servers that differ from OpenAI's: its exit code, its last line, and what is stored."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.demo.setup import SUITE
from swerl_eval.records.run_folder import Run
from tests.fake_server import Answer, Body, Events, FakeServer, Refuse, Reply, Rule, serving

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
SAMPLES = 4
ENDED = "localized 2/2, repaired 2/2; 8 samples"


def repair(mirrors: Path, results: Path, server: FakeServer, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        PROGRAM, "repair", "--dataset", str(SUITE), "--repositories", str(mirrors), "--limit", "2", "--model", "m",
        "--base-url", server.base_url, "--localization", "oracle", "--samples", str(SAMPLES),
        "--results", str(results), "--run-id", "r", *more,
    ]  # fmt: skip
    env = {**os.environ, "COLUMNS": "200", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=300)


def stored(results: Path) -> list[dict[str, Any]]:
    return [dataclasses.asdict(sample.completion) for sample in Run(results / "r").samples.values()]


def piece(delta: Any, end: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": end, **more}]}


def one_at_a_time(*events: dict[str, Any] | bytes) -> Rule:
    """A stream of one answer, whatever n asks for."""
    return lambda _: Events(events)


def unless(taken: bool, words: str, **more: Any) -> Reply:
    """A refusal, unless this is taken."""
    return Answer() if taken else Refuse(400, words, more=tuple(more.items()))


ANSWERED: dict[str, Rule] = {
    "a good server": lambda _: Answer(),
    "a chunk without a delta": one_at_a_time(piece({"content": "a"}), {"choices": [{"index": 0}]}, piece({}, "stop")),
    "a delta that is null": one_at_a_time(piece({"content": "a"}), piece(None, "stop")),
    "choices that are null": one_at_a_time(piece({"content": "a"}, "stop"), {"choices": None, "usage": {}}),
    "content in parts": one_at_a_time(piece({"content": [{"type": "text", "text": "a"}]}, "stop")),
    "no index": one_at_a_time({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}),
    "a byte that is not UTF-8": one_at_a_time(b'data: {"choices":[{"delta":{"content":"\xe9"}}]}\n\n'),
    "no finish reason": one_at_a_time(piece({"content": "a"})),
    "capitals": one_at_a_time(piece({"content": "a"}, "STOP")),
    "two answers under one index": lambda body: (
        Events((piece({"content": "a"}), piece({}, "stop"), piece({}, "stop"))) if body["n"] > 1 else Answer()
    ),
    "no stream": lambda _: Body({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}),
    "no seed": lambda body: unless("seed" not in body, "seed is unknown"),
    "no stream_options": lambda body: unless("stream_options" not in body, "no", param="stream_options"),
    "another name for max_tokens": lambda body: unless("max_tokens" not in body, "max_tokens is unknown"),
    "one answer a request": lambda body: unless(body["n"] == 1, "that is too much"),
    "three answers a request": lambda body: unless(body["n"] <= 3, "n is at most 3"),
}
LOST: dict[str, tuple[Rule, str]] = {
    "a key that is refused as 400": (
        lambda _: Refuse(400, "this API key is not valid"),
        "/: it refuses 'm': 400 this API key is not valid; is OPENAI_API_KEY the key of this server?",
    ),
    "a key that is refused in a list": (
        lambda _: Body([{"error": {"code": 400, "message": "this API key is not valid"}}], 400),
        "/: it refuses 'm': 400 this API key is not valid; is OPENAI_API_KEY the key of this server?",
    ),
    "an unknown model": (
        lambda _: Refuse(400, "no such model"),
        "/: it refuses 'm': 400 no such model; is --model the name that the server knows it by?",
    ),
    "no system role": (
        lambda body: unless(body["messages"][0]["role"] != "system", "a system message is not taken"),
        "/: it refuses 'm': 400 a system message is not taken; -c thinking=false leaves that message out",
    ),
    "an error in a 200": (
        lambda _: Body({"error": {"message": "no credit is left", "code": 402}}),
        "/: it refuses 'm': 402 no credit is left; the account at this server has to be topped up",
    ),
    "a page in a 200": (
        lambda _: Body(b"<html>sign in</html>"),
        "/: the reply is no answer: <html>sign in</html>",
    ),
    "an empty stream": (
        lambda body: Events((), done=False) if body.get("stream") else Refuse(400, "900 tokens are too many"),
        "/: it refuses 'm': 400 900 tokens are too many",
    ),
    "a server short of resources": (
        one_at_a_time(piece({"content": "a"}), piece({}, "insufficient_system_resource")),
        "/ failed 6 times: an answer ended unfinished: insufficient_system_resource",
    ),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_server_that_answers_in_its_own_way_is_used(name: str, mirrors: Path, tmp_path: Path) -> None:
    with serving() as server:
        server.rule = ANSWERED[name]
        done = repair(mirrors, tmp_path, server)
        assert max(body["n"] for body in server.bodies) == SAMPLES
    assert done.returncode == 0, done.stderr
    assert ENDED in done.stderr.splitlines()[-1]
    completions = stored(tmp_path)
    assert [completion["finish_reason"] for completion in completions] == ["stop"] * 8
    assert all(completion["text"] for completion in completions)


@pytest.mark.parametrize("name", LOST)
def test_a_server_that_refuses_everything_ends_the_run_with_its_words_and_nothing_is_stored(
    name: str, mirrors: Path, tmp_path: Path
) -> None:
    rule, words = LOST[name]
    with serving() as server:
        server.rule = rule
        done = repair(mirrors, tmp_path, server)
        address = server.base_url
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last) == (1, f"swerl-eval: {address}{words}")
    assert "Traceback" not in done.stderr
    assert stored(tmp_path) == []


def test_the_remedy_for_a_server_without_a_system_role_helps(mirrors: Path, tmp_path: Path) -> None:
    with serving() as server:
        server.rule = LOST["no system role"][0]
        done = repair(mirrors, tmp_path, server, "-c", "thinking=false")
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path)) == 8


def test_what_is_sent_along_comes_from_the_settings(mirrors: Path, tmp_path: Path) -> None:
    more = ("-c", "request.chat_template_kwargs.enable_thinking=true", "-c", 'request.stop=["x"]')
    with serving() as server:
        done = repair(mirrors, tmp_path, server, *more)
        bodies = server.bodies
    assert done.returncode == 0, done.stderr
    assert {json.dumps([body["chat_template_kwargs"], body["stop"]]) for body in bodies} == {
        '[{"enable_thinking": true}, ["x"]]'
    }
