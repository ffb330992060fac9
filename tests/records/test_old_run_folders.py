"""Run folders of earlier versions stay readable: every record, the report, exports, regrading, a resume.

`tests/data/run-folder-0.1` was made by version 0.1.0, by a run of two instances of the bundled suite with a server's
answers, tests and the strict verdict, and a later `report --regrade`. Nothing in it is to be changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from swerl_eval.config import RunConfig
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import MADE, Outcome, Rejection, Verdict
from swerl_eval.records.run_folder import Run, open_run

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data" / "run-folder-0.1"
RESOLVED, EMPTY = "demo__ledgerly-1", "demo__ledgerly-3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def swerl_eval(*arguments: object) -> str:
    """Run a command in the checkout, where the run's dataset lies; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "swerl_eval.cli.app", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_manifest_is_read() -> None:
    manifest = Run(OLD).manifest
    assert manifest.instance_ids == (RESOLVED, EMPTY)
    assert (manifest.run_id, manifest.model_name, manifest.recorded) == ("old", "org/model-7b", False)
    assert (manifest.patch_origin, manifest.without_prediction) == (MADE, ())
    assert manifest.versions["swebench"] == "5.0.2"


def test_every_kind_of_record_is_read() -> None:
    run = Run(OLD)
    names = [journal.path.stem for journal in run.journals]
    later = {"issues", "gold_patches", "failures"}
    assert set(names) - later == {file.stem for file in OLD.glob("*.jsonl") if file.stem != "events"}
    assert {journal.path.stem: len(journal) for journal in run.journals} == dict.fromkeys(later, 0) | {
        "samples": 17,
        "localizations": 2,
        "candidates": 6,
        "selections": 2,
        "evaluations": 2,
        "rewards": 6,
        "reproductions": 6,
        "regressions": 1,
        "evidence": 1,
        "machines": 1,
        "usage": 1,
        "regrades": 1,
    }
    assert all(list(journal.values()) for journal in run.journals if journal.path.stem not in later)


def test_records_say_what_they_said() -> None:
    run = Run(OLD)
    answer = run.samples.get((RESOLVED, "localize", 0))
    assert answer is not None
    # the second of two lines of this key, with the count of its tokens
    assert (answer.completion.text, answer.completion.prompt_tokens) == ("```\nledgerly/dates.py\n```", 421)
    rejections = [candidate.rejection for candidate in run.candidates.values()]
    assert rejections == [
        None, Rejection.NO_MATCH, None, Rejection.NO_EDIT, Rejection.UNKNOWN_PATH, Rejection.BAD_FORMAT,
    ]  # fmt: skip
    evidence = next(run.evidence.values())
    assert (evidence.outcomes, evidence.broken) == ((Outcome.RESOLVED, Outcome.RESOLVED), ())
    selection = run.selections.get(RESOLVED)
    assert selection is not None
    assert (selection.index, selection.votes, selection.valid, selection.unique) == (0, 2, 2, 1)
    evaluation = run.evaluation_of(RESOLVED)
    assert evaluation is not None
    assert evaluation.patch_sha256 == sha256(selection.patch)
    assert (evaluation.verdict, evaluation.strict) == (Verdict.RESOLVED, Verdict.RESOLVED)
    assert evaluation.suspicious == ("conftest.py is loaded by pytest beside the tests",)
    empty = run.evaluation_of(EMPTY)
    assert empty is not None
    assert empty.verdict is Verdict.EMPTY_PATCH


def test_the_report_is_made_from_it(folder: Path) -> None:
    report: dict[str, Any] = json.loads(swerl_eval("report", folder, "--format", "json"))
    assert report["sampling"]["samples"] == 6
    assert {verdict: count for verdict, count in report["verdicts"].items() if count} == {
        "resolved": 1,
        "empty_patch": 1,
    }


def test_its_saved_logs_are_graded_again_with_the_same_verdicts(folder: Path) -> None:
    """Also under control, which one file of the patch was left out of: `control.json` names it under an old key."""
    before = list(Run(folder).evaluations.values())
    assert json.loads((folder / "logs" / RESOLVED / "control.json").read_bytes())["aside"] == ["conftest.py"]
    printed = swerl_eval("report", folder, "--regrade")
    assert "1 logs graded again" in printed
    assert "Solve rate: 1/2 = 50.0 %" in printed
    assert list(Run(folder).evaluations.values()) == before


@pytest.mark.parametrize("form", ["swebench", "leaderboard", "experiments"])
@pytest.mark.slow
def test_it_is_exported(form: str, folder: Path, tmp_path: Path) -> None:
    details = {"name": "Model 7B", "site": "https://example.org", "authors": "A", "os_model": True, "os_system": True}
    options = [word for key, value in details.items() for word in ("-c", f"submission.{key}={json.dumps(value)}")]
    written = swerl_eval("export", folder, "--to", form, "-o", tmp_path / "export", *options).split()
    assert written
    assert all(Path(path).exists() for path in written)


def test_it_is_resumed_by_the_same_settings(folder: Path) -> None:
    manifest = Run(folder).manifest
    now = RunConfig(**manifest.config)
    same = replace(manifest, config=now.model_dump(mode="json"), identity=now.identity())
    with open_run(folder, same) as run:
        run.event("", "sample", "resumed")
    events = [orjson.loads(line)["event"] for line in (folder / "events.jsonl").read_bytes().splitlines()]
    assert events[-1] == "resumed"
    assert len(list(run.samples.values())) == 17
