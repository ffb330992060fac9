"""The vLLM sampler and the command line with a real model, small, on the CPU: what it writes are words.

One engine serves the sampler's tests; the command has its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.demo.setup import SUITE
from swerl_eval.ports import ignore
from swerl_eval.samplers.vllm.sampler import VllmSampler

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

Run = Callable[[Coroutine[Any, Any, Any]], Any]

ENGINE: dict[str, Any] = {
    "dtype": "float32",  # so that a seed gives the same text whatever else is in the batch
    "enforce_eager": True,  # compiling it takes minutes on two cores
    "kv_cache_memory_bytes": 400 << 20,
    "max_model_len": 4096,
}
TASK = "Write a Python function `add(a, b)` that returns the sum of two numbers. Show only the code."
ISSUE = "The function `parse` fails for an empty line, and it should return an empty list. " * 12
WORDS = frozenset(
    {"the", "a", "of", "to", "is", "and", "in", "that", "for", "function", "return", "list", "it", "code"}
)
"""Most of what is written about code has some of them."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine on the loop that the engine lives on."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(scope="module")
def sampler(real_model: str, run: Run) -> Iterator[VllmSampler]:
    opened = VllmSampler(real_model, ENGINE)
    yield opened
    run(opened.aclose())


def request(content: str = TASK, n: int = 1, **changes: Any) -> SampleRequest:
    values = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 48, "seed": 0} | changes
    messages = (Message("system", "You are a careful programmer."), Message("user", content))
    return SampleRequest("demo__demo-1", "repair", messages, tuple(range(n)), **values)


def words_of(text: str) -> set[str]:
    return set("".join(character if character.isalpha() else " " for character in text.lower()).split())


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_a_greedy_answer_is_code_in_words_and_the_same_twice(sampler: VllmSampler, run: Run) -> None:
    (first,) = run(sampler.sample(request(temperature=0.0), ignore))
    assert "def add(a, b):" in first.text
    assert "return a + b" in first.text
    assert run(sampler.sample(request(temperature=0.0), ignore)) == [first]


def test_several_answers_to_several_prompts_are_words_and_each_prompt_is_computed_once(
    sampler: VllmSampler, run: Run
) -> None:
    async def counted() -> tuple[list[list[Completion]], int, int]:
        before = sampler.stats()
        asked = [request(f"{ISSUE}What is wrong with `{name}`?", n=4, seed=seed) for name, seed in PARSERS.items()]
        answers = await asyncio.gather(*(sampler.sample(prompt, ignore) for prompt in asked))
        after = sampler.stats()
        total, computed = (after[name] - before[name] for name in ("prompt_tokens", "prompt_tokens_computed"))
        return answers, total, computed

    answers, total, computed = run(counted())
    every = [answer for several in answers for answer in several]
    assert [answer.error for answer in every] == [""] * 12
    assert len(set(texts(every))) == 12
    spoken = [text for text in texts(every) if len(words_of(text) & WORDS) >= 3]
    assert len(spoken) >= 10, texts(every)
    assert total == sum(answer.prompt_tokens or 0 for answer in every)
    # nine of twelve prompts are there already, but for the last block of 128 tokens
    assert computed < 0.6 * total, (computed, total)
    again, _, computed_again = run(counted())
    assert again == answers, "seeded answers repeat, also from the cache"
    assert computed_again < computed


PARSERS = {"parse": 100, "read_lines": 200, "split": 300}


def test_the_command_repairs_an_instance_of_the_bundled_suite_with_it(
    real_model: str, mirrors: Path, tmp_path: Path
) -> None:
    settings = {
        "dataset": str(SUITE),
        "repositories": str(mirrors),
        "cache": str(tmp_path / "cache"),
        "results": str(tmp_path),
        "run_id": "small",
        "sampler": "vllm",
        "model": real_model,
        "limit": 1,
        "samples": 4,
        "max_tokens": 48,
        "engine": ENGINE,
    }
    (tmp_path / "run.toml").write_text(tomli_w.dumps(settings))
    command = [sys.executable, "-m", "swerl_eval.cli.app", "repair", "--config", str(tmp_path / "run.toml")]
    done = subprocess.run(
        [*command, "--localization", "oracle"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "vLLM on a CPU: engine.enable_chunked_prefill=false" in " ".join(done.stderr.split())
    lines = (tmp_path / "small" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [json.loads(line)["completion"] for line in lines]
    assert len(samples) == 4
    assert {sample["error"] for sample in samples} == {""}
    assert sum(len(words_of(sample["text"]) & WORDS) >= 2 for sample in samples) >= 3, samples
    (usage,) = [json.loads(line) for line in (tmp_path / "small" / "usage.jsonl").read_text().splitlines()]
    assert usage["gpus"] is None, "there is none"
    assert usage["prompt_tokens_computed"] < 0.7 * usage["prompt_tokens"]
