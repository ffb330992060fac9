"""What a run says of itself while it goes on."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from swerl_eval.progress import Progress
from swerl_eval.records import live_status
from swerl_eval.records.live_status import LIVE_FILE, STOPPED_AFTER, LiveStatusWriter, StageStatus, read_live_status

STAGES = ("localize", "evaluate")


@pytest.fixture(autouse=True)
def no_hurry_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is gone when the block ends, however slow the machine is."""
    monkeypatch.setattr(live_status, "JOIN_SECONDS", 120.0)


def progress() -> Progress:
    state = Progress(total=3)
    state.finish("localize", resumed=False)
    state.finish("localize", resumed=True)
    state.verdicts["resolved"] += 1
    state.waiting("image a", "12 of\n 90 MB")
    state.running("c1", now=True)
    state.notify("server 0 is started")
    state.samples, state.tokens, state.requests = 4, 100, 2
    return state


def written(folder: Path, snapshot: dict[str, Any]) -> None:
    """The status file, as the writer leaves it while a run goes on."""
    with LiveStatusWriter(folder, lambda: snapshot):
        wait_for(folder / LIVE_FILE)
        content = (folder / LIVE_FILE).read_bytes()
    (folder / LIVE_FILE).write_bytes(content)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until, f"{path} was not written"
        time.sleep(0.01)


def test_what_is_written_is_what_the_progress_says(tmp_path: Path) -> None:
    written(tmp_path, progress().snapshot(STAGES))
    status = read_live_status(tmp_path)
    assert status is not None
    assert status.stages == (StageStatus("localize", 2), StageStatus("evaluate", 0))
    assert (status.total, status.requests, status.containers, status.samples, status.tokens) == (3, 2, 1, 4, 100)
    assert (status.verdicts, status.waits, status.notices) == (
        {"resolved": 1},
        ("image a: 12 of 90 MB",),
        ("server 0 is started",),
    )
    assert status.remaining_seconds is None
    assert status.beating


def test_a_snapshot_is_short_however_much_there_is_to_say() -> None:
    state = progress()
    for number in range(100):
        state.notify(f"notice {number}")
        state.waiting(f"image {number:03}", "pulled")
    snapshot = state.snapshot(STAGES)
    assert snapshot["notices"] == [f"notice {number}" for number in range(95, 100)]
    assert len(snapshot["waits"]) == 20


def test_the_file_is_renewed_while_the_run_goes_on_and_gone_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_status, "HEARTBEAT_SECONDS", 0.02)
    state = progress()
    with LiveStatusWriter(tmp_path, lambda: state.snapshot(STAGES)):
        wait_for(tmp_path / LIVE_FILE)
        state.samples = 77
        until = time.monotonic() + 120
        while (status := read_live_status(tmp_path)) is None or status.samples != 77:
            assert time.monotonic() < until
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_run_ends_the_writing_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), LiveStatusWriter(tmp_path, lambda: progress().snapshot(STAGES)):
        wait_for(tmp_path / LIVE_FILE)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    calls: list[int] = []

    def snapshot() -> dict[str, Any]:
        calls.append(1)
        return progress().snapshot(STAGES)

    with LiveStatusWriter(missing, snapshot):
        until = time.monotonic() + 120
        while not calls:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert not missing.exists()


def test_a_disk_that_hangs_delays_the_end_by_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_status, "JOIN_SECONDS", 0.1)
    released = threading.Event()

    def hanging() -> dict[str, Any]:
        released.wait(300)
        return progress().snapshot(STAGES)

    begun = time.monotonic()
    with LiveStatusWriter(tmp_path, hanging):
        pass
    assert time.monotonic() - begun < 60
    released.set()


def test_texts_that_no_file_can_hold_are_written_with_question_marks(tmp_path: Path) -> None:
    state = progress()
    state.notify("cannot read \udcff")
    written(tmp_path, state.snapshot(STAGES))
    status = read_live_status(tmp_path)
    assert status is not None
    assert status.notices[-1] == "cannot read ?"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"heartbeat": "now"}', b'{"heartbeat": 1, "seconds": 1, "total": 1, "stages": 5}'],
)
def test_what_is_no_status_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LIVE_FILE).write_bytes(content)
    assert read_live_status(tmp_path) is None


def test_there_is_none_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_live_status(tmp_path) is None


@pytest.mark.parametrize(
    ("age", "beating"), [(0, True), (STOPPED_AFTER, True), (STOPPED_AFTER + 1, False), (-86400, False)]
)
def test_a_heartbeat_tells_a_process_that_is_gone(
    tmp_path: Path, age: float, beating: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1e9
    monkeypatch.setattr(live_status, "time", SimpleNamespace(time=lambda: now))
    status = {"heartbeat": now - age, **progress().snapshot(STAGES)}
    (tmp_path / LIVE_FILE).write_bytes(orjson.dumps(status))
    read = read_live_status(tmp_path)
    assert read is not None
    assert read.beating is beating


def test_no_process_is_named_in_the_file(tmp_path: Path) -> None:
    written(tmp_path, progress().snapshot(STAGES))
    fields = orjson.loads((tmp_path / LIVE_FILE).read_bytes())
    assert "pid" not in fields
    assert str(os.getpid()) not in {str(value) for value in fields.values()}
