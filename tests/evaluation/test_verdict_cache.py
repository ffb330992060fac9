from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import tarfile
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.evaluation.verdict_cache import VerdictCache

KEY, OTHER = "ab" * 32, "cd" * 32
RECORD = {"instance_id": "a__b-1", "verdict": "resolved", "report": {"tests": ["é", "x"]}}
LOGS = {"test_output.txt": b"PASSED t\n\xff", "gold/control.json": b"{}"}
NAMES = ("test_output.txt", "gold/control.json", "report.json")


def filled(folder: Path, logs: Path) -> VerdictCache:
    verdicts = VerdictCache(folder)
    for name, content in LOGS.items():
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_bytes(content)
    verdicts.put(KEY, RECORD, logs, NAMES)
    return verdicts


def entry(folder: Path) -> Path:
    (found,) = folder.glob("*/*.tar.gz")
    return found


def test_a_record_and_its_logs_come_back_as_they_were(tmp_path: Path) -> None:
    filled(tmp_path / "c", tmp_path / "logs")
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "report.json").write_text("of an earlier run")
    assert VerdictCache(tmp_path / "c").get(KEY, target, NAMES) == RECORD
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert found == LOGS  # and what the entry lacks is gone


def test_only_named_files_of_an_entry_are_ever_written(tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    assert verdicts.get(KEY, tmp_path / "out", ("report.json",)) == RECORD
    assert not (tmp_path / "out").exists()


def test_an_unknown_key_is_nothing_and_touches_no_file(tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    assert verdicts.get(OTHER, tmp_path / "logs", NAMES) is None
    assert (tmp_path / "logs/test_output.txt").read_bytes() == LOGS["test_output.txt"]


@given(data=st.data())
def test_an_entry_torn_at_any_byte_is_as_good_as_none(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    verdicts = filled(folder / "c", folder / "logs")
    content = entry(folder / "c").read_bytes()
    entry(folder / "c").write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert verdicts.get(KEY, folder / "out", NAMES) is None
    assert not (folder / "out").exists()
    verdicts.put(KEY, RECORD, folder / "logs", NAMES)
    assert verdicts.get(KEY, folder / "out", NAMES) == RECORD


@given(data=st.data())
def test_an_entry_with_a_changed_byte_gives_no_other_verdict(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    verdicts = filled(folder / "c", folder / "logs")
    content = bytearray(entry(folder / "c").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    entry(folder / "c").write_bytes(bytes(content))
    assert verdicts.get(KEY, folder / "out", NAMES) in (None, RECORD)  # a byte of gzip's own header changes nothing


def archive(head: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        content = orjson.dumps(head)
        member = tarfile.TarInfo("record.json")
        member.size = len(content)
        made.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something else",
        gzip.compress(b"no archive", mtime=0),
        archive([]),
        archive({"v": 1}),
        archive({"v": 9, "key": KEY, "record": RECORD}),
        archive({"v": 1, "key": OTHER, "record": RECORD}),
        archive({"v": 1, "key": KEY, "record": None}),
    ],
)
def test_what_is_no_entry_of_the_key_is_as_good_as_none(content: bytes, tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    entry(tmp_path / "c").write_bytes(content)
    assert verdicts.get(KEY, tmp_path / "out", NAMES) is None


def test_a_folder_that_cannot_be_made_keeps_nothing_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    verdicts = filled(tmp_path / "file" / "c", tmp_path / "logs")
    assert verdicts.get(KEY, tmp_path / "out", NAMES) is None


def test_logs_that_cannot_all_be_written_are_not_restored_in_part_and_end_nothing(tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "gold").write_text("in the way of the folder")
    (target / "report.json").write_text("of an earlier verdict")
    assert verdicts.get(KEY, target, NAMES) is None
    assert [path.name for path in target.iterdir()] == ["gold"]


def test_what_a_killed_writer_left_is_removed_after_a_day_and_what_another_may_write_now_is_not(tmp_path: Path) -> None:
    filled(tmp_path / "c", tmp_path / "logs")
    old, new = (entry(tmp_path / "c").with_name(f".{digit * 16}.unfinished") for digit in "01")
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    verdicts = VerdictCache(tmp_path / "c")
    assert (old.exists(), new.exists()) == (False, True)
    assert verdicts.get(KEY, tmp_path / "out", NAMES) == RECORD


def test_beyond_its_size_the_longest_unused_entries_are_removed_when_it_is_opened(tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    keys = [f"{number:02x}" * 32 for number in range(4)]
    for age, key in enumerate(keys):
        verdicts.put(key, RECORD, tmp_path / "logs", NAMES)
        os.utime(tmp_path / "c" / key[:2] / f"{key}.tar.gz", (1000 + age, 1000 + age))
    assert verdicts.get(keys[0], tmp_path / "out", NAMES) is not None  # used a moment ago
    size = (tmp_path / "c/00" / f"{keys[0]}.tar.gz").stat().st_size
    again = VerdictCache(tmp_path / "c", max_bytes=3 * size + 50)
    left = [key for key in (KEY, *keys) if again.get(key, tmp_path / "out", NAMES) is not None]
    assert left == [KEY, keys[0], keys[3]]


def _write(folder: Path, logs: Path, times: int) -> None:
    verdicts = VerdictCache(folder)
    for _ in range(times):
        verdicts.put(KEY, RECORD, logs, NAMES)


def test_two_processes_writing_one_key_leave_whole_entries_at_every_moment(tmp_path: Path) -> None:
    verdicts = filled(tmp_path / "c", tmp_path / "logs")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "c", tmp_path / "logs", 300)) for _ in range(2)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers) or not reads:
        assert verdicts.get(KEY, tmp_path / "out", NAMES) == RECORD
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [path.name for path in (tmp_path / "c").rglob("*") if path.is_file()] == [f"{KEY}.tar.gz"]
