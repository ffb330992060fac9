"""What is in a run folder, and whether a report is newer than the records."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_files import look_at


def put(folder: Path, name: str, time: int) -> None:
    (folder / name).write_bytes(b"x")
    os.utime(folder / name, ns=(time, time))


def test_a_report_is_current_until_a_record_is_added(tmp_path: Path) -> None:
    put(tmp_path, "run.json", 1)
    put(tmp_path, "samples.jsonl", 5)
    assert not look_at(tmp_path).is_current("report.json")
    put(tmp_path, "report.json", 4)
    assert not look_at(tmp_path).is_current("report.json")
    put(tmp_path, "report.json", 5)
    assert look_at(tmp_path).is_current("report.json")
    put(tmp_path, "run.json", 6)
    assert not look_at(tmp_path).is_current("report.json")


def test_what_is_no_record_leaves_a_report_current(tmp_path: Path) -> None:
    put(tmp_path, "run.json", 1)
    put(tmp_path, "report.json", 2)
    before = look_at(tmp_path).records
    for name in ("events.jsonl", "all_preds.jsonl", "live.json", "report.html", ".lock", "m.r.json"):
        put(tmp_path, name, 9)
    (tmp_path / "logs").mkdir()
    files = look_at(tmp_path)
    assert files.is_current("report.json")
    assert files.records == before == {"run.json": (1, 1)}


def test_links_and_pipes_are_odd_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "to-nothing").symlink_to(tmp_path / "nothing")
    (tmp_path / "to-folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    put(tmp_path, "file", 1)
    assert look_at(tmp_path).odd == ("pipe", "to-folder", "to-nothing")


def test_files_that_come_and_go_disturb_nobody(tmp_path: Path) -> None:
    for number in range(300):  # so that listing the folder takes a while
        put(tmp_path, f"m.{number}.json", 1)
    ended = threading.Event()

    def renew() -> None:
        while not ended.is_set():
            write_bytes(tmp_path / "live.json", b"x", durable=False)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        for _ in range(300):
            look_at(tmp_path)
    finally:
        ended.set()
        thread.join()
