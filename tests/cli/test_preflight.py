"""The preflight over the bundled suite: repositories, prompts and stages are the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.cli.preflight import check, memory_on_cpu
from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Instance, Localization
from swerl_eval.ports import SamplerSettings
from swerl_eval.preflight.footprint import Parallelism, footprint
from swerl_eval.preflight.hardware import Memory
from swerl_eval.preflight.prompt_lengths import (
    MeasuringSampler,
    PromptLength,
    PromptSettings,
    evenly_spaced,
    measure_prompts,
)
from swerl_eval.prompts import load_prompts
from swerl_eval.runner import Runner
from swerl_eval.samplers.replay import ReplaySampler
from tests.preflight.test_hardware import script_nvidia_smi

TINY: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 150000,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
"""About 7.9 billion parameters: 15 GiB, and 128 KiB a token."""


PROMPTS = 17
"""Nine of localization, and eight of repair: one gold patch adds a file and changes none."""


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables on a terminal that folds nothing."""
    monkeypatch.setenv("COLUMNS", "300")


class Bytes(ReplaySampler):
    """Counts bytes, so that lengths are known."""

    def count_tokens(self, text: str) -> int:
        return len(text.encode())


async def measured(
    config: RunConfig, lists: dict[str, Any], *, localize: bool, budget: int = 60_000
) -> list[PromptLength]:
    stages = settings(config.model_copy(update={"max_input_tokens": budget}))
    work = Runner(config)
    counter = Bytes.open(SamplerSettings(answers=Path(config.answers)))
    how = PromptSettings(load_prompts(""), counter, stages.localize if localize else None, stages.repair)
    return await measure_prompts([i for i in work.instances if i.instance_id in lists], work.source, lists, how)


@pytest.mark.anyio
async def test_the_prompts_are_those_that_a_run_would_send(demo_config: RunConfig) -> None:
    work = Runner(demo_config)
    instance = next(i for i in work.instances if i.instance_id == "demo__inkwell-1")
    paths = [path for path in (await work.source.snapshot(instance)).paths() if path.endswith(".py")]
    lists = {"demo__inkwell-1": ((paths[0],), (paths[0], paths[1]))}
    lengths = await measured(demo_config, lists, localize=True)
    assert [length.stage for length in lengths] == ["localize", "repair", "repair"]
    texts = [(await work.source.snapshot(instance)).read(path) or "" for path in paths[:2]]
    assert lengths[2].tokens - lengths[1].tokens == len(f"\n\n### {paths[1]}\n{texts[1]}".encode())
    assert lengths[1].tokens > len(texts[0].encode()) + len(instance.problem_statement.encode())
    assert {length.left_out for length in lengths} == {()}


@pytest.mark.anyio
async def test_files_that_the_budget_keeps_away_are_named(demo_config: RunConfig) -> None:
    work = Runner(demo_config)
    instance = next(i for i in work.instances if i.instance_id == "demo__inkwell-1")
    paths = [path for path in (await work.source.snapshot(instance)).paths() if path.endswith(".py")][:2]
    lists = {"demo__inkwell-1": ((*paths, "not/there.py"),)}
    (length,) = await measured(demo_config, lists, localize=False, budget=1)
    assert length.left_out == (paths[1],)


@pytest.mark.anyio
async def test_an_instance_without_files_has_no_repair_prompt(demo_config: RunConfig) -> None:
    assert await measured(demo_config, {"demo__inkwell-1": ()}, localize=False) == []


def test_of_many_instances_some_are_picked_at_equal_distances() -> None:
    many = [Instance(f"a__b-{number}", "a/b", "", "", "") for number in range(1000)]
    picked = [instance.instance_id for instance in evenly_spaced(many, 4)]
    assert picked == ["a__b-0", "a__b-250", "a__b-500", "a__b-750"]
    assert evenly_spaced(many[:3], 4) == many[:3]


def test_the_measuring_sampler_is_not_to_be_opened_by_name() -> None:
    with pytest.raises(TypeError, match="only measures"):
        MeasuringSampler.open(SamplerSettings())


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that no cell is wrapped


