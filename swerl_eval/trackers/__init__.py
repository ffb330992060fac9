"""Trackers: services and files that show the figures of runs. To add one, add a file here and a line to the table."""

from __future__ import annotations

import hashlib
import importlib.util
import re

from swerl_eval.core.errors import UsageError

TRACKERS = {
    "wandb": "swerl_eval.trackers.wandb:WandbTracker",
    "mlflow": "swerl_eval.trackers.mlflow:MlflowTracker",
    "tensorboard": "swerl_eval.trackers.tensorboard:TensorBoardTracker",
    "trackio": "swerl_eval.trackers.trackio:TrackioTracker",
    "jsonl": "swerl_eval.trackers.jsonl:JsonlTracker",
}
"""The built-in trackers by name."""


_NAME_CHARACTERS = 100


def plain_name(run_id: str) -> str:
    """A run's id in letters, digits and `._-` alone; another one for every run id."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)[:_NAME_CHARACTERS]
    return plain if plain == run_id else f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def require(package: str) -> None:
    """Raise `UsageError` with the line that installs a tracker's package, if it is not installed."""
    if importlib.util.find_spec(package) is None:
        message = f"--tracker {package}: its package is not installed; pip install 'swerl-eval[{package}]'"
        raise UsageError(message)
