"""Figures in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import PreflightError
from swerl_eval.ports import TrackerSettings
from swerl_eval.trackers import plain_name, require
from swerl_eval.trackers.tables import columns_and_rows


class WandbTracker:
    """Logs to a run of Weights & Biases (a `ports.Tracker`). A resumed run goes on with its run there.

    WANDB_API_KEY, `wandb login` and the other variables of wandb count. Neither code nor output, command line or
    figures of the machine are sent.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Raise `UsageError` where wandb is not installed."""
        require("wandb")

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> WandbTracker:
        """Begin or resume a run. Raises `PreflightError` where nobody is logged in."""
        import wandb

        offline = settings.offline or wandb.setup().settings.mode in {"offline", "dryrun", "disabled"}
        # else wandb would ask for a key on the terminal
        if not offline and not wandb.login(host=settings.uri or None, prompt=False):
            message = "nobody is logged in: set WANDB_API_KEY, run `wandb login`, or add -c tracking.offline=true"
            raise PreflightError(message)
        settings.folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=settings.project,
            entity=settings.entity or None,
            group=settings.group or None,
            tags=list(settings.tags) or None,
            id=plain_name(run_id),
            name=run_id,
            resume="allow",
            dir=settings.folder,
            mode="offline" if settings.offline else None,
            config=dict(config),
            settings=wandb.Settings(
                **({"base_url": settings.uri} if settings.uri else {}),
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        return cls(run)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures at a step."""
        self._run.log(dict(figures), step=step)

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Log the table, and an artifact of type `report`; end the run."""
        import wandb

        if table:
            self._run.log({"instances": wandb.Table(*columns_and_rows(table))})
        self._run.summary.update(
            {name: value for name, value in report.items() if isinstance(value, str | int | float)}
        )
        if artifacts:
            artifact = wandb.Artifact(f"report-{self._run.id}", type="report")
            for path in artifacts:
                artifact.add_file(str(path))
            self._run.log_artifact(artifact)
        self._run.finish()
