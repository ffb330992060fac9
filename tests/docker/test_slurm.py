"""The array of `docs/cluster/shards.sbatch` on a real Slurm: one task is cancelled and submitted again, then merged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from slurm import Slurm, cluster

from swerl_eval.demo.setup import demo_settings
from tests.conftest import PLAIN_VOTE, ROOT

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
SCRIPT = str(ROOT / "docs/cluster/shards.sbatch")
TASK_SECONDS = 300

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("demo_images")]


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    with cluster(tmp_path / "slurm") as running:
        yield running


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def submitted(slurm: Slurm, tasks: str, folder: Path) -> int:
    # as a user submits it, but for what this machine has less of
    smaller = ("--cpus-per-task=1", "--mem=0", "--time=10")
    options = ("--config", "run.toml", "--no-cache", "-j", "1")
    return slurm.submit(*smaller, f"--array={tasks}", SCRIPT, *options, folder=folder, SHARDS="3", SWERL_EVAL=PROGRAM)


def test_an_array_with_a_cancelled_task_merges_to_the_report_of_the_undivided_run(slurm: Slurm, tmp_path: Path) -> None:
    settings = {key: value for key, value in demo_settings().items() if key != "run_id"}
    (tmp_path / "run.toml").write_text(tomli_w.dumps(settings | PLAIN_VOTE))
    job = submitted(slurm, "1-3", tmp_path)
    while not list((tmp_path / "results/shard-2-of-3/logs").glob("*/eval.sh")):
        time.sleep(0.05)
    slurm.cancel(f"{job}_2")
    assert slurm.wait(job, TASK_SECONDS) == {1: "COMPLETED", 2: "CANCELLED", 3: "COMPLETED"}

    unfinished = command("merge", *shards(tmp_path), "--run-id", "unfinished", folder=tmp_path)
    assert unfinished.returncode == 1
    assert json.loads((tmp_path / "results/unfinished/report.json").read_bytes())["complete"] is False

    again = submitted(slurm, "2", tmp_path)
    assert slurm.wait(again, TASK_SECONDS) == {2: "COMPLETED"}
    merged = command("merge", *shards(tmp_path), "--run-id", "whole", folder=tmp_path)
    assert (merged.returncode, merged.stderr) == (0, "")
    undivided = command("run", "--config", "run.toml", "--results", "other", "--run-id", "whole", folder=tmp_path)
    assert undivided.returncode == 0, undivided.stderr
    assert (tmp_path / "results/whole/report.json").read_bytes() == (tmp_path / "other/whole/report.json").read_bytes()


def shards(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in sorted((folder / "results").glob("shard-*-of-3"))]
