"""`swerl-eval trace`: writes a run's timeline as a trace."""

from __future__ import annotations

import sys
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.records.manifest import read_manifest
from swerl_eval.records.timeline import read_timeline
from swerl_eval.reports.trace import trace


def write_trace(folder: Path, output: Path | None) -> None:
    """Write the trace of a run folder, and print the file's name."""
    title = read_manifest(folder).run_id
    timeline = read_timeline(folder)
    file = output or folder / "trace.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, trace(timeline, title))
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}; choose another --output"
        raise UsageError(message) from error
    if timeline.skipped:
        sys.stderr.write(f"swerl-eval: {timeline.skipped} lines of the timeline could not be read\n")
    sys.stdout.write(f"{file}\n")
