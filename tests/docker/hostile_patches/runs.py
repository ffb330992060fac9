"""Makes the patches with git, and runs both harnesses on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from official import swebench_eval

from hostile_patches import INSTANCE, Link, Patch
from hostile_patches.greedy import printing
from swerl_eval.core.types import Evaluation, Instance, Limits, Oracle, Verdict
from swerl_eval.demo.setup import PACKAGES, SUITE
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from swerl_eval.sources.datasets import load_rows

OWNER = "hostile-patches"
TIMEOUT = 30
"""Seconds. An honest run takes one or two, and was seen to take 17 on a machine that was busy with other things."""
LIMITS = Limits(memory=512 * 2**20, cpus=1.0, pids=128, network="none", disk=200_000_000)
WORKERS = OFFICIAL_WORKERS = 3


@dataclass(frozen=True)
class Official:
    """What the official harness made of a patch."""

    verdict: Verdict
    tests_status: Any = None


def rows() -> dict[str, dict[str, Any]]:
    """The bundled suite's rows by instance."""
    return {row["instance_id"]: row for row in load_rows(str(SUITE), None)}


def row_of(patch: Patch, number: int, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row that a patch is run on, under an id of its own: a file of predictions holds one patch an instance."""
    row = known[patch.instance]
    return {**(patch.row(row) if patch.row else row), "instance_id": key(patch, number)}


def key(patch: Patch, number: int) -> str:
    """The instance id that a patch is run under."""
    return f"{patch.instance}-h{number:02}"


def texts(patches: Sequence[Patch], folder: Path) -> list[str]:
    """The patches' diffs, made by git in a folder."""
    known, trees = rows(), {}
    made = []
    for patch in patches:
        row = known[patch.instance]
        name = row["repo"].split("/")[1]
        if name not in trees:
            trees[name] = folder / name
            shutil.copytree(PACKAGES / name, trees[name], ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
            git(trees[name], "init", "--quiet")
            git(trees[name], "add", "--all", "--force")
            git(trees[name], "commit", "--quiet", "--message", "base")
        made.append(_diff(patch, trees[name], row["patch"]))
    return made


def _diff(patch: Patch, tree: Path, gold: str) -> str:
    if patch.gold:
        git(tree, "apply", "-", stdin=gold)
    for path, content in patch.files.items():
        file = tree / path
        if content is None:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            file.unlink(missing_ok=True)
            file.symlink_to(content.target)
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else content(file.read_text() if file.exists() else ""))
    for path in patch.executable:
        (tree / path).chmod(0o755)
    git(tree, "add", "--all", "--force")
    text = git(tree, "diff", "--cached", "--binary", "--find-renames", "HEAD")
    git(tree, "reset", "--quiet", "--hard")
    git(tree, "clean", "--quiet", "-dffx")
    return patch.change(text) if patch.change else text


def git(tree: Path, *arguments: str, stdin: str = "") -> str:
    """Git with no configuration but this."""
    options = {
        "user.name": "x",
        "user.email": "x@example.invalid",
        "core.autocrlf": "false",
        "core.hooksPath": "/dev/null",
    }
    configured = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *configured, *arguments],
        cwd=tree,
        env=environment,
        input=stdin.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def run_ours(patches: Sequence[Patch], diffs: Sequence[str], folder: Path) -> list[Evaluation]:
    """Our verdicts, a few patches at a time on one engine; the logs of patch N lie in `folder/N`."""
    known = rows()
    settings = EvaluateSettings(timeout=TIMEOUT, limits=LIMITS)
    done: dict[int, Evaluation] = {}

    async def main() -> None:
        sandbox = DockerSandbox.open(SandboxSettings(OWNER, workers=WORKERS))
        evaluator = Evaluator(sandbox, settings)
        free = anyio.CapacityLimiter(WORKERS)

        async def one(number: int, patch: Patch) -> None:
            row = row_of(patch, number, known)
            async with free:
                done[number] = await evaluator.evaluate(
                    EvaluationRun(instance(row), oracle(row), diffs[number], folder / str(number))
                )

        try:
            async with anyio.create_task_group() as group:
                for number, patch in enumerate(patches):
                    group.start_soon(one, number, patch)
        finally:
            await sandbox.aclose()

    anyio.run(main)
    return [done[number] for number in range(len(patches))]