def preflight(config: RunConfig, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[int, str]:
    code = check(config.model_copy(update=changes))
    return code, " ".join(capsys.readouterr().out.split())


def test_prompts_are_compared_with_context_and_answer(
    demo_config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = preflight(demo_config, capsys)
    assert code == 0
    assert "9 of 9 instances, files from the gold patches" in output
    assert "not known" in output
    code, output = preflight(demo_config, capsys, engine={"max_model_len": 64})
    assert code == 1
    assert f"{PROMPTS} prompts do not fit in 64" in output
    code, output = preflight(demo_config, capsys, engine={"max_model_len": 100_000}, max_tokens=99_900)
    assert code == 1
    assert "0 prompts do not fit in 100,000" in output
    assert f"{PROMPTS} prompts leave fewer than 99,900 tokens" in output
    code, output = preflight(demo_config, capsys, engine={"max_model_len": 100_000}, localization="oracle")
    assert code == 0
    assert "8: 9 of 9 instances, files from oracle" in output


def test_files_that_a_run_has_found_are_the_ones_at_hand(
    demo_config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with Runner(demo_config).open_run() as run:
        run.localizations.append(Localization("demo__inkwell-1", (("inkwell/__init__.py",),), "model"))
    _, output = preflight(demo_config, capsys)
    assert "10: 9 of 9 instances, files from the run's localization" in output


def vllm_config(config: RunConfig, folder: Path, monkeypatch: pytest.MonkeyPatch, **engine: Any) -> RunConfig:
    """A configuration of a checkpoint without weights; the suite's prompts are counted by the recorded answers'."""
    (folder / "config.json").write_text(json.dumps(TINY))
    recorded = open_sampler(config, Runner(config).source)
    monkeypatch.setattr("swerl_eval.cli.preflight.open_sampler", lambda *_: recorded)
    return config.model_copy(update={"sampler": "vllm", "model": str(folder), "engine": engine})


@pytest.mark.parametrize(
    ("card", "engine", "code", "said"),
    [
        ("Card, 81920, 81900", {}, 0, "answers at full length at a time"),
        ("Card, 81920, 4000", {}, 0, "something else holds memory"),
        ("Card, 12288, 12200", {}, 1, "the weights alone do not fit"),
        ("Card, 20480, 20400", {}, 1, "fewer than one answer at 32,768; -c engine.max_model_len="),
        ("Card, 20480, 20400", {"max_model_len": 4096}, 0, "answers at full length at a time"),
        ("Card, 81920, 81900", {"tensor_parallel_size": 2}, 1, "2 needed"),
    ],
)
def test_a_model_is_compared_with_the_gpus_of_this_machine(
    demo_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    card: str,
    engine: dict[str, Any],
    code: int,
    said: str,
) -> None:
    config = vllm_config(demo_config, tmp_path, monkeypatch, **engine)
    script_nvidia_smi(tmp_path, monkeypatch, f"echo '{card}'")
    exit_code, output = preflight(config, capsys, max_tokens=100)
    assert (exit_code, said in output) == (code, True), output


def test_without_a_gpu_the_numbers_are_given_all_the_same(
    demo_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = vllm_config(demo_config, tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, output = preflight(config, capsys)
    assert code == 0
    assert "128.0 KiB a token" in output
    assert "4.00 GiB for one answer at 32,768 tokens" in output
    assert "no GPU is found here" in output
    assert "it is not installed here, so its own checks are not made" in output


@pytest.mark.parametrize(
    ("free", "engine", "state", "said"),
    [
        # 13.79 GiB of weights and 2 beside them; half of what is left is for the cache
        (60, {}, "estimate", "22.11 GiB, 181,088 tokens, 5.5 answers at full length at a time"),
        (15, {}, "too little", "the weights alone do not fit"),
        (20, {}, "too little", "fewer than one answer at 32,768; -c engine.max_model_len=16384"),
        (20, {"kv_cache_memory_bytes": 2 << 30}, "too little", "2.00 GiB, 16,384 tokens, fewer than one answer"),
        (60, {"kv_cache_memory_bytes": 8 << 30}, "estimate", "8.00 GiB, 65,536 tokens, 2.0 answers at full length"),
        (60, {"kv_cache_memory_bytes": 50 << 30}, "too little", "50.00 GiB are asked for, 44.21 GiB are left"),
        (
            60,
            {"gpu_memory_utilization": 0.98},
            "too little",
            "62.72 GiB are asked for (98% of a NUMA node's), 60.00 GiB",
        ),
        (60, {"gpu_memory_utilization": 0.5}, "estimate", "18.21 GiB, 149,186 tokens"),
        (30, {"tensor_parallel_size": 2}, "estimate", "answers at full length"),
    ],
)
def test_on_a_cpu_weights_and_cache_are_compared_with_the_memory_that_is_free(
    free: int, engine: dict[str, Any], state: str, said: str
) -> None:
    machine = Memory(128 << 30, 2 * free << 30, free << 30, 64 << 30)
    size = footprint(TINY, [], engine)
    parallelism = Parallelism(
        tensor=engine.get("tensor_parallel_size", 1), utilization=engine.get("gpu_memory_utilization", 0.9)
    )
    lines = list(memory_on_cpu(size, parallelism, machine, size.context, engine))
    assert not any("GPU" in cell for line in lines for cell in line)
    assert lines[-1][1] == state, lines
    assert said in lines[-1][2], lines


def test_a_system_that_does_not_tell_its_memory_is_told_of() -> None:
    size = footprint(TINY, [], {})
    assert list(memory_on_cpu(size, Parallelism(), None, 1024, {}))[-1] == (
        "memory", "note", "this system does not say what is free, so nothing is compared"
    )  # fmt: skip
