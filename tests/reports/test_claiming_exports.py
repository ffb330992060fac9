"""The exports that speak for a model on a whole published split, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml, parse_eval_result_entries

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Selection
from swerl_eval.records.run_folder import reopen_run
from swerl_eval.reports.exports.hub_results import HubExporter
from swerl_eval.reports.exports.sb_cli import SbCliExporter
from tests.reports.exported_runs import FIXED, PATCH, WAITING, make, make_whole_split

COMMIT = "0123456789abcdef" * 2 + "01234567"
DETAILS = {"site": "https://example.org/run", "name": "Model 7B", "user": "someone"}
EXPORTERS: dict[str, Any] = {"hub": HubExporter, "sb-cli": SbCliExporter}


def hub(run: Path, destination: Path, details: dict[str, Any] | None = None) -> EvalResultEntry:
    (file,) = HubExporter().export(run, destination, details or {})
    assert file == destination / ".eval_results" / "swe-bench_verified.yaml"
    written = yaml.safe_load(file.read_text("utf-8"))
    (entry,) = parse_eval_result_entries(written)
    assert eval_result_entries_to_yaml([entry]) == written
    return entry


def sb_cli(run: Path, destination: Path, details: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    predictions, _ = SbCliExporter().export(run, destination, details or {})
    rows: list[dict[str, Any]] = json.loads(predictions.read_text("utf-8"))
    return rows


# -- hub


def test_the_result_is_an_entry_of_the_hub_s_own_format(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", config={"dataset": f"SWE-bench/SWE-bench_Verified@{COMMIT}"})
    assert hub(run, tmp_path / "out", DETAILS) == EvalResultEntry(
        dataset_id="SWE-bench/SWE-bench_Verified",
        task_id="swe_bench_%_resolved",
        value=41.0,
        dataset_revision=COMMIT,
        date="2026-01-01",
        source_url="https://example.org/run",
        source_name="Model 7B",
        source_user="someone",
        notes="swerl-eval 0.1.0 (Agentless Mini), 500 repair samples an instance, one patch submitted; 205 of 500 "
        "resolved by swebench 5.0.2",
    )


def test_without_a_site_there_is_no_source_and_a_branch_is_no_revision(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", config={"dataset": "verified@main", "samples": 1})
    entry = hub(run, tmp_path / "out", {"name": "Model 7B"})
    assert (entry.source_url, entry.source_name, entry.dataset_revision) == (None, None, None)
    assert entry.notes is not None
    assert "1 repair sample an instance" in entry.notes


@pytest.mark.parametrize("dataset", ["verified", "princeton-nlp/SWE-bench_Verified", "swe-bench/swe-bench_verified"])
def test_other_names_of_the_dataset_mean_the_same(dataset: str, tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", resolved=1, config={"dataset": dataset})
    entry = hub(run, tmp_path / "out")
    assert (entry.dataset_id, entry.value) == ("SWE-bench/SWE-bench_Verified", 0.2)


def test_the_hub_takes_no_results_of_lite(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", total=300, config={"dataset": "lite"})
    with pytest.raises(UsageError, match=r"^--to hub: SWE-bench/SWE-bench_Lite takes no results on the hub; only "):
        hub(run, tmp_path / "out")


def test_an_incomplete_run_is_no_result(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run")
    with reopen_run(run) as opened:
        opened.selections.append(Selection("c__c-007", 1, "another", "majority"))  # it has no verdict yet
    with pytest.raises(UsageError, match=rf"^--to hub is for complete runs; resume {run} first"):
        hub(run, tmp_path / "out")


def test_a_part_of_the_split_is_no_result_whatever_the_submitter_says(tmp_path: Path) -> None:
    run = make(tmp_path / "run", FIXED, config={"limit": 1})
    expected = (
        r"^--to hub is for whole splits; this run has 1 of the 500 instances of SWE-bench/SWE-bench_Verified \(test\), "
        r"chosen by limit$"
    )
    with pytest.raises(UsageError, match=expected):
        hub(run, tmp_path / "out", {"partial": True})


def test_a_source_that_is_no_address_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run")
    with pytest.raises(UsageError, match=r"^swe-bench_verified\.yaml is not written, .* source\.url: "):
        hub(run, tmp_path / "out", {"site": "example.org"})
    assert not (tmp_path / "out").exists()


# -- sb-cli


def test_the_predictions_are_a_list_of_one_model_s_patches_and_the_report_has_sb_cli_s_name(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "nightly", model_name="org/model-7b")
    rows = sb_cli(run, tmp_path / "out")
    assert len({row["instance_id"] for row in rows}) == len(rows) == 500
    assert rows[0] == {"instance_id": "c__c-000", "model_name_or_path": "org/model-7b", "model_patch": PATCH}
    assert {row["model_name_or_path"] for row in rows} == {"org/model-7b"}
    report = json.loads((tmp_path / "out" / "swe-bench_verified__test__nightly.json").read_text("utf-8"))
    assert (report["schema_version"], report["total_instances"], report["resolved_instances"]) == (2, 500, 205)


@pytest.mark.parametrize(("split", "total"), [("test", 300), ("dev", 23)])
def test_lite_has_two_splits(split: str, total: int, tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "r", resolved=1, total=total, config={"dataset": "lite", "split": split})
    assert len(sb_cli(run, tmp_path / "out")) == total
    assert (tmp_path / "out" / f"swe-bench_lite__{split}__r.json").exists()


def test_handed_in_patches_can_be_submitted(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", patches="handed in")
    assert len(sb_cli(run, tmp_path / "out")) == 500


def test_a_part_is_submitted_only_if_the_submitter_says_so(tmp_path: Path) -> None:
    run = make(tmp_path / "run", FIXED)
    expected = (
        r"^--to sb-cli: this run has 1 of the 500 instances of SWE-bench/SWE-bench_Verified \(test\); say with -c "
        r"submission\.partial=true that this is meant$"
    )
    with pytest.raises(UsageError, match=expected):
        sb_cli(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [row["instance_id"] for row in sb_cli(run, tmp_path / "out", {"partial": True})] == [FIXED]


def test_missing_predictions_are_a_part_too(tmp_path: Path) -> None:
    config = {"dataset": "lite", "split": "dev"}
    run = make_whole_split(tmp_path / "run", resolved=1, total=23, config=config)
    with reopen_run(run) as opened:
        opened.selections.remove_if(lambda name: name == "c__c-022")
    with pytest.raises(
        UsageError, match=r"^--to sb-cli: this run has predictions for 22 of its 23 instances; say with "
    ):
        sb_cli(run, tmp_path / "out")
    assert len(sb_cli(run, tmp_path / "out", {"partial": True})) == 22


# -- both


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recorded": True}, "the answers were recorded, not sampled"),
        ({"patches": "gold"}, r"the patches are the dataset's own answers \(gold\), and no model's"),
    ],
)
def test_answers_that_are_no_model_s_are_refused(
    name: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run = make_whole_split(tmp_path / "run", **changes)
    with pytest.raises(UsageError, match=rf"^--to {name}: {words}"):
        EXPORTERS[name]().export(run, tmp_path / "out", {"partial": True})
    assert not (tmp_path / "out").exists()


def test_the_hub_refuses_a_run_that_was_told_the_files(tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", config={"localization": "oracle"})
    with pytest.raises(UsageError, match=r"^--to hub: the files to change were taken from the gold patches; run it "):
        hub(run, tmp_path / "out")


def test_the_hub_refuses_patches_of_an_unknown_maker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--to hub: the patches were handed in: who made them"):
        hub(make_whole_split(tmp_path / "run", patches="handed in"), tmp_path / "out")


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize(
    "config",
    [{"dataset": "/data/SWE-bench_Verified.parquet"}, {"split": "train"}, {"dataset": "other/SWE-bench_Verified"}],
)
def test_a_dataset_that_is_no_published_split_is_refused(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", config=config)
    with pytest.raises(
        UsageError, match=rf"^--to {name} is for runs of SWE-bench/SWE-bench_Verified \(test\), .*; choose"
    ):
        EXPORTERS[name]().export(run, tmp_path / "out", {"partial": True})


@pytest.mark.parametrize("name", EXPORTERS)
def test_more_instances_than_the_split_has_are_another_dataset(name: str, tmp_path: Path) -> None:
    run = make_whole_split(tmp_path / "run", total=501)
    with pytest.raises(
        UsageError, match=rf"^--to {name}: SWE-bench/SWE-bench_Verified has 500 instances in its split test"
    ):
        EXPORTERS[name]().export(run, tmp_path / "out", {"partial": True})


@pytest.mark.parametrize("value", ["true", 1])
def test_whether_a_part_is_meant_is_true_or_false(value: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^submission\.partial must be true or false, not "):
        sb_cli(make(tmp_path / "run", WAITING), tmp_path / "out", {"partial": value})