def instance(row: dict[str, Any]) -> Instance:
    """As sources make it of a row."""
    return Instance(row["instance_id"], row["repo"], row["base_commit"], row["problem_statement"], row["image"])


def oracle(row: dict[str, Any]) -> Oracle:
    """As sources make it of a row."""
    return Oracle(row["instance_id"], row["patch"], row["test_patch"], row)


def run_official(patches: Sequence[Patch], diffs: Sequence[str], folder: Path) -> list[Official | None]:
    """The official harness's verdicts, by one call of `swebench eval`; None where it is not run."""
    known = rows()
    chosen = [number for number, patch in enumerate(patches) if patch.official is not None]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w") as dataset, (folder / "predictions.jsonl").open("w") as predictions:
        for number in chosen:
            row = row_of(patches[number], number, known)
            dataset.write(json.dumps(row) + "\n")
            prediction = {
                "instance_id": row["instance_id"],
                "model_name_or_path": "hostile",
                "model_patch": diffs[number],
            }
            predictions.write(json.dumps(prediction) + "\n")
    said = swebench_eval(
        folder,
        folder / "rows.jsonl",
        folder / "predictions.jsonl",
        "hostile",
        workers=OFFICIAL_WORKERS,
        timeout=TIMEOUT,
    )
    logs = folder / "logs" / "run_evaluation" / "hostile" / "hostile"
    if len(list(logs.glob("*/run_instance.log"))) < len(chosen):
        message = f"swebench eval ended early: {said}"
        raise RuntimeError(message)
    return [
        _official(logs / key(patch, number), key(patch, number)) if number in chosen else None
        for number, patch in enumerate(patches)
    ]


def _official(logs: Path, instance_id: str) -> Official:
    if (logs / "report.json").exists():
        report = json.loads((logs / "report.json").read_text())[instance_id]
        verdict = Verdict.RESOLVED if report["resolved"] else Verdict.UNRESOLVED
        return Official(verdict, report.get("tests_status"))
    log = (logs / "run_instance.log").read_text(errors="replace")
    if ">>>>> Patch Apply Failed" in log:
        return Official(Verdict.PATCH_FAILED)
    return Official(Verdict.TIMED_OUT if "Test timed out after" in log else Verdict.INFRA_ERROR)


@dataclass(frozen=True)
class Both:
    """What both harnesses made of each patch, in order; the logs of patch N are in `logs/N`."""

    diffs: list[str]
    ours: list[Evaluation]
    official: list[Official | None]
    logs: Path


def run_both(patches: Sequence[Patch], folder: Path) -> Both:
    """Side by side: either one waits half of the time."""
    diffs = texts(patches, folder / "trees")
    with ThreadPoolExecutor(max_workers=1) as thread:
        official = thread.submit(run_official, patches, diffs, folder / "official")
        ours = run_ours(patches, diffs, folder / "ours")
        return Both(diffs, ours, official.result(), folder / "ours")


def flood(megabytes: int, folder: Path) -> dict[str, Any]:
    """Verdict, seconds and peak memory of a fresh process that evaluates a patch which prints so much."""
    done = subprocess.run(
        [sys.executable, "-m", "hostile_patches.runs", str(megabytes), str(folder)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _flood(megabytes: int, folder: Path) -> dict[str, Any]:
    patch = Patch("", "greedy", {"inkwell/__init__.py": lambda text: text + printing(megabytes)}, gold=True)
    row = rows()[INSTANCE]
    (diff,) = texts([patch], folder / "trees")

    async def main() -> Evaluation:
        sandbox = DockerSandbox.open(SandboxSettings(f"{OWNER}-flood", workers=1))
        try:
            evaluator = Evaluator(sandbox, EvaluateSettings(timeout=300, limits=LIMITS))
            return await evaluator.evaluate(EvaluationRun(instance(row), oracle(row), diff, folder / "logs"))
        finally:
            await sandbox.aclose()

    start = time.perf_counter()
    evaluation = anyio.run(main)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {
        "verdict": evaluation.verdict.value,
        "strict": evaluation.strict.value if evaluation.strict else None,
        "truncated": evaluation.log_truncated,
        "seconds": evaluation.seconds,
        "both_runs": time.perf_counter() - start,
        "peak": next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_flood(int(sys.argv[1]), Path(sys.argv[2]))))
