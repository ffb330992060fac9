"""Records in an append-only file: torn, damaged, refused by a full disk."""

from __future__ import annotations

import resource
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError
from swerl_eval.core.types import Completion, Evaluation, Sample, Selection, Verdict
from swerl_eval.records.journal import Journal


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


def test_records_of_some_keys_come_in_the_order_of_the_keys(tmp_path: Path) -> None:
    records = filled(tmp_path / "j", 3)
    opened = journal(tmp_path / "j")
    assert list(opened.get_all(["a__b-2", "a__b-9", "a__b-0"])) == [records[2], records[0]]
    assert list(opened.get_all(["a__b-9"])) == []


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


def test_a_record_that_was_taken_back_is_gone_for_later_readers_and_may_come_again(tmp_path: Path) -> None:
    records = filled(tmp_path / "j", 3)
    opened = journal(tmp_path / "j")
    opened.open_for_writing()
    opened.remove_if(lambda key: key != "a__b-1")
    assert [opened.keys(), len(opened), opened.get("a__b-0")] == [["a__b-1"], 1, None]
    again = journal(tmp_path / "j")
    assert list(again.values()) == [records[1]]
    opened.append(selection(0, "another"))
    assert [each.patch for each in journal(tmp_path / "j").values()] == [records[1].patch, "another"]
    assert opened.get("a__b-0") == selection(0, "another")


def test_a_key_of_several_parts_is_taken_back_too(tmp_path: Path) -> None:
    samples = Journal(tmp_path / "s", Sample, lambda r: (r.instance_id, r.stage, r.index))
    samples.open_for_writing()
    samples.append(*(Sample("i", "repair", k, Completion("x"), (), "0", 7) for k in range(3)))
    samples.remove_if(lambda key: key == ("i", "repair", 1))
    read = Journal(tmp_path / "s", Sample, lambda r: (r.instance_id, r.stage, r.index))
    assert read.keys() == samples.keys() == [("i", "repair", 0), ("i", "repair", 2)]


def test_marked_records_are_known_by_their_keys_before_and_after_reading(tmp_path: Path) -> None:
    def opened() -> Journal[Selection]:
        return Journal(tmp_path / "j", Selection, lambda each: each.instance_id, mark=lambda each: each.patch == "")

    first = opened()
    first.open_for_writing()
    first.append(selection(0, ""), selection(1), selection(2, ""))
    assert first.marked == opened().marked == {"a__b-0", "a__b-2"}
    first.append(selection(0, "now it has one"))
    first.remove_if(lambda key: key == "a__b-2")
    assert first.marked == opened().marked == set()
