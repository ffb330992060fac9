from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.records.run_folder import open_run
from swerl_eval.records.timeline import Count, Notice, Span, Timeline, read_timeline
from swerl_eval.reports.trace import assign_lanes, trace
from tests.reports.comparison_runs import MANIFEST

OLD = Path(__file__).parent.parent / "data" / "run-folder-0.1"


def _event(phase: str, *required: str, **properties: object) -> dict[str, Any]:
    common = {"name": {"type": "string"}, "pid": {"type": "integer"}, "tid": {"type": "integer"}}
    return {
        "properties": {**common, "ph": {"const": phase}, **properties},
        "required": ["name", "ph", "pid", "tid", "args", *required],
        "additionalProperties": False,
    }


TIME, TEXT, TABLE = {"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "object"}
SCHEMA = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": TABLE,
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    _event("X", "ts", "dur", ts=TIME, dur=TIME, cat=TEXT, args=TABLE),
                    _event("i", "ts", "s", ts=TIME, cat=TEXT, s={"enum": ["g", "p", "t"]}, args=TABLE),
                    _event("C", "ts", ts=TIME, args={"type": "object", "additionalProperties": {"type": "number"}}),
                    _event("M", args={"type": "object", "minProperties": 1}),
                ]
            },
        },
    },
    "additionalProperties": False,
}
"""What is used of the Trace Event Format, by its public description (the document that chrome://tracing links to)."""


def checked(timeline: Timeline) -> dict[str, Any]:
    made = trace(timeline, "r")
    jsonschema.validate(made, SCHEMA)
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def lanes(made: dict[str, Any]) -> dict[str, list[tuple[str, int, int]]]:
    """What is in each lane, by the names of process and thread: name, begin, end."""
    meta = [event for event in made["traceEvents"] if event["ph"] == "M"]
    processes = {event["pid"]: event["args"]["name"] for event in meta if event["name"] == "process_name"}
    threads = {
        (event["pid"], event["tid"]): f"{processes[event['pid']]}: {event['args']['name']}"
        for event in meta
        if event["name"] == "thread_name"
    }
    shown = defaultdict(list)
    for event in made["traceEvents"]:
        if event["ph"] in {"X", "i"}:
            lane = threads[event["pid"], event["tid"]]
            shown[lane].append((event["name"], event["ts"], event["ts"] + event.get("dur", 0)))
    return dict(shown)


def test_each_kind_of_work_has_lanes_and_what_overlaps_has_several() -> None:
    timeline = Timeline(
        began=1e9,
        stages={
            "a": [Span("a", "localize", 0.0, 1.0), Span("a", "repair", 1.0, 5.5), Span("a", "run_tests", 2.0, 6.0)],
            "b": [Span("b", "localize", 0.5, 1.0), Span("b", "repair", 5.5, 7.0), Span("b", "evaluate", 7.0, 9.0)],
        },
        containers=[Span("a", "run_tests", 2.0, 4.0), Span("b", "evaluate", 3.0, 4.5), Span("b", "evaluate", 4.0, 5.0)],
        notices=[Notice("", 3.0, "server 0 is ready after 3 s"), Notice("a", 4.0, "from the cache: 0123")],
        counts=[Count(0.0, 2, 1)],
        processes=[(0.0, 9.0)],
    )
    made = checked(timeline)
    assert lanes(made) == {
        "sampling: localize 1": [("a", 0, 1_000_000)],
        "sampling: localize 2": [("b", 500_000, 1_000_000)],
        "sampling: repair 1": [("a", 1_000_000, 5_500_000), ("b", 5_500_000, 7_000_000)],
        "testing: run_tests 1": [("a", 2_000_000, 6_000_000)],
        "evaluating: evaluate 1": [("b", 7_000_000, 9_000_000)],
        "containers: container 1": [("a", 2_000_000, 4_000_000), ("b", 4_000_000, 5_000_000)],
        "containers: container 2": [("b", 3_000_000, 4_500_000)],
        "run: server 0": [("server 0 is ready after 3 s", 3_000_000, 3_000_000)],
        "run: notices": [("from the cache: 0123", 4_000_000, 4_000_000)],
    }
    counters = {event["name"]: event["args"]["number"] for event in made["traceEvents"] if event["ph"] == "C"}
    assert counters == {"requests in flight": 2, "containers running": 1}
    assert (made["displayTimeUnit"], made["otherData"]["run"]) == ("ms", "r")


