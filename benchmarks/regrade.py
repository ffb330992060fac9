"""How fast saved logs are graded again, beside swebench's own way over the same logs.

    python benchmarks/regrade.py [--logs 500] [--sizes 8,200] [--rounds 1] [--output FILE]

Rows and logs are made up, from a seed: what `pytest -rA` prints, half of its lines captured output, half the summary of
one line a test. Ours is what `swerl-eval report RUN --regrade` does, with and without the saved control runs of the
strict verdict; swebench's is its `run_instance(rewrite_reports=True)` in its own pool of threads, as `swebench report`
calls it. Each runs in a fresh process, the best round counts. The reports are compared byte for byte. No container.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _machine import machine, versions

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Evaluation, Selection, Verdict
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import open_run

SEED = 7
RUN, MODEL = "benchmark", "model"
GRADED = 40
"""Tests that decide on an instance, of those that a log names."""
SCRIPT = "#!/bin/bash\nset -uxo pipefail\n: '>>>>> Start Test Output'\npytest -rA\n: '>>>>> End Test Output'\n"


@dataclass(frozen=True)
class Size:
    """What is made up."""

    logs: int
    kilobytes: int


def write(folder: Path, size: Size, *, strict: bool) -> None:
    """A run folder of ours, and the layout of swebench below `theirs` with links to the same logs."""
    rng = random.Random(SEED)
    names = [f"owner{number % 12}__project-{10000 + number}" for number in range(size.logs)]
    rows = []
    manifest = RunManifest(
        run_id=RUN,
        config={"dataset": str(folder / "rows.jsonl"), "strict": "on" if strict else "off"},
        identity={},
        instances={name: {} for name in names},
        dataset_fingerprint="",
        prompts={},
        versions={},
        model_name=MODEL,
        recorded=False,
        created_at="2025-01-01T00:00:00+00:00",
    )
    with open_run(folder / RUN, manifest) as run:
        for name in names:
            tests = [
                f"tests/test_{rng.randrange(90)}.py::TestModel::test_of_{k}[case-{k % 9}]"
                for k in range(6 * size.kilobytes + 50)
            ]
            logs = run.logs(name)
            logs.mkdir(parents=True)
            patch = f"diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-{name}\n+y\n"
            (logs / "patch.diff").write_text(patch)
            used = log(logs / "test_output.txt", tests, size, "PASSED")
            if strict:
                log(logs / "control_output.txt", tests, size, "FAILED")
                facts = {"aside": [], "exit_code": 1, "confirm_exit_code": -1, "timed_out": False, "clear": True}
                (logs / "control.json").write_text(json.dumps(facts))
            graded = rng.sample(used, min(GRADED, len(used)))
            rows.append(row(name, graded, patch))
            run.selections.append(Selection(name, 0, patch, "majority"))
            run.evaluations.append(
                Evaluation(name, sha256(patch), Verdict.UNRESOLVED, strict=Verdict.UNRESOLVED if strict else None)
            )
            theirs = folder / "theirs" / "logs" / "run_evaluation" / RUN / MODEL / name
            theirs.mkdir(parents=True)
            os.link(logs / "test_output.txt", theirs / "test_output.txt")
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


def log(path: Path, tests: list[str], size: Size, status: str) -> list[str]:
    """Write a log of about the size; the tests that it names."""
    head = "+ : '>>>>> Start Test Output'\n"
    tail = "\n+ : '>>>>> End Test Output'\nTEST_EXIT_CODE: 0\n" if status == "PASSED" else "\n>>>>> End Test Output\n"
    lines: list[str] = []
    used: list[str] = []
    left = size.kilobytes * 1000
    for number, test in enumerate(tests):
        captured = (
            f"{number:4} DEBUG project.module:module.py:{number % 300} looked up value_{number * 7} in the cache\n"
        )
        said = f"{status} {test}{' - AssertionError' if status == 'FAILED' else ''}\n"
        left -= len(captured) + len(said)
        if left < 0 and used:
            break
        lines.append(captured)
        used.append(said)
    path.write_text(head + "".join(lines) + "=== short test summary info ===\n" + "".join(used) + tail)
    return tests[: len(used)]


def row(name: str, graded: list[str], patch: str) -> dict[str, Any]:
    """A dataset's row."""
    return {
        "instance_id": name,
        "repo": name.replace("__", "/").rpartition("-")[0],
        "base_commit": "0" * 40,
        "problem_statement": "",
        "patch": patch.replace("+y", "+gold"),
        "test_patch": "diff --git a/tests/t.py b/tests/t.py\n--- a/tests/t.py\n+++ b/tests/t.py\n@@ -1 +1 @@\n-x\n+y\n",
        "FAIL_TO_PASS": json.dumps(graded[:3]),
        "PASS_TO_PASS": json.dumps(graded[3:]),
        "version": "1",
        "image": "none",
        "eval_script": SCRIPT,
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
    }


