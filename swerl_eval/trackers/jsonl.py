"""Figures as lines of JSON in the run folder, which needs no package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.ports import TrackerSettings


class JsonlTracker:
    """Appends figures to `figures.jsonl` (a `ports.Tracker`)."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Nothing can be missing."""

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> JsonlTracker:
        """Append to the file of the run folder."""
        settings.folder.mkdir(parents=True, exist_ok=True)
        tracker = cls(settings.folder / "figures.jsonl")
        tracker._write({"run": run_id, "config": config})
        return tracker

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Append a line."""
        self._write({"step": step, "figures": figures})

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Append the table; report and artifacts are in the run folder already."""
        del report
        self._write({"table": table, "artifacts": [path.name for path in artifacts]})

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._file.open("ab") as file:
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
