from __future__ import annotations

import multiprocessing
import resource
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError, RunConflictError, RunLockedError, UsageError
from swerl_eval.core.types import Completion, Evaluation, Sample, Selection, Verdict
from swerl_eval.store import Journal, Run, RunManifest, open_run, read_manifest, write_json

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


def selection(number: int, patch: str = "p") -> Selection:
    return Selection(f"a__b-{number}", number, patch, "majority")


def journal(path: Path) -> Journal[Selection]:
    return Journal(path, Selection, lambda record: record.instance_id)


def filled(path: Path, count: int) -> list[Selection]:
    records = [selection(number, f"diff é ✓ {number}\n") for number in range(count)]
    opened = journal(path)
    opened.open_for_writing()
    opened.append(*records)
    opened.close()
    return records


def test_records_come_back_as_they_were_stored(tmp_path: Path) -> None:
    records = filled(tmp_path / "j", 3)
    opened = journal(tmp_path / "j")
    assert list(opened.values()) == records
    assert opened.get("a__b-1") == records[1]
    assert opened.get("a__b-9") is None
    assert "a__b-2" in opened
    assert len(opened) == 3


def test_nested_records_and_enums_come_back_as_they_were_stored(tmp_path: Path) -> None:
    sample = Sample("a__b-1", "repair", 0, Completion("text\0\n", "length", 3, None), ("x.py",), "0", 7)
    samples = Journal(tmp_path / "s", Sample, lambda r: r.index)
    samples.open_for_writing()
    samples.append(sample)
    assert samples.get(0) == sample
    evaluation = Evaluation("a__b-1", "0", Verdict.RESOLVED, {"resolved": True}, gold_files=("x.py",))
    evaluations = Journal(tmp_path / "e", Evaluation, lambda r: r.instance_id)
    evaluations.open_for_writing()
    evaluations.append(evaluation)
    assert evaluations.get("a__b-1") == evaluation


def test_the_last_record_of_a_key_counts_and_keeps_its_place(tmp_path: Path) -> None:
    filled(tmp_path / "j", 2)
    opened = journal(tmp_path / "j")
    opened.open_for_writing()
    opened.append(selection(0, "newer"))
    assert [record.patch for record in journal(tmp_path / "j").values()] == ["newer", "diff é ✓ 1\n"]


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(1, 4))
def test_a_file_cut_at_any_byte_keeps_its_whole_lines_and_can_be_written_on(
    data: st.DataObject, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j"
    records = filled(path, count)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    opened = journal(path)
    assert list(opened.values()) == records[:whole]
    opened.open_for_writing()
    opened.append(selection(99))
    opened.close()
    assert list(journal(path).values()) == [*records[:whole], selection(99)]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "j", 3)
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "j").write_bytes(lines[0] + b"{broken\n" + lines[2])
    with pytest.raises(InputError, match=r"j, line 2: not a record of this kind"):
        journal(tmp_path / "j")


def test_a_record_of_another_format_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(orjson.dumps({"v": 2, "instance_id": "x"}) + b"\n")
    with pytest.raises(InputError, match=r"line 1: format version 2; this program reads version 1"):
        journal(tmp_path / "j")


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


def _hold(folder: Path, held: multiprocessing.synchronize.Event, end: multiprocessing.synchronize.Event) -> None:
    with open_run(folder, MANIFEST):
        held.set()
        end.wait(60)


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "r", held, end))
    other.start()
    try:
        assert held.wait(60)
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


def test_a_write_that_a_full_disk_refuses_leaves_whole_records_and_a_journal_that_goes_on(tmp_path: Path) -> None:
    records = filled(tmp_path / "j", 3)
    opened = journal(tmp_path / "j")
    opened.open_for_writing()
    size = (tmp_path / "j").stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # half of the next record fits, as on a disk that becomes full
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            opened.append(selection(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "j").stat().st_size == size
    assert "a__b-3" not in opened
    opened.append(selection(4))
    assert list(opened.values()) == [*records, selection(4)]
    opened.close()
    assert list(journal(tmp_path / "j").values()) == [*records, selection(4)]
