"""`swerl-eval demo` as a user runs it: the table, and kills at random moments."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swerl_eval.compose import owner_of
from swerl_eval.demo.setup import SUITE
from swerl_eval.reports.first_screen import RECORDED
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL
from tests.docs.pages import same_everywhere

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images")]
PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
BY_VOTE = {"demo__inkwell-1", "demo__ledgerly-1", "demo__ledgerly-2", "demo__waypost-1", "demo__waypost-3"}
BY_TESTS = BY_VOTE | {"demo__inkwell-2", "demo__waypost-2"}
"""What the recorded answers come to (swerl_eval/demo/README.md)."""
KILLS = 10
IMAGE = "swebench/sweb.eval.x86_64.demo_1776_inkwell-9:latest"


def demo(folder: Path, *options: str) -> list[str]:
    """A run of every container: what is tested here is running, not remembering."""
    return [PROGRAM, "demo", "--results", str(folder), "--workers", "2", "--no-cache", *options]


def report(folder: Path) -> bytes:
    return (folder / "demo" / "report.json").read_bytes()


def containers(folder: Path) -> list[object]:
    """Those of the run in this folder; others may be at work on this engine."""
    mark = f"{OWNER_LABEL}={owner_of(folder / 'demo')}"
    containers: list[object] = connect().api.containers(all=True, filters={"label": mark})
    return containers


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("finished")
    environment = {**os.environ, "SWERL_EVAL_PAGE": ""}  # its page is named in what it prints
    done = subprocess.run(demo(folder), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


def test_the_demo_ends_with_its_table_and_says_that_answers_are_recorded(finished: Path) -> None:
    output = (finished / "stdout").read_text()
    assert "Solve rate: 7/9 = 77.8 %" in output
    assert output.rstrip().endswith(f"Report: {finished}/demo/report.json")
    assert RECORDED in " ".join(output.split())
    assert RECORDED in (finished / "stderr").read_text()
    rows = json.loads(report(finished))["instances"]
    assert {row["instance_id"] for row in rows if row["verdict"] == "resolved"} == BY_TESTS
    assert {row["instance_id"] for row in rows if row["plain_vote"]["verdict"] == "resolved"} == BY_VOTE


def test_the_scaling_table_tells_the_vote_from_the_choice_by_tests(finished: Path) -> None:
    def rates(*options: str) -> list[str]:
        command = [PROGRAM, "select", str(finished / "demo"), "--samples", "8", *options]
        environment = {**os.environ, "COLUMNS": "160"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert RECORDED in done.stdout
        return [line.split("│")[3].strip() for line in done.stdout.splitlines() if line.startswith("│")]

    assert rates("--tests", "0,1,3") == ["66.7 %", "77.8 %", "77.8 %"]
    assert rates("--tests", "0", "--regression", "off") == ["55.6 %"]
    assert rates("--tests", "3", "--regression", "off") == ["66.7 %"]


def test_killed_ten_times_at_random_moments_the_demo_ends_with_the_same_report(finished: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(demo(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 4.0))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if rng.random() < 0.4:  # what is stored is not to carry the run alone: start over now and then
            for journal in (tmp_path / "demo").glob("evaluations.jsonl"):
                journal.write_bytes(journal.read_bytes()[: rng.randrange(journal.stat().st_size + 1)])
    assert killed >= KILLS // 2
    assert subprocess.run(demo(tmp_path), capture_output=True, check=False).returncode == 0
    assert report(tmp_path) == report(finished)
    assert (tmp_path / "demo/all_preds.jsonl").read_bytes() == (finished / "demo/all_preds.jsonl").read_bytes()
    assert not containers(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_exits_130_leaves_no_container_and_can_be_resumed(
    finished: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(demo(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "demo" / "logs").glob("*/eval.sh")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.rstrip().endswith("swerl-eval: interrupted; the same command finishes the run")
    assert "Traceback" not in errors
    assert not containers(tmp_path)
    assert subprocess.run(demo(tmp_path), capture_output=True, check=False).returncode == 0
    assert report(tmp_path) == report(finished)


def test_another_configuration_is_refused_by_name(finished: Path) -> None:
    done = subprocess.run(demo(finished, "--timeout", "60"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "timeout: 120.0 there, 60.0 now" in done.stderr


def test_without_an_engine_the_remedy_is_said(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(demo(tmp_path), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "apt-get install docker.io" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_images_of_a_task_repository_are_built_checked_and_removed(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    shutil.copytree(SUITE, suite)
    (suite / "tasks/demo__inkwell-1").rename(suite / "tasks/demo__inkwell-9")
    task = suite / "tasks/demo__inkwell-9/task.yaml"
    task.write_text(task.read_text().replace("inkwell-1", "inkwell-9"))
    chosen = ["--dataset", str(suite), "-i", "demo__inkwell-9"]

    def images(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(
            [PROGRAM, "images", *arguments], capture_output=True, text=True, check=False, env=environment
        )

    missing = images("check", *chosen)
    assert missing.returncode == 1
    assert "1 missing: run `swerl-eval images pull`" in missing.stdout
    assert images("build", str(suite), "-i", "demo__inkwell-9").stdout == f"built {IMAGE}\n"
    assert images("check", *chosen).returncode == 0
    removed = images("prune", *chosen, "--yes")
    assert (removed.returncode, removed.stdout) == (0, "removed 1 images\n")
    assert images("check", *chosen).returncode == 1


def test_validate_passes_sound_instances_and_names_the_others(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    shutil.copytree(SUITE, suite)
    # a gold patch that solves something else
    shutil.copyfile(suite / "tasks/demo__inkwell-3/gold.patch", suite / "tasks/demo__inkwell-1/gold.patch")
    command = [PROGRAM, "validate", "--dataset", str(suite), "-i", "demo__inkwell-1,demo__ledgerly-1", "-j", "2"]
    done = subprocess.run([*command, "--results", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 of 2 instances are valid." in done.stdout
    offenders = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert any("demo__inkwell-1" in line and "unresolved" in line for line in offenders)
    assert not any("ledgerly" in line for line in offenders)
    quarantine = json.loads(next(tmp_path.glob("validate-suite-*/quarantine.json")).read_bytes())
    assert list(quarantine["instances"]) == ["demo__inkwell-1"]
    assert quarantine["instances"]["demo__inkwell-1"]["image_id"].startswith("sha256:")


def test_the_readme_prints_what_the_demo_prints(finished: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    printed = readme.partition("```text\n")[2].partition("```")[0]
    output = (finished / "stdout").read_text().replace(f"{finished}/", "results/")
    assert printed.splitlines() == [line.rstrip() for line in same_everywhere(output.splitlines())]
