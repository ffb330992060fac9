"""Run folders read from Python, with a folder of an earlier version."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow
import pytest

import swerl_eval
from swerl_eval.api.tables import Records, _columns
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Candidate, Evaluation, Rejection, Sample, Verdict
from swerl_eval.records.journal import Journal

FOLDER = Path(__file__).parents[1] / "data" / "run-folder-0.1"
KINDS = (
    "localizations",
    "samples",
    "candidates",
    "reproductions",
    "regressions",
    "evidence",
    "selections",
    "evaluations",
    "rewards",
    "stored_failures",
)


@pytest.fixture
def run() -> swerl_eval.StoredRun:
    return swerl_eval.load_run(FOLDER)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_record_is_a_table_with_a_row_for_each(run: swerl_eval.StoredRun, kind: str) -> None:
    records = getattr(run, kind)()
    table = records.to_arrow()
    assert table.num_rows == len(records) == len(list(records))
    assert len(records.to_pandas()) == len(records)


def test_values_are_those_of_the_records(run: swerl_eval.StoredRun) -> None:
    for record, row in zip(run.samples(), run.samples().to_arrow().to_pylist(), strict=True):
        assert (row["completion_text"], row["files"]) == (record.completion.text, list(record.files))
    for evaluation, row in zip(run.evaluations(), run.evaluations().to_arrow().to_pylist(), strict=True):
        assert row["verdict"] == evaluation.verdict.value
        assert (json.loads(row["report"]) if row["report"] else None) == evaluation.report


def test_the_report_is_read_or_made_of_the_records(run: swerl_eval.StoredRun, tmp_path: Path) -> None:
    assert run.report["resolved"] == 1
    copy = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    (copy / "report.json").write_text('{"resolved": 7}', encoding="utf-8")
    assert swerl_eval.load_run(copy).report == {"resolved": 7}
    os.utime(copy / "evaluations.jsonl")  # a run that went on and was stopped
    assert swerl_eval.load_run(copy).report["resolved"] == 1


def test_verdicts_on_selected_patches_are_found_by_instance(run: swerl_eval.StoredRun) -> None:
    found = [run.evaluation(name) for name in run.instances]
    assert [each.verdict for each in found if each is not None] == [Verdict.RESOLVED, Verdict.EMPTY_PATCH]
    assert run.evaluation("no-such") is None


def test_a_table_without_records_has_the_same_columns(run: swerl_eval.StoredRun, tmp_path: Path) -> None:
    empty = Records(Candidate, Journal(tmp_path / "none.jsonl", Candidate, lambda record: record.index))
    assert empty.to_arrow().schema == run.candidates().to_arrow().schema


def test_text_that_no_table_can_hold_is_replaced() -> None:
    columns = {column.name: column for column in _columns(Candidate)}
    candidate = Candidate("a", 0, "p\ud800", rejection=Rejection.NO_EDIT)
    assert (columns["patch"].value(candidate), columns["rejection"].value(candidate)) == ("p?", "no_edit")
    assert columns["rejection"].value(Candidate("a", 1)) is None


def test_columns_have_plain_types(run: swerl_eval.StoredRun) -> None:
    types = dict(zip(run.samples().to_arrow().schema.names, run.samples().to_arrow().schema.types, strict=True))
    assert types["index"] == pyarrow.int64()
    assert types["completion_refused"] == pyarrow.bool_()
    assert types["completion_prompt_tokens"] == pyarrow.int64()
    assert types["files"] == pyarrow.list_(pyarrow.string())
    evaluations = run.evaluations().to_arrow().schema
    assert evaluations.field("seconds").type == pyarrow.float64()
    assert evaluations.field("report").type == pyarrow.string()


def test_a_folder_that_is_no_run_is_the_package_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        swerl_eval.load_run(tmp_path)


def test_records_are_typed(run: swerl_eval.StoredRun) -> None:
    assert all(isinstance(record, Sample) for record in run.samples())
    assert all(isinstance(record, Evaluation) for record in run.evaluations())
