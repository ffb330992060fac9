"""The timeline of a run, as `events.jsonl` has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.records.run_folder import open_run
from swerl_eval.records.timeline import Notice, Span, Timeline, read_timeline
from tests.reports.comparison_runs import MANIFEST

OLD = Path(__file__).parent.parent / "data" / "run-folder-0.1"


def written(folder: Path, *lines: str) -> Timeline:
    (folder / "events.jsonl").write_text("".join(lines))
    return read_timeline(folder)


def line(time: float, event: str, stage: str = "repair", **details: float) -> str:
    return json.dumps({"time": time, "instance_id": "a", "stage": stage, "event": event, **details}) + "\n"


def test_stages_that_run_side_by_side_are_told_apart(tmp_path: Path) -> None:
    timeline = written(
        tmp_path,
        line(100.0, "start"),
        line(101.5, "start", "reproduce"),
        line(103.25, "end"),
        line(104.0, "end", "reproduce"),
    )
    assert timeline.began == 100.0
    assert timeline.stages == {"a": [Span("a", "repair", 0.0, 3.25), Span("a", "reproduce", 1.5, 4.0)]}


def test_what_the_run_writes_is_read_back(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", MANIFEST) as run:
        run.event("a", "evaluate", "start")
        run.event("a", "evaluate", "worker free", seconds=0.0)
        run.event("a", "evaluate", "from the cache: 0123")
        run.event("", "sample", "a server is slow")
    timeline = read_timeline(tmp_path / "r")
    assert [(span.stage, span.start, span.end) for span in timeline.stages["a"]] == [("evaluate", 0.0, None)]
    assert [span.stage for span in timeline.containers] == ["evaluate"]
    assert [(n.instance_id, n.text) for n in timeline.notices] == [
        ("a", "from the cache: 0123"),
        ("", "a server is slow"),
    ]
    assert timeline.skipped == 0


def test_a_container_is_held_for_the_seconds_before_it_is_free(tmp_path: Path) -> None:
    timeline = written(tmp_path, line(100, "start", "evaluate"), line(110, "worker free", "evaluate", seconds=7.5))
    assert timeline.containers == [Span("a", "evaluate", 2.5, 10.0)]


def test_a_stage_that_a_killed_process_left_has_no_end_and_the_resumed_one_is_another_span(tmp_path: Path) -> None:
    timeline = written(tmp_path, line(100, "start"), line(200, "start"), line(260, "end"))
    assert timeline.stages == {"a": [Span("a", "repair", 0.0, None), Span("a", "repair", 100.0, 160.0)]}


def test_an_end_without_a_start_is_a_moment(tmp_path: Path) -> None:
    assert written(tmp_path, line(100, "end", "select")).stages == {"a": [Span("a", "select", 0.0, 0.0)]}


def test_a_clock_that_was_set_back_gives_no_span_of_negative_length(tmp_path: Path) -> None:
    timeline = written(tmp_path, line(100, "start"), line(90, "end"), line(90, "worker free", seconds=30))
    assert timeline.began == 90
    assert timeline.stages == {"a": [Span("a", "repair", 10.0, 10.0)]}
    assert timeline.containers == [Span("a", "repair", 0.0, 0.0)]


def test_torn_and_odd_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    odd = ["{\n", "[]\n", "null\n", '{"time": true}\n', line(1e300, "start"), line(-1.0, "start"), "x" * 200_000 + "\n"]
    timeline = written(tmp_path, line(100, "start"), *odd, line(101, "end"), line(102, "start")[:-9])
    assert timeline.stages == {"a": [Span("a", "repair", 0.0, 1.0)]}
    assert timeline.skipped == 6 + 4 + 1  # the long line counts once for each of its pieces


def test_a_folder_without_events_has_an_empty_timeline(tmp_path: Path) -> None:
    assert read_timeline(tmp_path) == Timeline()


def test_the_timeline_of_an_old_run_folder_is_read() -> None:
    timeline = read_timeline(OLD)
    assert timeline.skipped == 0
    assert timeline.stages["demo__ledgerly-1"][0] == Span("demo__ledgerly-1", "localize", 0.0, 1.349)
    assert {len(spans) for spans in timeline.stages.values()} == {7, 6}
    assert timeline.notices == []


def test_a_notice_has_its_time(tmp_path: Path) -> None:
    assert written(tmp_path, line(100, "start"), line(101, "hello")).notices == [Notice("a", 1.0, "hello")]


_VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([])
)
_EVENTS = st.dictionaries(st.sampled_from(["time", "instance_id", "stage", "event", "seconds"]), _VALUES)
_NAMED = st.builds(
    lambda fields, name: {**fields, "instance_id": "a", "stage": "s", "event": name},
    _EVENTS,
    st.sampled_from(["start", "end", "worker free", "x"]),
)


@given(st.lists((_EVENTS | _NAMED).map(lambda event: json.dumps(event).encode()) | st.binary(max_size=40)))
def test_any_lines_give_a_timeline_of_finite_times(tmp_path_factory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "events.jsonl").write_bytes(b"\n".join(lines))
    timeline = read_timeline(folder)
    spans = [span for spans in timeline.stages.values() for span in spans] + timeline.containers
    assert all(0 <= span.start <= (span.start if span.end is None else span.end) < 1e12 for span in spans)
