"""The exports as tables, read back by other readers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.types import Selection
from swerl_eval.records.run_folder import reopen_run
from swerl_eval.reports.exports.csv_table import CsvExporter
from swerl_eval.reports.exports.instance_rows import COLUMNS
from swerl_eval.reports.exports.parquet_table import ParquetExporter
from tests.reports.exported_runs import BROKEN, EMPTY, FACTS, FAILING, FIXED, PATCH, STUCK, WAITING, make

OLD = Path(__file__).parents[1] / "data" / "run-folder-0.1"
ROWS: dict[str, dict[str, Any]] = {
    FIXED: {
        "instance_id": FIXED, "repo": "a/a", "year": 2020, "difficulty": "<15 min fix", "verdict": "resolved",
        "strict": "unresolved", "sample": 0, "votes": 2, "valid": 2, "unique": 1, "reward": 0.75,
        "fail_to_pass_passed": 2, "fail_to_pass_total": 2, "pass_to_pass_passed": 2, "pass_to_pass_total": 2,
        "seconds": 12.5, "suspicious": "conftest.py is loaded", "reason": "`t.py::p1` passes without the change",
        "run_id": "run", "model": "org/model", "recorded": False, "patch_origin": "made", "patch": PATCH,
    },
    EMPTY: {
        "instance_id": EMPTY, "repo": "a/a", "year": 2020, "difficulty": "<15 min fix", "verdict": "empty_patch",
        "strict": "empty_patch", "sample": None, "votes": 0, "valid": 0, "unique": 0, "reward": None,
        "fail_to_pass_passed": None, "fail_to_pass_total": None, "pass_to_pass_passed": None,
        "pass_to_pass_total": None, "seconds": 12.5, "suspicious": None, "reason": "no valid sample",
        "run_id": "run", "model": "org/model", "recorded": False, "patch_origin": "made", "patch": None,
    },
    WAITING: {
        **dict.fromkeys(COLUMNS), "instance_id": WAITING, "repo": "b/b", "year": 2020, "difficulty": "1-4 hours",
        "verdict": "missing", "run_id": "run", "model": "org/model", "recorded": False, "patch_origin": "made",
    },
}  # fmt: skip


def parquet_of(run: Path, destination: Path) -> pyarrow.Table:
    (file,) = ParquetExporter().export(run, destination, {})
    assert file == destination / "instances.parquet"
    return pyarrow.parquet.read_table(file)


def csv_of(run: Path, destination: Path) -> list[dict[str, str]]:
    (file,) = CsvExporter().export(run, destination, {})
    assert file == destination / "instances.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("tables") / "run")


def test_parquet_has_a_row_for_each_instance_with_typed_columns(run: Path, tmp_path: Path) -> None:
    table = parquet_of(run, tmp_path)
    names = {str: "string", int: "int64", float: "double", bool: "bool"}
    assert {field.name: str(field.type) for field in table.schema} == {
        column: names[kind] for column, kind in COLUMNS.items()
    }
    rows = {row["instance_id"]: row for row in table.to_pylist()}
    assert list(rows) == sorted(FACTS)
    assert {name: rows[name] for name in ROWS} == ROWS
    assert rows[FAILING]["fail_to_pass_passed"] == 1
    assert (rows[BROKEN]["verdict"], rows[BROKEN]["reason"]) == ("infra_error", "the engine is gone")
    assert (rows[STUCK]["verdict"], rows[STUCK]["reason"]) == ("missing", "the clone failed")


def test_parquet_s_metadata_says_what_the_verdicts_were_measured_with(run: Path, tmp_path: Path) -> None:
    metadata = {key.decode(): value.decode() for key, value in parquet_of(run, tmp_path).schema.metadata.items()}
    assert (metadata["dataset"], metadata["dataset_sha256"], metadata["warning"]) == ("verified", "f" * 64, "")
    assert json.loads(metadata["limits"])["memory"] == "8g"
    assert json.loads(metadata["versions"]) == {"swebench": "5.0.2"}


def test_csv_has_the_same_rows_with_nothing_for_what_is_not_known(run: Path, tmp_path: Path) -> None:
    rows = {row["instance_id"]: row for row in csv_of(run, tmp_path)}
    assert list(rows) == sorted(FACTS)
    for name, row in ROWS.items():
        texts = {column: "" if value is None else str(value) for column, value in row.items()}
        assert rows[name] == {**texts, "recorded": "false"}


def test_patches_with_any_line_end_are_the_same_in_csv(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", FIXED)
    patch = 'diff a\r\n+"x",y\r\n\n'
    with reopen_run(folder) as run:
        run.selections.append(Selection(FIXED, 0, patch, "majority"))
    assert csv_of(folder, tmp_path / "out")[0]["patch"] == patch


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@sum", "\tx", "\rx"])
def test_no_cell_of_csv_is_a_formula_for_a_spreadsheet(text: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "run", FIXED)
    with reopen_run(folder) as run:
        run.selections.append(Selection(FIXED, 0, text, "majority"))
    assert csv_of(folder, tmp_path / "out")[0]["patch"] == f"'{text}"
    assert parquet_of(folder, tmp_path / "parquet")["patch"].to_pylist() == [text]


def test_a_negative_number_is_no_formula(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", FIXED)
    rewards = folder / "rewards.jsonl"
    rewards.write_text(rewards.read_text().replace("0.75", "-1.0"))
    assert csv_of(folder, tmp_path / "out")[0]["reward"] == "-1.0"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_patch_is_read_back_from_csv(tmp_path_factory: pytest.TempPathFactory, patch: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    run = make(folder / "run", WAITING)
    with reopen_run(run) as opened:
        opened.selections.append(Selection(WAITING, 0, patch, "majority"))
    assert csv_of(run, folder / "out")[0]["patch"].removeprefix("'") == patch.removeprefix("'")


def test_an_old_run_folder_has_its_rows(tmp_path: Path) -> None:
    rows = parquet_of(OLD, tmp_path).to_pylist()
    assert [(row["instance_id"], row["repo"], row["verdict"]) for row in rows] == [
        ("demo__ledgerly-1", "demo/ledgerly", "resolved"),
        ("demo__ledgerly-3", "demo/ledgerly", "empty_patch"),
    ]
