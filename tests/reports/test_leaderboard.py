"""The runs of a folder side by side: rows, order, what is counted once, and what is skipped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swerl_eval.cli.app import app
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Regrade
from swerl_eval.records.run_folder import reopen_run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.schemas import RunLeaderboard
from swerl_eval.reports.leaderboard.build import build_leaderboard
from tests.reports.comparison_runs import CONFIG, made

HALF = "RRuu" * 3


def board(root: Path, depth: int = 4) -> dict[str, Any]:
    return check(RunLeaderboard, build_leaderboard(root, depth), "leaderboard.json")


def names(root: Path, depth: int = 4) -> list[str]:
    return [row["name"] for row in board(root, depth)["rows"]]


def test_a_row_has_the_figures_and_what_they_were_measured_with(tmp_path: Path) -> None:
    made(tmp_path / "nightly" / "monday", HALF[:-1] + "i", strict="uRuu" * 2 + "RRui", images="123123123123")
    (row,) = board(tmp_path)["rows"]
    digests = {key: row.pop(key) for key in ("identity_sha256", "records_sha256")}
    assert {len(digest) for digest in digests.values()} == {64}
    low, high = row.pop("interval_95")
    assert (round(low, 4), round(high, 4)) == (0.2538, 0.7462)
    images = row["pins"].pop("images_sha256")
    assert row == {
        "name": "monday",
        "folders": ["nightly/monday"],
        "model": "org/model",
        "patches": "made",
        "recorded": False,
        "complete": False,
        "resolved": 6,
        "total": 12,
        "solve_rate": 0.5,
        "strictly_resolved": 4,
        "strict_solve_rate": 4 / 12,
        "prevented": 1,
        "missing": 0,
        "samples": 1,
        "created_at": "2026-01-01T00:00:00+00:00",
        "pins": {
            "dataset": "verified",
            "dataset_sha256": "f" * 64,
            "split": "test",
            "harness": "swebench 5.0.2",
            "denominator": 12,
            "limits": {name: CONFIG[name] for name in ("memory", "cpus", "pids", "written", "network", "timeout")},
            "image_count": 3,
        },
    }
    made(tmp_path / "other", HALF, images="123123123124")
    (other,) = (row for row in board(tmp_path)["rows"] if row["name"] == "other")
    assert (other["pins"]["image_count"], other["pins"]["images_sha256"] == images) == (4, False)


def test_the_best_come_first_and_equal_ones_by_name(tmp_path: Path) -> None:
    for name, verdicts in {"b": HALF, "z/a": HALF, "c": "R" * 12, "d": "u" * 12}.items():
        made(tmp_path / name, verdicts)
    assert names(tmp_path) == ["c", "a", "b", "d"]


def test_the_dataset_and_the_harness_are_those_of_the_latest_grading(tmp_path: Path) -> None:
    with reopen_run(made(tmp_path / "r", HALF)) as run:
        run.regrades.append(Regrade("e" * 64, "5.1.0", 12, 0))
    (row,) = board(tmp_path)["rows"]
    assert (row["pins"]["dataset_sha256"], row["pins"]["harness"]) == ("e" * 64, "swebench 5.1.0")


def test_a_dataset_that_is_a_file_is_named_without_this_machine_s_folders(tmp_path: Path) -> None:
    made(tmp_path / "r", HALF, config={"dataset": "/home/somebody/secret/rows.parquet"})
    (row,) = board(tmp_path)["rows"]
    assert row["pins"]["dataset"] == "rows.parquet"


def test_copies_of_a_run_are_one_row_and_runs_that_differ_are_not(tmp_path: Path) -> None:
    run = made(tmp_path / "r", HALF)
    shutil.copytree(run, tmp_path / "backup" / "kept")
    (row,) = board(tmp_path)["rows"]
    assert row["folders"] == ["backup/kept", "r"]
    made(tmp_path / "again" / "r", HALF[:-1] + "e")
    made(tmp_path / "else" / "r", HALF, identity={"seed": 1})
    assert names(tmp_path) == ["r", "r", "r"]


def test_recorded_answers_gold_and_handed_in_patches_and_gaps_are_said(tmp_path: Path) -> None:
    made(tmp_path / "gold", "R" * 12, patches="gold", recorded=True)
    made(tmp_path / "recorded", "R" * 12, recorded=True)
    made(tmp_path / "theirs", HALF, patches="handed in", submitted=())
    made(tmp_path / "gaps", "RR" + "." * 10)
    assert [row["samples"] for row in board(tmp_path)["rows"]] == [1, 1, None, 1]
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "run       resolved  solve rate  95 % interval  strict  model      remarks",
        "gold      12/12     100.0 %     75.8 to 100.0  12      org/model  GOLD patches",
        "recorded  12/12     100.0 %     75.8 to 100.0  12      org/model  RECORDED answers",
        "theirs    6/12      50.0 %      25.4 to 74.6   6       org/model  patches handed in",
        "gaps      2/12      16.7 %      4.7 to 44.8    2       org/model  INCOMPLETE",
    ]


def test_folders_that_cannot_be_read_are_named_and_end_nothing(tmp_path: Path) -> None:
    made(tmp_path / "fine", HALF)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{")
    (made(tmp_path / "odd", HALF) / "evaluations.jsonl").write_text('{"a": 1}\n')
    made(tmp_path / "unpinned", HALF, config={"samples": "many"})
    content = board(tmp_path)
    assert [row["name"] for row in content["rows"]] == ["fine"]
    skipped = {entry["folder"]: entry["reason"] for entry in content["skipped"]}
    assert list(skipped) == ["odd", "torn", "unpinned"]
    assert skipped["torn"].startswith("torn/run.json: not a manifest of this program")
    assert skipped["odd"].startswith("odd/evaluations.jsonl, line 1")
    assert "samples" in skipped["unpinned"]
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path)])
    assert done.exit_code == 0
    assert "torn is skipped: torn/run.json: not a manifest" in done.stderr


def test_the_search_is_bounded_and_follows_no_link(tmp_path: Path) -> None:
    made(tmp_path / "a" / "b" / "c" / "deep", HALF)
    made(tmp_path / ".hidden" / "run", HALF)
    made(tmp_path / "top", HALF)
    made(tmp_path / "top" / "export" / "inner", HALF)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert [row["folders"] for row in board(tmp_path)["rows"]] == [["a/b/c/deep"], ["top"]]
    assert names(tmp_path, 3) == ["top"]
    assert names(tmp_path / "top") == ["top"]
    assert names(tmp_path, 0) == []


def test_the_file_is_the_same_each_time_and_replaced_as_a_whole(tmp_path: Path) -> None:
    made(tmp_path / "runs" / "a", HALF)
    made(tmp_path / "runs" / "b", HALF)
    file = tmp_path / "out" / "leaderboard.json"
    contents = []
    for _ in range(2):
        assert CliRunner().invoke(app, ["leaderboard", str(tmp_path / "runs"), "-o", str(file)]).exit_code == 0
        contents.append(file.read_bytes())
    assert contents[0] == contents[1]
    assert json.loads(contents[0]) == board(tmp_path / "runs")
    assert [path.name for path in file.parent.iterdir()] == ["leaderboard.json"]


def test_a_folder_without_runs_is_an_empty_board_and_no_folder_an_error(tmp_path: Path) -> None:
    assert board(tmp_path) == {"schema_version": 1, "rows": [], "skipped": []}
    done = CliRunner().invoke(app, ["leaderboard", "--results", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, f"no runs below {tmp_path}\n")
    with pytest.raises(UsageError, match="is no folder; name a folder of runs"):
        build_leaderboard(tmp_path / "nowhere")


def test_a_row_whose_denominator_is_another_one_is_not_written(tmp_path: Path) -> None:
    made(tmp_path / "r", HALF)
    content = board(tmp_path)
    content["rows"][0]["pins"]["denominator"] = 11
    with pytest.raises(UsageError, match=r"leaderboard\.json is not written, since it would be rejected: rows\.0: "):
        check(RunLeaderboard, content, "leaderboard.json")
    content["rows"][0]["pins"]["denominator"] = 12
    content["rows"][0]["complete"] = "false"
    with pytest.raises(UsageError, match=r"rows\.0\.complete: Input should be a valid boolean"):
        check(RunLeaderboard, content, "leaderboard.json")


def test_an_odd_folder_name_is_shown_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/odd\xff\x1b"
    os.mkdir(folder)  # noqa: PTH102  # a name that is no text
    (Path(os.fsdecode(folder)) / "run.json").write_text("{")
    (entry,) = board(tmp_path)["skipped"]
    assert entry["folder"] == "odd\\udcff\\x1b"
