"""Figures in Trackio: on this machine, on a server, or in a Space."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from swerl_eval.ports import TrackerSettings
from swerl_eval.trackers import plain_name, require
from swerl_eval.trackers.tables import markdown


class TrackioTracker:
    """Logs to a run of Trackio (a `ports.Tracker`). A resumed run goes on with its run there.

    Without `uri`, a server's address, TRACKIO_SERVER_URL and TRACKIO_SPACE_ID count, else the store on this machine
    (TRACKIO_DIR). What Trackio prints is dropped: standard output is the command's.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Raise `UsageError` where trackio is not installed."""
        require("trackio")

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> TrackioTracker:
        """Begin or resume a run."""
        with redirect_stdout(io.StringIO()):
            import trackio

            run = trackio.init(
                project=settings.project,
                name=run_id,
                group=settings.group or None,
                server_url=settings.uri or None,
                config={**config, "tags": list(settings.tags)},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return cls(run)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures at a step."""
        self._run.log(dict(figures), step=step)

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Log the table as Markdown, and an artifact of type `report`; end the run."""
        del report
        with redirect_stdout(io.StringIO()):
            import trackio

            if table:
                self._run.log({"instances": trackio.Markdown(markdown(table))})
            if artifacts:
                artifact = trackio.Artifact(f"report-{plain_name(self._run.name)}", type="report")
                for path in artifacts:
                    artifact.add_file(str(path))
                self._run.log_artifact(artifact)
            self._run.finish()
