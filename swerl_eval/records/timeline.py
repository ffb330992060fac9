"""Reads the timeline of a run (`events.jsonl`): when each instance was in which stage, and held a container.

Times are for people, so they are read leniently: a line that is torn or odd is skipped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.records.job_output import lines_in_pieces

EVENTS_FILE = "events.jsonl"
_LATEST = 1e11
"""Seconds since the epoch, more than any clock shows. Without a bound, differences of times may be infinite."""


@dataclass(frozen=True)
class Span:
    """A stage of an instance, or a container that it held. Times are seconds since the run's first event."""

    instance_id: str
    stage: str
    start: float
    end: float | None
    """None for a stage that lasts, and for one within which its process was ended."""


@dataclass(frozen=True)
class Notice:
    """A message about the run or an instance."""

    instance_id: str
    """Empty for the run."""
    time: float
    """Seconds since the run's first event."""
    text: str


@dataclass
class Timeline:
    """What a run did when; of a resumed run, what all its processes did."""

    began: float | None = None
    """Time of the first event, in seconds since the epoch; None where there is no event."""
    stages: dict[str, list[Span]] = field(default_factory=dict)
    """By instance id, in the order in which they began."""
    containers: list[Span] = field(default_factory=list)
    """Containers of evaluations, in the order in which they ended."""
    notices: list[Notice] = field(default_factory=list)
    skipped: int = 0
    """Lines that could not be read."""


@dataclass(frozen=True)
class _Event:
    time: float
    instance_id: str
    stage: str
    name: str
    seconds: float


def read_timeline(folder: Path) -> Timeline:
    """Return the timeline of a run folder; an empty one where there is none."""
    timeline = Timeline()
    events = []
    path = folder / EVENTS_FILE
    for line in lines_in_pieces(path) if path.exists() else ():
        event = _event(line)
        if event is None:
            timeline.skipped += 1
        else:
            events.append(event)
    timeline.began = min((event.time for event in events), default=None)
    _add(timeline, events)
    return timeline


def _event(line: bytes) -> _Event | None:
    """Read one line; None where it is no event."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    values: list[Any] = [fields.get(key) for key in ("time", "instance_id", "stage", "event")]
    values.append(fields.get("seconds", 0.0))
    event = _Event(*values)
    times, texts = (event.time, event.seconds), (event.instance_id, event.stage, event.name)
    sound = all(map(_is_time, times)) and all(isinstance(text, str) for text in texts)
    return event if sound else None


def _is_time(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value < _LATEST


def _add(timeline: Timeline, events: list[_Event]) -> None:
    """Add events, in the order of the file."""
    running: dict[tuple[str, str], int] = {}
    for event in events:
        key = event.instance_id, event.stage
        spans = timeline.stages.setdefault(event.instance_id, []) if event.name in {"start", "end"} else []
        now = round(event.time - (timeline.began or 0.0), 3)
        if event.name == "start":
            running[key] = len(spans)
            spans.append(Span(*key, now, None))
        elif event.name == "end" and key in running:
            start = spans[running[key]].start
            # the machine's clock may be set back
            spans[running.pop(key)] = Span(*key, start, max(start, now))
        elif event.name == "end":  # its start is torn, or was not written by an older version
            spans.append(Span(*key, now, now))
        elif event.name == "worker free":
            timeline.containers.append(Span(*key, round(max(0.0, now - event.seconds), 3), now))
        else:
            timeline.notices.append(Notice(event.instance_id, now, event.name))