def test_a_stage_that_a_killed_process_left_ends_with_that_process() -> None:
    stages = {"a": [Span("a", "repair", 1.0, None), Span("a", "repair", 20.0, None)]}
    shown = lanes(checked(Timeline(began=0.0, stages=stages, processes=[(0.0, 5.0), (20.0, 30.0)])))
    assert shown == {"sampling: repair 1": [("a", 1_000_000, 5_000_000), ("a", 20_000_000, 30_000_000)]}


def test_the_trace_of_a_run_folder_and_of_an_old_and_of_an_empty_one(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", MANIFEST) as run:
        run.event("", "run", "process began")
        run.event("", "run", "counts", requests=3, containers=0)
        run.event("a", "reproduce", "worker free", seconds=0.0)
        run.event("a", "a stage of tomorrow", "start")
    shown = lanes(checked(read_timeline(tmp_path / "r")))
    assert set(shown) == {"containers: container 1", "other stages: a stage of tomorrow 1"}
    assert set(lanes(checked(read_timeline(OLD)))) == {
        "sampling: localize 1", "sampling: localize 2", "sampling: repair 1", "sampling: repair 2",
        "testing: reproduce 1", "testing: reproduce 2", "testing: regress 1", "testing: regress 2",
        "testing: examine 1", "evaluating: select 1", "evaluating: evaluate 1",
        "containers: container 1",
    }  # fmt: skip
    assert lanes(checked(Timeline())) == {}


INTERVALS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=30
)


@given(INTERVALS)
def test_nothing_overlaps_within_a_lane_and_there_are_no_more_lanes_than_needed(
    intervals: list[tuple[int, int]],
) -> None:
    intervals.sort()
    numbers = assign_lanes(intervals)
    members = defaultdict(list)
    for lane, interval in zip(numbers, intervals, strict=True):
        members[lane].append(interval)
    for taken in members.values():
        assert all(before[1] <= after[0] for before, after in pairwise(taken))
    needed = max((sum(a <= time < b or a == time == b for a, b in intervals) for time in range(80)), default=0)
    assert len(members) <= needed
    assert sorted(members) == list(range(len(members)))


TIMES = st.floats(0, 1e6)
SPANS = st.builds(
    lambda name, stage, start, length: Span(name, stage, start, None if length is None else start + length),
    st.sampled_from("abc"), st.sampled_from(["localize", "repair", "run_tests", "odd"]), TIMES, st.none() | TIMES,
)  # fmt: skip


@given(st.lists(SPANS, max_size=20), st.lists(SPANS.filter(lambda span: span.end is not None), max_size=20))
def test_times_go_forward_and_no_lane_holds_two_things_at_once(stages: list[Span], containers: list[Span]) -> None:
    made = checked(Timeline(began=0.0, stages={"a": stages}, containers=containers, processes=[(0.0, 2e6)]))
    timed = [event["ts"] for event in made["traceEvents"] if event["ph"] != "M"]
    assert timed == sorted(timed)
    slices = [event for event in made["traceEvents"] if event["ph"] == "X"]
    assert len(slices) == len(stages) + len(containers)
    free: dict[tuple[int, int], int] = {}
    for event in slices:
        lane = event["pid"], event["tid"]
        assert event["ts"] >= free.get(lane, 0)
        free[lane] = event["ts"] + event["dur"]
