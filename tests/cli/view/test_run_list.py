"""The list of runs: what it says of each, what it reads for it, and what it does not follow."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from swerl_eval.cli.view.run_list import NoSuchRunError, RunList, RunSummary
from swerl_eval.core.errors import InputError
from swerl_eval.progress import Progress
from swerl_eval.records.live_status import LIVE_FILE
from swerl_eval.records.manifest import read_manifest
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import write_reports
from tests.reports.comparison_runs import NAMES, made

BASE = "RRuu" * 3


def summary(results: Path, name: str = "r") -> RunSummary:
    return RunList(results).summary(name)


def report(folder: Path) -> None:
    with open_run(folder, read_manifest(folder)) as run:
        write_reports(run)


def beat(folder: Path, age: float = 0.0) -> None:
    status: dict[str, Any] = {"heartbeat": time.time() - age, **Progress(total=12).snapshot(("evaluate",))}
    (folder / LIVE_FILE).write_bytes(orjson.dumps(status))


def test_a_run_is_counted_as_its_report_counts_it(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "RRuie." * 2, strict="RuuRee" * 2)
    counted = summary(tmp_path)
    expected = build_report(Run(folder))
    assert (counted.total, counted.resolved, counted.strict) == (12, 4, expected["strict"]["resolved"])
    assert list(counted.interval) == expected["interval_95"]
    assert counted.verdicts == 12 - expected["verdicts"]["missing"]
    assert counted.complete is expected["complete"] is False
    report(folder)
    assert summary(tmp_path) == counted


@pytest.mark.parametrize("verdicts", [BASE, "RRuu" * 2 + "RRui", "RRuu" * 2 + "RRu."])
@pytest.mark.parametrize("strict", [True, False])
def test_a_run_is_finished_when_its_report_says_so(tmp_path: Path, verdicts: str, strict: bool) -> None:
    folder = made(tmp_path / "r", verdicts, config={"strict": strict})
    counted = summary(tmp_path)
    report(folder)
    assert counted == summary(tmp_path)
    assert counted.state == ("finished" if verdicts == BASE else "incomplete")
    assert counted.strict == (6 if strict else None)


def test_a_submission_of_some_instances_is_finished_with_these(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE[:8] + "....", submitted=tuple(NAMES[:8]))
    assert (summary(tmp_path).state, summary(tmp_path).verdicts) == ("finished", 8)


def test_a_current_report_is_believed_and_an_old_one_is_not(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE)
    report(folder)
    document = orjson.loads((folder / "report.json").read_bytes())
    (folder / "report.json").write_bytes(orjson.dumps({**document, "resolved": 11}))
    assert summary(tmp_path).resolved == 11
    os.utime(folder / "report.json", ns=(0, 0))
    assert summary(tmp_path).resolved == 6


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"total": "x"}', b"\xff"])
def test_a_report_that_is_none_is_passed_over(tmp_path: Path, content: bytes) -> None:
    folder = made(tmp_path / "r", BASE)
    (folder / "report.json").write_bytes(content)
    assert (summary(tmp_path).resolved, summary(tmp_path).error) == (6, "")


def test_states_of_a_run_whose_process_is_or_was_there(tmp_path: Path) -> None:
    half = made(tmp_path / "half", BASE[:-1] + ".")
    whole = made(tmp_path / "whole", BASE)
    for folder in (half, whole):
        beat(folder)
    runs = RunList(tmp_path)
    assert [run.state for run in runs.summaries()] == ["running", "running"]
    assert runs.live_status("half") is not None
    for folder in (half, whole):
        beat(folder, age=60)
    assert {run.name: run.state for run in runs.summaries()} == {"half": "stopped", "whole": "finished"}
    assert runs.live_status("half") is None
    (half / LIVE_FILE).unlink()
    assert runs.summary("half").state == "incomplete"


def test_the_newest_run_comes_first_and_unreadable_ones_last(tmp_path: Path) -> None:
    made(tmp_path / "old", BASE, created_at="2026-01-01T00:00:00+00:00")
    made(tmp_path / "new", BASE, created_at="2026-02-01T00:00:00+00:00")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    runs = RunList(tmp_path)
    assert [run.name for run in runs.summaries()] == ["new", "old", "broken"]
    assert "not a manifest of this program" in runs.summary("broken").error
    assert runs.folders({"new", "old"}) == [tmp_path / "old", tmp_path / "new"]


def test_a_broken_journal_hides_neither_the_run_nor_the_others(tmp_path: Path) -> None:
    made(tmp_path / "fine", BASE)
    bad = made(tmp_path / "bad", BASE)
    with (bad / "evaluations.jsonl").open("ab") as file:
        file.write(b"{\n")
    runs = {run.name: run for run in RunList(tmp_path).summaries()}
    assert runs["fine"].error == ""
    assert "evaluations.jsonl, byte" in runs["bad"].error
    assert (runs["bad"].model, runs["bad"].total) == ("org/model", 12)


def test_a_run_that_is_mended_is_read_again(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE)
    manifest = (folder / "run.json").read_bytes()
    runs = RunList(tmp_path)
    (folder / "run.json").write_bytes(b"{")
    assert runs.summary("r").error
    (folder / "run.json").write_bytes(manifest)
    assert (runs.summary("r").error, runs.summary("r").resolved) == ("", 6)


def test_nothing_is_read_again_that_has_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "r", BASE)
    runs = RunList(tmp_path)
    first = runs.summaries()
    opened: list[str] = []
    plain = Path.open

    def counted(path: Path, *rest: Any, **more: Any) -> Any:
        opened.append(path.name)
        return plain(path, *rest, **more)

    monkeypatch.setattr(Path, "open", counted)
    assert runs.summaries() == first
    assert opened == []
    made(tmp_path / "other", BASE)
    opened.clear()
    assert len(runs.summaries()) == 2
    assert set(opened) == {"run.json", "selections.jsonl", "evaluations.jsonl"}


def test_folders_that_are_no_runs_are_not_there(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert RunList(tmp_path).names() == ["r"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "nowhere", "r/", "./r", "../results/r", "r/../r", "R", "/etc", "r\0", "file", "linked"]
)
def test_only_a_run_of_the_folder_has_a_folder(tmp_path: Path, name: str) -> None:
    results = tmp_path / "results"
    made(results / "r", BASE)
    (results / "file").write_text("x")
    made(tmp_path / "elsewhere", BASE)
    (results / "linked").symlink_to(tmp_path / "elsewhere")
    runs = RunList(results)
    assert runs.folder("r") == results / "r"
    for look in (runs.folder, runs.summary, runs.verdicts, runs.live_status):
        with pytest.raises(NoSuchRunError, match="there is no run"):
            look(name)


@pytest.mark.parametrize("name", ["run.json", "evaluations.jsonl", "report.html", "logs", "live.json"])
def test_a_link_in_a_run_is_not_followed(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path / "results" / "r", BASE)
    outside = tmp_path / "outside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    else:
        outside.write_text("secret")
    (folder / name).symlink_to(outside)
    runs = RunList(tmp_path / "results")
    assert name in runs.summary("r").error
    for look in (runs.folder, runs.verdicts, runs.live_status):
        with pytest.raises(InputError, match="links are not followed"):
            look("r")


def test_a_pipe_in_a_run_makes_nobody_wait(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE)
    (folder / "selections.jsonl").unlink()
    os.mkfifo(folder / "selections.jsonl")
    assert "neither file nor folder (selections.jsonl)" in summary(tmp_path).error


def test_a_name_without_an_address_is_an_error_of_that_run_alone(tmp_path: Path) -> None:
    made(tmp_path / "fine", BASE)
    made(tmp_path / "r", BASE)
    (tmp_path / "r").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    runs = RunList(tmp_path).summaries()
    assert [run.error != "" for run in runs] == [False, True]
    assert "rename the folder" in runs[1].error


def test_a_path_of_a_dataset_is_shown_by_its_last_part(tmp_path: Path) -> None:
    made(tmp_path / "a", BASE, config={"dataset": "/data/suites/mine.parquet"})
    made(tmp_path / "b", BASE, config={"dataset": "SWE-bench/SWE-bench_Verified"})
    shown = {run.name: run.dataset_name for run in RunList(tmp_path).summaries()}
    assert shown == {"a": "mine.parquet", "b": "SWE-bench/SWE-bench_Verified"}
