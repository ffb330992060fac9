"""Rewards by execution, as a trainer asks for them, beside a loop over the official harness.

    python benchmarks/execution_reward.py [--workers N] [--output FILE]

32 answers, 4 to each of 8 instances of the bundled suite (recorded ones), in one call: ours with and without the strict
verdict, images in place, no verdict from a cache, the sandbox opened beforehand as between two steps of a training. The
official harness takes one patch of an instance in a run, so it is called 4 times, for the patches that we read from the
answers. Rewards are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from _machine import machine, versions

from swerl_eval.compose import open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Completion, Sample
from swerl_eval.demo.setup import ANSWERS, SUITE, prepare
from swerl_eval.integrations.execution import ExecutionReward
from swerl_eval.integrations.execution.pool import close_pools, files_named
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sources.datasets import load_rows
from swerl_eval.stages.read_candidates import read_answers

INSTANCES, GROUP = 8, 4
BIN = Path(sys.executable).parent
MODEL = "answers"


@dataclass(frozen=True)
class Measured:
    """What the rewards of all answers took."""

    wall: float
    containers: int
    rewards: Sequence[float | None]


def recorded() -> list[tuple[str, str]]:
    """The answers, with their instances: those of an instance one after the other."""
    lines = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
    repairs = [line for line in lines if line["stage"] == "repair" and line["instance_id"] != "demo__ledgerly-3"]
    return [
        (line["instance_id"], answer["text"]) for line in repairs[:INSTANCES] for answer in line["completions"][:GROUP]
    ]


def ours(answers: list[tuple[str, str]], workers: int, *, strict: bool) -> Measured:
    """One call of `ExecutionReward`."""
    mirrors = RunConfig().cache_folder() / "demo"
    reward = ExecutionReward(
        dataset=str(SUITE), repositories=str(mirrors), workers=workers, reuse=False, strict=strict, timeout=120
    )
    names, texts = [name for name, _ in answers], [text for _, text in answers]
    reward(["no edit"], names[:1])  # opens the sandbox
    begun = time.monotonic()
    given = reward(texts, names)
    wall = time.monotonic() - begun
    containers = reward.pool.figures.run
    close_pools()
    return Measured(wall, containers, given)


def official(answers: list[tuple[str, str]], workers: int, patches: Sequence[str], folder: Path) -> Measured:
    """A loop over `swebench eval`."""
    rows = load_rows(str(SUITE), None)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rewards: list[float | None] = [-1.0] * len(answers)
    begun, containers = time.monotonic(), 0
    for round_ in range(GROUP):
        tried = [index for index in range(round_, len(answers), GROUP) if patches[index]]
        predictions = [
            {"instance_id": answers[index][0], "model_name_or_path": MODEL, "model_patch": patches[index]}
            for index in tried
        ]
        text = "".join(json.dumps(prediction) + "\n" for prediction in predictions)
        (folder / "predictions.jsonl").write_text(text, encoding="utf-8")
        command = [
            str(BIN / "swebench"), "eval", "rows.jsonl", "-p", "predictions.jsonl", "--run-id", f"round-{round_}",
            "-j", str(workers),
        ]  # fmt: skip
        environment = {**os.environ, "HF_DATASETS_OFFLINE": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"swebench eval failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        containers += len(tried)
        for index in tried:
            name = answers[index][0]
            report = folder / "logs" / "run_evaluation" / f"round-{round_}" / MODEL / name / "report.json"
            rewards[index] = float(json.loads(report.read_bytes())[name]["resolved"])
    return Measured(time.monotonic() - begun, containers, rewards)


def patches_of(answers: list[tuple[str, str]]) -> list[str]:
    """The patches that the answers give; empty where one gives none."""
    source = open_source(RunConfig(dataset=str(SUITE), repositories=str(RunConfig().cache_folder() / "demo")))
    instances = {instance.instance_id: instance for instance in source.instances()}
    patches = []
    for name, text in answers:
        snapshot = anyio.run(source.snapshot, instances[name])
        completion = Completion(text)
        texts = {path: snapshot.read(path) for path in files_named(completion, thinking=True)}
        shown = {path: content for path, content in texts.items() if content is not None}
        (candidate,) = read_answers([Sample(name, "repair", 0, completion, tuple(shown), "", 0)], shown, thinking=True)
        patches.append(candidate.patch)
    return patches


def table(workers: int, command: str) -> Iterator[str]:
    """The lines of the report."""
    answers = recorded()
    patches = patches_of(answers)
    with tempfile.TemporaryDirectory() as name:
        loop = official(answers, workers, patches, Path(name))
    measured = {
        "a loop over `swebench eval`": loop,
        "`ExecutionReward(strict=False)`": ours(answers, workers, strict=False),
        "`ExecutionReward()`": ours(answers, workers, strict=True),
    }
    engine = connect().version()["Version"]
    yield "# Rewards by execution"
    yield ""
    yield f"Made by `{command}`;"
    yield f"{versions('swerl-eval', 'swebench', 'docker')}, Docker engine {engine}; {machine()}."
    different = {(name, patch) for (name, _), patch in zip(answers, patches, strict=True) if patch}
    yield f"{len(answers)} recorded answers to {INSTANCES} instances of the bundled suite, {sum(map(bool, patches))} of"
    yield f"them with a patch, {len(different)} different patches; {workers} workers, images in place, no cache; one"
    yield "run each, one after the other."
    yield ""
    plain = measured["`ExecutionReward(strict=False)`"]
    equal = sum(one == other for one, other in zip(plain.rewards, loop.rewards, strict=True))
    yield f"{equal} of {len(answers)} rewards are those of the official harness."
    yield ""
    yield "| | wall time | patches run | rewards a minute |"
    yield "|---|---|---|---|"
    for label, found in measured.items():
        yield f"| {label} | {found.wall:.1f} s | {found.containers} | {60 * len(answers) / found.wall:,.0f} |"
    yield ""
    yield "With the strict verdict, a resolved patch takes a second container, its control run."
    yield ""
    ratio = loop.wall / plain.wall
    yield f"- The same rewards take {ratio:.1f} times as long with the loop."


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    prepare(lambda line: print(line, file=sys.stderr))
    command = "python benchmarks/execution_reward.py"
    command += f" --workers {arguments.workers}" if arguments.workers != 2 else ""
    command += f" --output results/{arguments.output.name}" if arguments.output else ""
    lines = []
    for line in table(arguments.workers, command):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