@dataclass(frozen=True)
class Seconds:
    """What a piece of work took."""

    wall: float
    cpu: float
    """Of all its processes: the steadier figure where others use the machine too."""

    @classmethod
    def now(cls) -> Seconds:
        """To be subtracted from a later one."""
        return cls(time.perf_counter(), sum(os.times()[:4]))

    def since(self, start: Seconds) -> Seconds:
        """What has passed."""
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)


def ours(folder: Path) -> Seconds:
    """What grading all logs of our run takes."""
    from swerl_eval.compose import rows_of
    from swerl_eval.evaluation.regrade import regrade
    from swerl_eval.official.harness import harness
    from swerl_eval.records.run_folder import reopen_run

    with reopen_run(folder / RUN) as run:
        source = rows_of(run)
        harness()  # the other side has its imports behind it too
        start = Seconds.now()
        regrade(run, source)
        return Seconds.now().since(start)


def theirs(folder: Path) -> Seconds:
    """What swebench takes for the same, with as many threads as there are cores."""
    from swebench.harness.run_evaluation import run_instance
    from swebench.harness.utils import make_test_spec, run_threadpool

    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    os.chdir(folder / "theirs")
    start = Seconds.now()
    payloads = []
    for each in rows:
        prediction = {"instance_id": each["instance_id"], "model_name_or_path": MODEL, "model_patch": "x"}
        payloads.append((make_test_spec(each), prediction, None, RUN, 1800, True))
    run_threadpool(run_instance, payloads, os.cpu_count() or 1)
    return Seconds.now().since(start)


def measured(work: str, size: Size, rounds: int, *, strict: bool) -> tuple[Seconds, Mapping[str, bytes]]:
    """The least that a round took, and the reports."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, size, strict=strict)
            done = subprocess.run(
                [sys.executable, __file__, "--child", work, name], capture_output=True, text=True, check=True
            )
            seconds.append(Seconds(*map(float, done.stdout.splitlines()[-1].split())))
            place = folder / RUN / "logs" if work == "ours" else folder / "theirs/logs/run_evaluation" / RUN / MODEL
            reports = {path.parent.name: path.read_bytes() for path in place.glob("*/report.json")}
    return Seconds(min(each.wall for each in seconds), min(each.cpu for each in seconds)), reports


def table(logs: int, sizes: list[int], rounds: int, command: str) -> Iterator[str]:
    """The lines of the report, each as soon as it is measured."""
    yield "# Grading saved logs again"
    yield ""
    yield f"Made by `{command}`;"
    yield f"{versions('swerl-eval', 'swebench')}; {machine()}; seed {SEED}."
    yield ""
    yield f"{logs} logs of each size, made up as `pytest -rA` prints them; the least of {rounds} rounds, each in a"
    yield "fresh process, start and imports left out. swebench's own way is its `run_instance(rewrite_reports=True)`"
    yield "in its pool of threads. The reports are the same to the byte. With the strict verdict a saved control run,"
    yield "as long as the log itself, is read for each too; swebench has nothing like it. Goal: 200 logs a second."
    yield ""
    yield "| a log | | wall clock | processor time |"
    yield "|---|---|---|---|"
    for kilobytes in sizes:
        size = Size(logs, kilobytes)
        mine, reports = measured("ours", size, rounds, strict=False)
        official, expected = measured("theirs", size, rounds, strict=False)
        assert len(reports) == logs and reports == expected, "the reports differ"
        both, _ = measured("ours", size, rounds, strict=True)
        for name, took, count in (
            ("ours", mine, logs),
            ("swebench's own", official, logs),
            ("ours with control runs, twice the logs", both, 2 * logs),
        ):
            cells = f"{count / took.wall:,.0f} logs/s | {1000 * took.cpu / count:.2f} ms/log"
            yield f"| {kilobytes} KB | {name} | {cells} |"
        yield f"| {kilobytes} KB | ratio | {official.wall / mine.wall:.1f} | {official.cpu / mine.cpu:.1f} |"


def main() -> None:
    """Print the table as it grows; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--logs", type=int, default=500)
    parser.add_argument("--sizes", default="8,200", help="kilobytes of a log, several with commas")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, help="file to write the table to")
    parser.add_argument("--child", nargs=2, metavar=("WORK", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        work, folder = arguments.child
        took = {"ours": ours, "theirs": theirs}[work](Path(folder))
        print(took.wall, took.cpu)
        return
    given = {"logs": 500, "sizes": "8,200", "rounds": 1}
    options = "".join(f" --{k} {getattr(arguments, k)}" for k, v in given.items() if getattr(arguments, k) != v)
    command = f"python benchmarks/regrade.py{options}"
    command += f" --output results/{arguments.output.name}" if arguments.output else ""
    lines = []
    for line in table(arguments.logs, [int(size) for size in arguments.sizes.split(",")], arguments.rounds, command):
        print(line, flush=True)
        lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
