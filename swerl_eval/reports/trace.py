"""Turns a run's timeline into a trace in the Trace Event Format, which Perfetto and chrome://tracing open.

A process lane for each kind of work, in it thread lanes. What overlaps gets a lane of its own: an interval takes the
first lane that is free. So the lanes of containers are the slots that were in use, and the highest one says how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swerl_eval.records.timeline import Span, Timeline

Event = dict[str, Any]

_LANES = {
    "sampling": ("localize", "repair"),
    # older runs call `run_tests` so
    "testing": ("reproduce", "regress", "run_tests", "examine"),
    "evaluating": ("select", "evaluate"),
}
"""Stages of each process lane."""
_OTHER, _CONTAINERS, _RUN = "other stages", "containers", "run"
_PROCESSES = (*_LANES, _OTHER, _CONTAINERS, _RUN)
_LANES_OF_A_STAGE = 100_000
"""Thread numbers that each stage has for its lanes."""
_SERVER = re.compile(r"server (\d{1,6})\b")
"""How the notices about a launched server begin."""


def trace(timeline: Timeline, title: str = "") -> dict[str, Any]:
    """Return the trace as the JSON object to write.

    Times are whole microseconds since the run's first event. A stage within which its process was ended lasts until
    the last event of that process.

    Args:
        timeline: The run's.
        title: Shown with the trace.
    """
    by_stage: dict[str, list[Span]] = {stage: [] for stages in _LANES.values() for stage in stages}
    for spans in timeline.stages.values():
        for span in spans:
            by_stage.setdefault(span.stage, []).append(span)
    events: list[Event] = []
    for number, (stage, members) in enumerate(by_stage.items()):
        events += _slices(members, timeline, _process_of(stage), stage, number * _LANES_OF_A_STAGE)
    events += _slices(timeline.containers, timeline, _CONTAINERS, "container", 0)
    events += _counters(timeline)
    events += _notices(timeline)
    used = {event["pid"] for event in events}
    events.sort(key=lambda event: event.get("ts", -1))
    return {
        "traceEvents": [*_process_names(used), *events],
        "displayTimeUnit": "ms",
        "otherData": {"run": title, "began": timeline.began, "lines_skipped": timeline.skipped},
    }


def _process_of(stage: str) -> str:
    return next((process for process, stages in _LANES.items() if stage in stages), _OTHER)


def _pid(process: str) -> int:
    return _PROCESSES.index(process) + 1


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _slices(spans: Iterable[Span], timeline: Timeline, process: str, lane_name: str, first: int) -> Iterator[Event]:
    """Yield a complete event for each span, and the names of their lanes."""
    intervals = sorted(
        ((_microseconds(span.start), _end(span, timeline), span) for span in spans), key=lambda interval: interval[:2]
    )
    lanes = assign_lanes([(start, end) for start, end, _ in intervals])
    for number in range(max(lanes, default=-1) + 1):
        yield _name(process, f"{lane_name} {number + 1}", first + number + 1)
    for lane, (start, end, span) in zip(lanes, intervals, strict=True):
        yield {
            "name": span.instance_id,
            "cat": span.stage,
            "ph": "X",
            "ts": start,
            "dur": end - start,
            "pid": _pid(process),
            "tid": first + lane + 1,
            "args": {"instance": span.instance_id, "stage": span.stage, "ended": span.end is not None},
        }


def _end(span: Span, timeline: Timeline) -> int:
    """When a span ends; one without an end when its process wrote its last line."""
    if span.end is not None:
        return max(_microseconds(span.start), _microseconds(span.end))
    last = next((last for first, last in timeline.processes if first <= span.start <= last), span.start)
    return _microseconds(last)


def assign_lanes(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """Return a lane for each interval, given in the order of their starts, so that those of one lane do not overlap.

    No other assignment has fewer lanes. An interval may begin when the one before it in its lane ends.
    """
    ends: list[int] = []
    lanes = []
    for start, end in intervals:
        lane = next((number for number, free in enumerate(ends) if free <= start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def _counters(timeline: Timeline) -> Iterator[Event]:
    for count in timeline.counts:
        for name, value in (("requests in flight", count.requests), ("containers running", count.containers)):
            yield {
                "name": name,
                "ph": "C",
                "ts": _microseconds(count.time),
                "pid": _pid(_RUN),
                "tid": 0,
                "args": {"number": value},
            }


def _notices(timeline: Timeline) -> Iterator[Event]:
    """Yield an instant event for each notice, those of a launched server in a lane of its own."""
    named = set()
    for notice in timeline.notices:
        server = _SERVER.match(notice.text)
        tid = int(server[1]) + 2 if server else 1
        if tid not in named:
            named.add(tid)
            yield _name(_RUN, f"server {tid - 2}" if server else "notices", tid)
        yield {
            "name": notice.text,
            "cat": "notice",
            "ph": "i",
            "ts": _microseconds(notice.time),
            "pid": _pid(_RUN),
            "tid": tid,
            "s": "t",
            "args": {"instance": notice.instance_id},
        }


def _name(process: str, name: str, tid: int) -> Event:
    return {"name": "thread_name", "ph": "M", "pid": _pid(process), "tid": tid, "args": {"name": name}}


def _process_names(used: set[int]) -> Iterator[Event]:
    for process in _PROCESSES:
        pid = _pid(process)
        if pid in used:
            yield {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": process}}
            yield {"name": "process_sort_index", "ph": "M", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
