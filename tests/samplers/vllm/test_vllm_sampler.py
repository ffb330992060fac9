"""The vLLM sampler against the real engine, with a tiny model on the CPU.

One engine serves all of them but those that end it or want another.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from swerl_eval.cli.redirect_output import redirect_output
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import ignore
from swerl_eval.samplers.vllm.cpu_platform import for_platform, on_cpu
from swerl_eval.samplers.vllm.engine_settings import STREAM_INTERVAL, EngineSettings, engine_arguments, refusal
from swerl_eval.samplers.vllm.sampler import VllmSampler
from tests import tiny_model

pytestmark = pytest.mark.vllm

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CONTEXT = 1024
ENGINE: dict[str, Any] = {**tiny_model.ENGINE, "max_model_len": CONTEXT}


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
    before = multiprocessing.active_children()  # those of other samplers may be among them
    run(sampler.aclose())
    assert set(multiprocessing.active_children()) < set(before), "the engine's process is left"


def request(content: str = "Fix the parser.", n: int = 1, **changes: Any) -> SampleRequest:
    values = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 32, "seed": 0} | changes
    messages = (Message("system", "You mend code."), Message("user", content))
    return SampleRequest("demo__demo-1", "repair", messages, tuple(range(10, 10 + n)), **values)


def tokenizer_of(model: str) -> Any:
    return importlib.import_module("transformers").AutoTokenizer.from_pretrained(model)


def rendered(model: str, asked: SampleRequest) -> str:
    chat = [{"role": message.role, "content": message.content} for message in asked.messages]
    text: str = tokenizer_of(model).apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return text


def prompt_of(tokens: int, sampler: VllmSampler, model: str, digit: str = "0", **changes: Any) -> SampleRequest:
    """A request whose prompt has exactly so many tokens."""
    frame = sampler.count_tokens(rendered(model, request("")))
    asked = request(digit * (tokens - frame), **changes)
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


def test_seeded_prompts_that_are_more_than_a_batch_end_no_engine_on_a_cpu(
    sampler: VllmSampler, run: Run, model: str
) -> None:
    """Some would be prefilled in parts by default, which kills vLLM 0.32 there."""
    asked = [prompt_of(CONTEXT - 20, sampler, model, digit=str(k), seed=k, max_tokens=2) for k in range(8)]
    assert len(asked) * (CONTEXT - 20) > ENGINE["max_num_batched_tokens"]

    async def at_once() -> list[list[Completion]]:
        return await asyncio.gather(*(sampler.sample(prompt, ignore) for prompt in asked))

    assert [answer.error for (answer,) in run(at_once())] == [""] * 8
    assert sampler.stats()["engine_restarts"] == 0


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


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_thinking_that_the_template_opens_is_a_part_of_the_answer(
    sampler: VllmSampler, run: Run, model: str, temperature: float
) -> None:
    asked = request("Think: why does it fail?", n=3, max_tokens=6, temperature=temperature)
    assert rendered(model, asked).endswith("assistant\n<think>\n")
    answers = run(sampler.sample(asked, ignore))
    assert all(text.startswith("<think>\n") for text in texts(answers))
    assert not any(solution_of(answer, thinking=False) for answer in answers), "drafts are no solution"
    assert {answer.prompt_tokens for answer in answers} == {sampler.count_prompt(asked.messages)}
    assert max(answer.completion_tokens or 0 for answer in answers) == 6


def test_max_tokens_is_cut_to_what_the_context_leaves(sampler: VllmSampler, run: Run, model: str) -> None:
    asked = prompt_of(CONTEXT - 20, sampler, model, n=8, max_tokens=10_000)
    cut = [answer for answer in run(sampler.sample(asked, ignore)) if answer.finish_reason == "length"]
    assert len(cut) >= 4
    assert all(answer.completion_tokens == 20 for answer in cut)


def test_a_prompt_that_fills_the_context_is_recorded_and_never_sent(sampler: VllmSampler, run: Run, model: str) -> None:
    run(sampler.sample(request(), ignore))
    before = metric("prompt_tokens")
    counts: list[int] = []
    answers = run(sampler.sample(prompt_of(CONTEXT, sampler, model, n=3), counts.append))
    reason = f"context_length: the prompt has {CONTEXT} tokens, max_model_len is {CONTEXT}"
    assert answers == [Completion("", "error", CONTEXT, error=reason)] * 3
    assert counts == []
    (next_one,) = run(sampler.sample(request(), ignore))
    assert metric("prompt_tokens") - before == next_one.prompt_tokens, "the engine saw the next prompt alone"


def test_a_prompt_that_leaves_room_for_one_token_is_sent(sampler: VllmSampler, run: Run, model: str) -> None:
    answers = run(sampler.sample(prompt_of(CONTEXT - 1, sampler, model, n=3), ignore))
    assert [answer.completion_tokens for answer in answers] == [1, 1, 1]
    assert [answer.error for answer in answers] == ["", "", ""]


def test_tokens_are_reported_while_they_come(sampler: VllmSampler, run: Run) -> None:
    counts: list[int] = []
    answers = run(sampler.sample(request(n=4, max_tokens=300), counts.append))
    assert sum(counts) == sum(answer.completion_tokens for answer in answers)
    assert len(counts) > 10
    assert max(counts) < sum(counts) / 4


def test_a_greedy_answer_is_drawn_once_and_given_n_times(sampler: VllmSampler, run: Run) -> None:
    counts: list[int] = []
    answers = run(sampler.sample(request(n=3, temperature=0.0), counts.append))
    assert answers == [answers[0]] * 3
    assert sum(counts) == answers[0].completion_tokens


def test_bytes_that_are_not_utf8_do_not_stop_a_prompt(sampler: VllmSampler, run: Run) -> None:
    assert run(sampler.sample(request("latin \udce9"), ignore))[0].error == ""
    assert sampler.count_tokens("latin \udce9") == sampler.count_tokens("latin \ufffd")


@pytest.mark.parametrize("how", ["task", "anyio scope"])
def test_a_cancelled_request_is_ended_in_the_engine_which_goes_on(sampler: VllmSampler, run: Run, how: str) -> None:
    asked = request(n=24, max_tokens=900)

    async def cancelled() -> int:
        begun = asyncio.Event()
        counts: list[int] = []

        def on_tokens(tokens: int) -> None:
            counts.append(tokens)
            begun.set()

        if how == "task":
            task = asyncio.create_task(sampler.sample(asked, on_tokens))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(sampler.sample, asked, on_tokens)
                await begun.wait()
                group.cancel_scope.cancel()
        # Two steps of the engine: the first tells that the request is gone, the second its accounts.
        await sampler.sample(request(max_tokens=2), ignore)
        return sum(counts)

    before = metric("generation_tokens")
    counts = run(cancelled())
    assert metric("num_requests_running") + metric("num_requests_waiting") <= 1
    assert metric("generation_tokens") - before < counts + 24 * 50, "it did not decode to the end"
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


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ({}, ""),
        ({"lora": None}, ""),
        ({"max_model_len": 4 * tiny_model.CONTEXT}, "greater than the derived max_model_len"),
        ({"dtype": "floaty"}, "dtype: Input should be 'auto'"),
        ({"tensor_parallel_size": 4}, r"attention heads \(2\) must be divisible by tensor parallel size \(4\)"),
    ],
)
def test_before_anything_is_loaded_vllm_says_why_it_would_not_start(
    vllm: None, model: str, engine: dict[str, Any], why: str
) -> None:
    refused = refusal(model, EngineSettings.read({**ENGINE, **engine}).arguments)
    assert re.search(why, refused) if why else refused == ""
    assert "\n" not in refused
    assert not refused.startswith("ValidationError")


def test_what_vllm_does_not_find_is_a_refusal_and_what_it_does_not_have_an_error(vllm: None, tmp_path: Path) -> None:
    assert "nothing-here" in refusal(str(tmp_path / "nothing-here"), {})
    with pytest.raises(UsageError, match="did you mean max_model_len"):
        refusal(str(tmp_path), {"max_modellen": 9})


def test_an_engine_that_does_not_start_is_a_sampler_error(model: str) -> None:
    sampler = VllmSampler(model, ENGINE | {"max_model_len": 1 << 30})
    with pytest.raises(SamplerError, match=r"does not start with .*max_model_len") as caught:
        asyncio.run(sampler.sample(request(), ignore))
    assert caught.value.__cause__ is not None


def test_a_folder_without_a_model_is_a_sampler_error(vllm: None, tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match=r"tokenizer of .* cannot be loaded"):
        VllmSampler(str(tmp_path), {}).count_tokens("x")


def test_settings_for_several_gpus_reach_the_engine(vllm: None, model: str) -> None:
    asked = {"tensor_parallel_size": 4, "pipeline_parallel_size": 2, "data_parallel_size": 3}
    arguments = engine_arguments(model, EngineSettings.read(asked).arguments)
    assert {name: getattr(arguments, name) for name in asked} == asked
    assert (arguments.model, arguments.stream_interval) == (model, STREAM_INTERVAL)
    assert engine_arguments(model, {"stream_interval": 1}).stream_interval == 1


def test_prompt_tokens_that_were_in_the_cache_are_not_counted_as_computed(sampler: VllmSampler, run: Run) -> None:
    asked = request("def add(a, b):\n    return a - b\n" * 20, n=16, max_tokens=4)

    async def counted() -> list[int]:
        before = sampler.stats()
        answers = await sampler.sample(asked, ignore)
        after = sampler.stats()
        return [
            answers[0].prompt_tokens or 0,
            after["prompt_tokens"] - before["prompt_tokens"],
            after["prompt_tokens_computed"] - before["prompt_tokens_computed"],
        ]

    prompt, total, computed = run(counted())
    # whole blocks are kept, and the last token of a prompt is always computed
    rest = prompt - (prompt - 1) // ENGINE["block_size"] * ENGINE["block_size"]
    assert prompt > 200
    assert (total, computed) == (16 * prompt, prompt + 15 * rest)
    assert run(counted()) == [prompt, 16 * prompt, 16 * rest], "the second time, the first answer has it too"


def test_a_whole_prompt_is_counted_as_it_is_sent(sampler: VllmSampler, run: Run) -> None:
    asked = request("Why does `a[1:]` fail?")
    assert run(sampler.sample(asked, ignore))[0].prompt_tokens == sampler.count_prompt(asked.messages)


def make_adapter(model: str, folder: Path) -> Path:
    """A LoRA adapter of rank 2 that changes what the tiny model says."""
    torch: Any = importlib.import_module("torch")
    save: Any = importlib.import_module("safetensors.torch").save_file
    config = {"r": 2, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj"], "peft_type": "LORA"}
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": model, "bias": "none"}))
    torch.manual_seed(1)
    tensors = {}
    for layer in range(2):
        for name in ("q_proj", "v_proj"):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(2, 64)
            tensors[f"{stem}.lora_B.weight"] = torch.randn(64, 2)
    save(tensors, str(folder / "adapter_model.safetensors"))
    return folder


def test_answers_come_from_the_adapter_where_one_is_named(
    sampler: VllmSampler, run: Run, model: str, tmp_path: Path
) -> None:
    bare = run(sampler.sample(request(n=3, seed=5), ignore))
    adapter = make_adapter(model, tmp_path / "adapter")

    async def adapted() -> list[Completion]:
        other = VllmSampler(model, ENGINE | {"lora": str(adapter)})
        try:
            return await other.sample(request(n=3, seed=5), ignore)
        finally:
            await other.aclose()

    answers = asyncio.run(adapted())
    assert [answer.error for answer in answers] == [""] * 3
    assert texts(answers) != texts(bare)


def descendants() -> set[Any]:
    """All processes below this one but the tracker that Python keeps for as long as it runs."""
    psutil: Any = importlib.import_module("psutil")
    processes = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "resource_tracker" not in " ".join(process.cmdline()):
                processes.add(process)
    return processes


def test_an_engine_that_dies_is_started_again_within_a_bound_and_the_answers_are_the_same(
    sampler: VllmSampler, run: Run, model: str
) -> None:
    asked = [request(n=6, max_tokens=600, seed=seed) for seed in (0, 100)]
    undisturbed = [run(sampler.sample(prompt, ignore)) for prompt in asked]
    others = descendants()
    own = set(multiprocessing.active_children())

    async def kill(mortal: VllmSampler) -> list[asyncio.Task[list[Completion]]]:
        """Kill the core in the middle of two requests; nothing else of the engine is touched."""
        begun = asyncio.Event()
        tasks = [asyncio.create_task(mortal.sample(prompt, lambda tokens: begun.set())) for prompt in asked]
        await begun.wait()
        (core,) = set(multiprocessing.active_children()) - own
        assert core.pid is not None
        os.kill(core.pid, signal.SIGKILL)
        return tasks

    async def killed() -> None:
        said: list[str] = []
        mortal = VllmSampler(model, ENGINE | {"restarts": 1}, said.append)
        (short,) = await mortal.sample(request(max_tokens=1), ignore)
        first = descendants() - others
        assert first
        answers = await asyncio.wait_for(asyncio.gather(*await kill(mortal)), 300)
        assert not first & descendants(), "something of the dead engine is left beside the new one"
        assert answers == undisturbed
        assert mortal.stats()["engine_restarts"] == 1
        assert short.completion_tokens == 1
        (starts, platform, ready, death, platform_again, again) = said
        assert starts == f"vLLM is starting with {model}"
        assert "ended with -9" in death
        assert platform == platform_again
        assert platform == "vLLM on a CPU: engine.enable_chunked_prefill=false; -c engine.… sets them otherwise"
        assert all(re.fullmatch(r"vLLM is ready after \d+ s", line) for line in (ready, again))
        for task in await kill(mortal):
            with pytest.raises(SamplerError, match=r"died again after 1 restarts: \(1\) .*-9.*; \(2\) .*-9"):
                await asyncio.wait_for(task, 300)
        with pytest.raises(SamplerError, match="died again"):
            await asyncio.wait_for(mortal.sample(request(), ignore), 300)
        await mortal.aclose()
        with pytest.raises(SamplerError, match="was closed"):
            await mortal.sample(request(), ignore)

    asyncio.run(killed())
    assert descendants() <= others, "something of the dead engines is left"


def test_an_engine_that_dies_at_once_of_the_same_again_is_given_up_with_its_own_last_error(
    model: str, tmp_path: Path
) -> None:
    """A seeded request that is prefilled in parts kills vLLM 0.32 on a CPU; by default none is, there."""
    said: list[str] = []
    settings = {**ENGINE, "enable_chunked_prefill": True, "max_num_batched_tokens": 64}

    async def died() -> VllmSampler:
        sampler = VllmSampler(model, settings, said.append)
        try:
            with pytest.raises(SamplerError, match=r"died at once of the same again.*try -c") as caught:
                await sampler.sample(request("x = 1\n" * 60, n=2), ignore)
            assert "RuntimeError: CPU Generator does not use offset" in str(caught.value)
            assert str(caught.value).endswith("try -c engine.enable_chunked_prefill=false")
        finally:
            await sampler.aclose()
        return sampler

    with redirect_output(tmp_path / "engine.log"):
        sampler = asyncio.run(died())
    assert sampler.stats()["engine_restarts"] == 1
    (restart,) = [line for line in said if "restart" in line]
    assert "RuntimeError: CPU Generator does not use offset" in restart


def test_an_engine_that_cannot_have_its_cache_is_told_by_its_own_last_error(model: str, tmp_path: Path) -> None:
    sampler = VllmSampler(model, ENGINE | {"kv_cache_memory_bytes": 1 << 16})
    with redirect_output(tmp_path / "engine.log"), pytest.raises(SamplerError) as caught:
        asyncio.run(sampler.sample(request(), ignore))
    message = str(caught.value)
    assert "does not start with" in message
    assert "ValueError: " in message
    assert "KV cache" in message
    assert "root cause" not in message
    assert "try less memory" in message or "try -c" in message, message


def test_on_a_cpu_prefill_is_whole_and_the_cache_is_bounded_unless_it_is_set(vllm: None, model: str) -> None:
    assert on_cpu()
    settings, note = for_platform(model, {"dtype": "float32"})
    assert settings["enable_chunked_prefill"] is False
    size = settings["kv_cache_memory_bytes"]
    memory: Any = importlib.import_module("psutil").virtual_memory()
    assert 0 < size < memory.available // 2
    assert f"engine.kv_cache_memory_bytes={size} " in note
    assert refusal(model, settings) == ""
    mine = {"enable_chunked_prefill": True, "gpu_memory_utilization": 0.2}
    assert for_platform(model, mine) == (mine, "")


def test_a_model_that_the_memory_does_not_hold_is_refused_before_it_starts(vllm: None, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16384, "num_hidden_layers": 400, "num_attention_heads": 128, "intermediate_size": 65536}
    (tmp_path / "config.json").write_text(json.dumps({**sizes, "vocab_size": 150_000}))
    with pytest.raises(SamplerError, match=r"its weights do not fit .* preflight"):
        for_platform(str(tmp_path), {})
    assert for_platform(str(tmp_path), {"kv_cache_memory_bytes": 1})[0]["kv_cache_memory_bytes"] == 1


@pytest.mark.parametrize("cancelled", [False, True])
def test_one_that_is_closed_while_it_starts_leaves_no_process(model: str, cancelled: bool) -> None:
    others = descendants()

    async def closed() -> None:
        sampler = VllmSampler(model, ENGINE)
        task = asyncio.create_task(sampler.sample(request(), ignore))
        own = len(multiprocessing.active_children())
        while len(multiprocessing.active_children()) == own:
            assert not task.done()
            await asyncio.sleep(0.05)
        if cancelled:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.wait_for(sampler.aclose(), 300)
        if not cancelled:
            with pytest.raises(SamplerError):
                await task

    asyncio.run(closed())
    assert descendants() <= others


def test_without_vllm_the_error_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match=r"pip install 'swerl-eval\[vllm\]'"):
        VllmSampler("any", {})
