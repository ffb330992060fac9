"""Looks at the files of a run folder: have the records changed, and is a report newer than they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swerl_eval.records.manifest import MANIFEST_FILE

REPORT_FILE = "report.json"
"""The report of a run, as data."""
NO_RECORDS = frozenset({"all_preds.jsonl", "events.jsonl"})
"""JSON lines that no report is made from."""


@dataclass(frozen=True)
class RunFiles:
    """The files and folders directly in a run folder, at one moment."""

    times: Mapping[str, tuple[int, int]]
    """Time of change in nanoseconds, and size in bytes, by name."""
    odd: tuple[str, ...]
    """Names of what is neither a file nor a folder, such as symbolic links."""

    @property
    def records(self) -> dict[str, tuple[int, int]]:
        """The files that reports are made from; equal as long as no record is added."""
        return {
            name: time
            for name, time in self.times.items()
            if name == MANIFEST_FILE or (name.endswith(".jsonl") and name not in NO_RECORDS)
        }

    def is_current(self, name: str) -> bool:
        """Whether a file is there and was written after the last record."""
        newest = max((time for time, _ in self.records.values()), default=0)
        return name in self.times and self.times[name][0] >= newest


def look_at(folder: Path) -> RunFiles:
    """Return what is in a run folder; links are not followed."""
    times = {}
    odd = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # the run that goes on has just renamed it
                continue
            times[entry.name] = (status.st_mtime_ns, status.st_size)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                odd.append(entry.name)
    return RunFiles(times, tuple(sorted(odd)))
