"""`swerl-eval evaluate --predictions` as a user types it, without Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.demo.setup import SUITE
from swerl_eval.sources.datasets import load_rows

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")


def evaluate(predictions: object, results: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return command("-p", predictions, "--dataset", SUITE, "--results", results, "-c", "sandbox=scripted", *more)


def command(*options: object) -> subprocess.CompletedProcess[str]:
    """`swerl-eval evaluate` with these options."""
    arguments = [PROGRAM, "evaluate", *map(str, options)]
    env = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(arguments, capture_output=True, text=True, check=False, env=env, timeout=300)


def written(file: Path, patches: dict[str, Any], model: str = "nightly") -> Path:
    entries = [{"instance_id": name, "model_name_or_path": model, "model_patch": p} for name, p in patches.items()]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return file


def test_predictions_for_some_of_the_instances_are_divided_by_all_of_them(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", {"demo__inkwell-1": "x", "demo__waypost-2": ""})
    done = evaluate(file, tmp_path / "results", "--run-id", "r")
    assert done.returncode == 0, done.stderr
    missing = "Missing: 7 of 9 instances have no prediction and count as not solved (demo__inkwell-2, "
    assert missing in " ".join(done.stdout.split())
    assert "Solve rate: 0/9" in done.stdout
    report = json.loads((tmp_path / "results/r/report.json").read_bytes())
    assert (report["total"], report["submitted"], report["complete"]) == (9, 2, True)
    swebench = json.loads((tmp_path / "results/r/nightly.r.json").read_bytes())
    assert (swebench["total_instances"], swebench["submitted_instances"], len(swebench["incomplete_ids"])) == (9, 2, 7)
    assert not (tmp_path / "results/r/logs/demo__inkwell-2").exists()
    chosen = evaluate(file, tmp_path / "results", "--run-id", "s", "--instances", "demo__inkwell-*")
    assert "Solve rate: 0/3" in chosen.stdout
    assert "Missing: 2 of 3 instances" in chosen.stdout


def test_another_file_of_the_same_model_is_another_run_and_the_same_one_is_resumed(tmp_path: Path) -> None:
    first = written(tmp_path / "night1.jsonl", {"demo__inkwell-1": ""})
    second = written(tmp_path / "night2.jsonl", {"demo__inkwell-2": ""})
    codes = [evaluate(file, tmp_path / "results").returncode for file in (first, second, first)]
    assert codes == [0, 0, 0]
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_a_run_of_predictions_goes_on_without_them_or_says_that_it_needs_them(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", {"demo__inkwell-1": ""})
    assert evaluate(file, tmp_path, "--run-id", "r").returncode == 0
    refused = command("--run-id", "r", "--results", tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "swerl-eval: run r grades patches that were handed in: give them again with --predictions FILE\n",
    )
    gold = evaluate("gold", tmp_path, "--run-id", "g", "-i", "demo__inkwell-1")
    again = command("--run-id", "g", "--results", tmp_path)
    assert (again.returncode, again.stdout) == (gold.returncode, gold.stdout)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"model_name_or_path": "..", "model_patch": ""}, "p.jsonl, line 1: model_name_or_path '..' cannot name a"),
        ({"model_name_or_path": "m", "patch": "x"}, "p.jsonl, line 1: there is no model_patch (null or"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_anything_is_run(
    tmp_path: Path, entry: dict[str, str], problem: str
) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"instance_id": "demo__inkwell-1", **entry}))
    done = evaluate(file, tmp_path / "results")
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_run_id_that_makes_too_long_a_name_is_said_at_the_start(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", {"demo__inkwell-1": ""}, model="x" * 150)
    assert evaluate(file, tmp_path / "results").returncode == 0
    done = evaluate(file, tmp_path / "results", "--run-id", "y" * 100)
    assert done.returncode == 2
    assert "make a name of 256 bytes for swebench's run report, and 245 are possible; choose a shorter" in done.stderr


def test_one_row_that_swebench_cannot_read_fails_alone(tmp_path: Path) -> None:
    rows = load_rows(str(SUITE), None)[:3]
    rows[1]["image_assets"] = "{not JSON"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    done = evaluate("gold", tmp_path / "results", "--dataset", tmp_path / "rows.jsonl", "--run-id", "r")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{rows[1]['instance_id']}: swebench 5" in done.stderr
    report = json.loads((tmp_path / "results/r/report.json").read_bytes())
    assert [row["verdict"] for row in report["instances"]] == ["unresolved", "infra_error", "unresolved"]


def test_logs_are_graded_again_although_a_row_elsewhere_is_broken_or_a_log_is_gone(tmp_path: Path) -> None:
    rows = load_rows(str(SUITE), None)[:3]
    rows[2]["log_parser"] = "parse_log_of_a_later_version"
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    names = [str(row["instance_id"]) for row in rows[:2]]
    chosen = ["--dataset", file, "-i", ",".join(names), "--run-id", "r"]
    assert evaluate("gold", tmp_path / "results", *chosen).returncode == 0
    (tmp_path / "results/r/logs" / names[0] / "patch.diff").unlink()
    command = [PROGRAM, "report", str(tmp_path / "results/r"), "--regrade"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{names[0]}: not graded again: " in done.stderr
    assert "patch.diff cannot be read: No such file or directory" in done.stderr
    assert "1 logs graded again in " in done.stderr
