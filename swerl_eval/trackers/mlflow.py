"""Figures in MLflow."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swerl_eval.ports import TrackerSettings
from swerl_eval.trackers import require
from swerl_eval.trackers.tables import columns_and_rows

_PARAMETER_CHARACTERS = 500
"""Of a setting that is shown."""
_BATCH = 100
"""Parameters of one request, at most."""
_RUN_FILE = "run-id"


class MlflowTracker:
    """Logs to a run of MLflow (a `ports.Tracker`). A resumed run goes on with its run there.

    `uri` is a server or a store (`sqlite:///mlflow.db`); without one MLFLOW_TRACKING_URI or MLflow's default counts.
    """

    def __init__(self, client: Any, run: str) -> None:
        self._client = client
        self._run = run

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Raise `UsageError` where mlflow is not installed."""
        require("mlflow")

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> MlflowTracker:
        """Begin or resume a run."""
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its tables, in the midst of the display
        client = MlflowClient(tracking_uri=settings.uri or None)
        file = settings.folder / _RUN_FILE
        if file.exists():
            run = file.read_text(encoding="ascii")
            client.update_run(run, status="RUNNING")
            return cls(client, run)
        experiment = client.get_experiment_by_name(settings.project)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(settings.project)
        tags = dict.fromkeys(settings.tags, "") | ({"group": settings.group} if settings.group else {})
        run = client.create_run(experiment_id, run_name=run_id, tags=tags).info.run_id
        settings.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(run, encoding="ascii")
        tracker = cls(client, run)
        tracker._log_parameters(dict(_flat(config)))
        return tracker

    def _log_parameters(self, parameters: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        entries = [Param(name, value[:_PARAMETER_CHARACTERS]) for name, value in parameters.items()]
        for begin in range(0, len(entries), _BATCH):
            self._client.log_batch(self._run, params=entries[begin : begin + _BATCH])

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures at a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(name, value, now, step) for name, value in figures.items()])

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Log the table, as MLflow's own `log_table` lays one out, and the artifacts; end the run."""
        del report
        columns, rows = columns_and_rows(table)
        self._client.log_dict(self._run, {"columns": columns, "data": rows}, "instances.json")
        self._client.set_tag(self._run, "mlflow.loggedArtifacts", '[{"path": "instances.json", "type": "table"}]')
        for path in artifacts:
            self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, "FINISHED")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings with their texts, those of tables as `table.name`. Empty ones are left out."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", [], ()):
            yield f"{prefix}{name}", str(value)
