from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from swerl_eval.core.errors import RunConflictError, RunLockedError, UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.records.manifest import RunManifest, read_manifest
from swerl_eval.records.run_folder import Run, open_run

MANIFEST = RunManifest(
    run_id="r",
    config={"dataset": "verified", "samples": 2},
    identity={"dataset": "verified", "samples": 2},
    instances={"a__b-1": {"repo": "a/b", "created_at": "2020-01-01", "difficulty": ""}},
    dataset_fingerprint="f" * 64,
    prompts={"repair": "0" * 64},
    versions={"swebench": "5.0.2"},
    model_name="m",
    recorded=False,
    created_at="2025-01-01T00:00:00+00:00",
)


def test_the_manifest_is_written_first_and_read_back(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", MANIFEST):
        pass
    assert read_manifest(tmp_path / "r") == MANIFEST
    assert Run(tmp_path / "r").manifest.instance_ids == ("a__b-1",)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"identity": {"dataset": "lite", "samples": 2}}, r"dataset: 'verified' there, 'lite' now"),
        ({"identity": {"dataset": "verified", "samples": 8}}, r"samples: 2 there, 8 now"),
        ({"dataset_fingerprint": "e" * 64}, "the dataset's content"),
        ({"prompts": {"repair": "1" * 64}}, "the prompt templates repair"),
        ({"versions": {"swebench": "5.1.0"}}, r"swebench 5.0.2 there, 5.1.0 now"),
    ],
)
def test_a_resume_under_another_configuration_is_refused_by_name(tmp_path: Path, change: dict, named: str) -> None:
    with open_run(tmp_path / "r", MANIFEST):
        pass
    with pytest.raises(RunConflictError, match=named):
        open_run(tmp_path / "r", replace(MANIFEST, **change))
    with open_run(tmp_path / "r", MANIFEST):
        pass  # the refusal let go of the lock


def test_what_only_changes_the_speed_is_no_other_configuration(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", MANIFEST):
        pass
    with open_run(tmp_path / "r", replace(MANIFEST, config={"workers": 9}, created_at="later")) as run:
        assert run.manifest.created_at == MANIFEST.created_at


BOUND_BY = {"timeout": ("evaluations",), "strict": ()}


def timed(timeout: int, strict: str) -> RunManifest:
    values = {"dataset": "verified", "timeout": timeout}
    return replace(MANIFEST, config={**values, "strict": strict, "workers": timeout}, identity=values)


def test_a_setting_under_which_nothing_was_made_yet_may_change_and_the_manifest_says_it(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", timed(60, "off"), BOUND_BY):
        pass
    with open_run(tmp_path / "r", timed(90, "on"), BOUND_BY) as run:
        assert run.manifest.identity == {"dataset": "verified", "timeout": 90}
        # what only decides the speed stays as the run began
        assert run.manifest.config == {"dataset": "verified", "timeout": 90, "strict": "on", "workers": 60}
    (tmp_path / "r" / "evaluations.jsonl").write_text("{}\n")
    with pytest.raises(RunConflictError, match="timeout: 90 there, 60 now"):
        open_run(tmp_path / "r", timed(60, "on"), BOUND_BY)
    assert read_manifest(tmp_path / "r").config["timeout"] == 90


def test_a_run_of_before_a_setting_left_the_identity_can_be_resumed(tmp_path: Path) -> None:
    old = timed(60, "on")
    with open_run(tmp_path / "r", replace(old, identity={**old.identity, "strict": "on"}), BOUND_BY):
        pass
    with open_run(tmp_path / "r", timed(60, "off"), BOUND_BY) as run:
        assert run.manifest.config["strict"] == "off"


def _hold(folder: Path, held: multiprocessing.synchronize.Event, end: multiprocessing.synchronize.Event) -> None:
    with open_run(folder, MANIFEST):
        held.set()
        end.wait(300)


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "r", held, end))
    other.start()
    try:
        assert held.wait(120)
        with pytest.raises(RunLockedError, match=r"is being written by another process; .* --run-id"):
            open_run(tmp_path / "r", MANIFEST)
    finally:
        end.set()
        other.join()
    with open_run(tmp_path / "r", MANIFEST):
        pass


def test_a_results_path_that_is_a_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write the run folder .*file/r: .*; choose another --results"):
        open_run(tmp_path / "file" / "r", MANIFEST)


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run folder: it has no run.json"):
        Run(tmp_path)


def test_a_derived_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    write_json(tmp_path / "x.json", {"a": 2})
    assert orjson.loads((tmp_path / "x.json").read_bytes()) == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_only_what_a_kill_left_of_a_write_is_removed_from_a_run_folder(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", MANIFEST):
        pass
    own = (".env.local", ".notes.unfinished", ".0123456789abcdef.unfinished.txt")
    for name in (*own, ".0123456789abcdef.unfinished"):
        (tmp_path / "r" / name).write_text("x")
    with open_run(tmp_path / "r", MANIFEST):
        pass
    assert {path.name for path in (tmp_path / "r").glob(".*")} == {*own, ".lock"}
