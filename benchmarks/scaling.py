"""How evaluation scales: placement on a simulated cluster, workers on this machine, and what a job costs through Ray.

    python benchmarks/scaling.py [simulation] [workers] [ray] [--jobs N] [--output FILE]

Without a part, all of them. `simulation` runs the real `Placement` against a clock of events and draws the work from
recorded figures. `workers` and `ray` use the engine of this machine.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import anyio
import typer
from _cluster import Simulated, simulated
from _machine import machine, versions
from _workload import GIB, MEAN_SECONDS, MEDIAN_SECONDS, NOISE, OVERHEAD, SEED, Scenario, bounds, workload
from evaluator import MODEL, ours

from swerl_eval import registry
from swerl_eval.core.types import Job, Limits
from swerl_eval.demo.setup import SUITE, prepare
from swerl_eval.ports import Sandbox, SandboxSettings
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sources.datasets import load_rows

MAIN = Scenario()
SCENARIOS: Mapping[str, Scenario] = {
    f"{MAIN.slots} slots a node, {MAIN.in_flight:.0f} jobs in flight a slot": MAIN,
    "the same, 2 in flight a slot": replace(MAIN, in_flight=2),
    "the same, 4 in flight a slot": replace(MAIN, in_flight=4),
    "the same, all in flight": replace(MAIN, in_flight=1000),
    "the same, durations not known": replace(MAIN, longest_first=False),
    "the same, images of 30 GiB in all": replace(MAIN, images_gib=30),
    "the same, 80 % of the bytes in layers of one image": replace(MAIN, own_share=0.8),
    "2 slots a node": replace(MAIN, slots=2),
    "2 slots a node, durations not known": replace(MAIN, slots=2, longest_first=False),
    "8 slots a node": replace(MAIN, slots=8),
}
JOBS = 10_000
TIME_GOAL, BYTES_GOAL = 1.05, 1.2
SEEDS = range(5)
WORKERS, REPEATS = (1, 2, 4), 3


SOURCES = f"""
- Repositories and versions are those of SWE-bench Verified. Images of a version share a layer; their names tell the
  repository alone. One layer below all of them is as large as the mean of a version's.
- Durations are log-normal by instance, with a median of {MEDIAN_SECONDS} s and a mean of {MEAN_SECONDS} s: eval scripts
  of 55 instances of Verified on 2 cores (776 s with two workers, less 16.3 s for each instance beside its script).
  {OVERHEAD} s come on top ([evaluator](evaluator.md)). Assumed: jobs of an instance differ by {NOISE:.0%}.
- Images take {MAIN.images_gib:.0f} GiB, every layer once ([installation](../docs/install.md)); others report 30
  (epoch.ai/blog/swebench-docker). Assumed, since no source tells it: half of the bytes are in layers of one image
  alone, and the sizes of layers are log-normal (sigma 0.5).
- Assumed: a node pulls {MAIN.bandwidth / 1e6:.0f} MB a second, one image at a time; jobs that wait for it hold
  their slots.

A run asks for one instance after the other, {MAIN.samples} jobs at once, the longest first where durations are known,
and for no more jobs at a time than its limit. Bound of the time: all work over all slots, or the longest job with its
pull. Bound of the bytes, for a run of {TIME_GOAL} times that bound: each layer goes to as many nodes as the jobs of
its images need to end in time. Goals: {TIME_GOAL} times the time, {BYTES_GOAL} times the bytes.
"""
REMARKS = """\
- The bound of the bytes knows durations and versions ahead, and lets nodes be idle. The placement knows neither, and an
  idle node takes what waits, although another one has its layers.
