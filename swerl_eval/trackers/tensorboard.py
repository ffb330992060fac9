"""Figures for TensorBoard, as event files in the run folder: `tensorboard --logdir results`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.ports import TrackerSettings
from swerl_eval.trackers import require
from swerl_eval.trackers.tables import indented, markdown

_STRING = 7
"""The type of texts in TensorBoard's files."""


class TensorBoardTracker:
    """Writes event files (a `ports.Tracker`). Needs the package tensorboard, not TensorFlow."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._step = 0

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Raise `UsageError` where tensorboard is not installed."""
        require("tensorboard")

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> TensorBoardTracker:
        """Begin another event file in the run's folder."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        del run_id
        tracker = cls(EventFileWriter(str(settings.folder)))
        tracker._add_text("config", indented(orjson.dumps(config, option=orjson.OPT_INDENT_2).decode()))
        return tracker

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Write figures at a step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._step = step
        self._add(Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]))

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Write the table as text; close the file. Artifacts are in the run folder already."""
        del report
        self._add_text("instances", markdown(table))
        self._add_text("files", indented("\n".join(map(str, artifacts))))
        self._writer.close()

    def _add_text(self, name: str, text: str) -> None:
        """Write a text, which TensorBoard reads as Markdown."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        tensor = TensorProto(dtype=_STRING, string_val=[text.encode("utf-8", "replace")])
        metadata = create_summary_metadata(display_name=name, description="")
        self._add(Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)]))

    def _add(self, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=self._step, summary=summary))
        self._writer.flush()