- Where durations are not known, a long job that starts late ends late, wherever it runs.
- A decision is the real time of the placement for each job, all calls together.
"""


class Part(str, Enum):
    """What can be measured."""

    simulation = "simulation"
    workers = "workers"
    ray = "ray"


def simulation() -> Iterator[str]:
    """Our placement beside the first free node, over the scenarios."""
    yield "## Placement on a simulated cluster"
    yield ""
    yield f"{JOBS:,} jobs of {JOBS // MAIN.samples} images on {MAIN.nodes} nodes; the real `Placement`, seed {SEED}."
    yield from SOURCES.splitlines()
    yield ""
    yield "| | placement | time | against the bound | pulled | against the bound | images pulled | a decision |"
    yield "|---|---|---|---|---|---|---|---|"
    met: list[tuple[bool, bool]] = []
    for name, scenario in SCENARIOS.items():
        for label, naive in (("ours", False), ("first free node", True)):
            out, time_ratio, bytes_ratio = compared(scenario, naive=naive)
            if not naive:
                met.append((time_ratio <= TIME_GOAL, bytes_ratio <= BYTES_GOAL))
            yield (
                f"| {name} | {label} | {out.makespan:.0f} s | {time_ratio:.2f} "
                f"| {out.pulled / GIB:,.0f} GiB | {bytes_ratio:.2f} | {out.image_pulls:,} "
                f"| {out.placing / JOBS * 1000:.2f} ms |"
            )
    drawn = [compared(MAIN, seed=seed) for seed in SEEDS]
    times, pulled = [time for _, time, _ in drawn], [pulled for _, _, pulled in drawn]
    least = bounds(MAIN, workload(MAIN))
    yield ""
    yield f"- Of {len(met)} scenarios, our placement meets the goal of the time in {sum(time for time, _ in met)},"
    yield f"  that of the bytes in {sum(pulled for _, pulled in met)}, both in {sum(map(all, met))}."
    yield f"- The first scenario with {len(SEEDS)} other seeds: {min(times):.2f} to {max(times):.2f} times the time,"
    yield f"  {min(pulled):.2f} to {max(pulled):.2f} times the bytes."
    yield f"- In the first scenario, the work is {least.work:.0f} s for each slot; the longest job with its pull takes"
    yield f"  {least.longest:.0f} s. No node starts before its first pull, which takes {least.first_pull:.0f} s or more"
    yield "  and is not in the bound."
    yield from REMARKS.splitlines()


def compared(scenario: Scenario, *, naive: bool = False, seed: int = SEED) -> tuple[Simulated, float, float]:
    """What came out, and its time and bytes against the bounds."""
    work = workload(scenario, seed)
    least, out = bounds(scenario, work), simulated(scenario, work, naive=naive)
    return out, out.makespan / least.makespan, out.pulled / least.pulled


def workers() -> Iterator[str]:
    """Gold patches of the bundled suite by 1, 2 and 4 workers."""
    prepare(typer.echo)
    rows = load_rows(str(SUITE), None)
    yield "## Workers on this machine"
    yield ""
    yield f"{len(rows)} gold patches of the bundled suite, `swerl-eval evaluate --strict off` from start to end, images"
    yield f"in place, no cache; medians of {REPEATS} rounds with each number of workers in turn. Load of the machine"
    yield f"before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    yield ""
    walls: dict[int, list[float]] = {count: [] for count in WORKERS}
    for count in [*WORKERS] * REPEATS:
        with tempfile.TemporaryDirectory() as name:
            lines = [
                json.dumps(
                    {"instance_id": row["instance_id"], "model_name_or_path": MODEL, "model_patch": row["patch"]}
                )
                for row in rows
            ]
            (Path(name) / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            walls[count].append(ours(Path(name), str(SUITE.resolve()), count, "off").wall)
    yield "| workers | time | lowest | highest | patches a minute | against one worker |"
    yield "|---|---|---|---|---|---|"
    medians = {count: statistics.median(seconds) for count, seconds in walls.items()}
    for count, median in medians.items():
        yield (
            f"| {count} | {median:.1f} s | {min(walls[count]):.1f} s | {max(walls[count]):.1f} s "
            f"| {60 * len(rows) / median:.0f} | {medians[1] / median:.2f} |"
        )


async def paired(names: tuple[str, str], image: str, jobs: int) -> tuple[list[float], list[float]]:
    """Seconds of jobs that do nothing, through two sandboxes in turn; a first job of each is not counted."""
    sandboxes: list[Sandbox] = [
        registry.load("sandbox", name, SANDBOXES).open(SandboxSettings(workers=1)) for name in names
    ]
    seconds: tuple[list[float], list[float]] = ([], [])
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(jobs + 1):
                for sandbox, taken in zip(sandboxes, seconds, strict=True):
                    log = str(Path(folder) / "log")
                    job = Job("benchmark", image, "true", (), Limits(network="none"), 60.0, log)
                    began = time.perf_counter()
                    result = await sandbox.run(job)
                    if result.exit_code != 0:
                        message = f"a job that does nothing ended with exit code {result.exit_code}"
                        raise RuntimeError(message)
                    if number:
                        taken.append(time.perf_counter() - began)
    finally:
        for sandbox in sandboxes:
            await sandbox.aclose()
    return seconds


def through_ray(jobs: int, names: tuple[str, str] = ("docker", "ray")) -> Iterator[str]:
    """What a job costs more through Ray."""
    prepare(typer.echo)
    image = str(load_rows(str(SUITE), None)[0]["image"])
    plain, other = anyio.run(partial(paired, names, image, jobs))
    difference = statistics.median(other) - statistics.median(plain)
    yield "## A job through Ray"
    yield ""
    yield f"{jobs} jobs that run `true` through each sandbox, in turn, one at a time; Ray with a local cluster. Load of"
    yield f"the machine after: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores. Goal: under 50 ms more."
    yield ""
    yield "| sandbox | median | lowest | highest |"
    yield "|---|---|---|---|"
    for name, taken in zip(names, (plain, other), strict=True):
        yield f"| {name} | {statistics.median(taken):.3f} s | {min(taken):.3f} s | {max(taken):.3f} s |"
    yield ""
    yield f"Difference of the medians: {difference * 1000:.0f} ms."


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to measure; default: everything.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs through each sandbox, for `ray`.")] = 50,
    output: Annotated[Path | None, typer.Option(help="File to write the tables to.")] = None,
) -> None:
    """Print the tables, and write those that were made."""
    chosen = list(dict.fromkeys(parts or Part))
    command = " ".join(["python benchmarks/scaling.py", *(part.value for part in parts or ())])
    command += (f" --jobs {jobs}" if jobs != 50 else "") + (f" --output results/{output.name}" if output else "")
    packages = ["swerl-eval", "docker", *(["ray"] if Part.ray in chosen else [])]
    sections: dict[Part, Callable[[], Iterator[str]]] = {
        Part.simulation: simulation,
        Part.workers: workers,
        Part.ray: partial(through_ray, jobs),
    }
    lines = ["# Scaling", "", f"Made by `{command}`;", f"{versions(*packages)}; {machine()}."]
    typer.echo("\n".join(lines))
    for part in chosen:
        for line in chain([""], sections[part]()):
            typer.echo(line)
            lines.append(line.rstrip())
    if output:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
