"""Notes what a run is doing while it goes on: in the run folder's timeline, and in the trackers that are configured."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread

from swerl_eval.config import RunConfig
from swerl_eval.config.environment import split_addresses
from swerl_eval.config.tables import TRACKING
from swerl_eval.core.secrets import REDACTED
from swerl_eval.core.types import ModelUsage
from swerl_eval.ports import Notify, Sampler, Tracker, TrackerSettings
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.records.timeline import BEGAN
from swerl_eval.registry import load
from swerl_eval.trackers import TRACKERS
from swerl_eval.trackers.background import BackgroundTracker, Tracking
from swerl_eval.trackers.figures import figures_of
from swerl_eval.trackers.tables import table_of

TRACK_SECONDS = 15.0
"""Seconds between two times that trackers get figures."""
ARTIFACTS = ("report.json", "report.html")
"""Files of the run folder that trackers get at the end."""
COUNT_SECONDS = 5.0
"""Seconds between two counts of requests and containers in the timeline."""


class Observer:
    """Observes the `Progress` of one process that works on a run.

    Args:
        progress: What is observed.
        trackers: Where its figures go.
    """

    def __init__(self, progress: Progress, trackers: Tracking) -> None:
        self._progress = progress
        self._trackers = trackers
        self._counts: dict[str, int] = {}
        self._began = time.time()

    def start(self, run: Run) -> None:
        """Note the beginning, and open the trackers. Returns at once."""
        run.event("", "run", BEGAN)
        self._trackers.start(run.manifest.run_id, {**run.manifest.config, "versions": run.manifest.versions})

    async def observe(self, run: Run) -> None:
        """Note counts and figures now and then, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._count_now_and_then, run)
            group.start_soon(self._track_now_and_then, run)

    async def _count_now_and_then(self, run: Run) -> None:
        while True:
            self.count(run)
            await anyio.sleep(COUNT_SECONDS)

    async def _track_now_and_then(self, run: Run) -> None:
        while self._trackers:
            await anyio.sleep(TRACK_SECONDS)
            self._trackers.log(figures_of(self._progress), _age(run))

    def count(self, run: Run) -> None:
        """Add the numbers of requests and containers to the timeline, where they have changed."""
        counts = {"requests": self._progress.requests, "containers": self._progress.containers}
        if counts != self._counts:
            run.event("", "run", "counts", **counts)
            self._counts = counts

    def record_usage(self, run: Run, samplers: Sequence[Sampler], gpus: int | None) -> None:
        """Store what this process sampled, also when it ends early."""
        progress = self._progress
        if not progress.samples or run.manifest.recorded:
            return
        figures: list[dict[str, int]] = [getattr(sampler, "stats", dict)() for sampler in samplers]
        computed = [counts["prompt_tokens_computed"] for counts in figures if "prompt_tokens_computed" in counts]
        run.usage.append(
            ModelUsage(
                began=self._began,
                seconds=round(progress.sampling_seconds, 3),
                samples=progress.samples,
                prompt_tokens=progress.prompt_tokens,
                prompt_tokens_computed=sum(computed) if samplers and len(computed) == len(samplers) else None,
                completion_tokens=progress.tokens,
                gpus=gpus,
            )
        )

    async def finish(self, run: Run, report: Mapping[str, Any]) -> None:
        """Pass the last figures, the table of instances and the reports to the trackers; bounded in time.

        Args:
            run: The run folder.
            report: The content of `report.json`; empty if there is none.
        """
        if self._trackers:
            self._trackers.log(figures_of(self._progress), _age(run))
            files = [run.folder / name for name in ARTIFACTS if (run.folder / name).exists()]
            await anyio.to_thread.run_sync(self._trackers.finish, report, table_of(report), files)


def open_tracking(config: RunConfig, notify: Notify) -> Tracking:
    """The configured trackers, to be started.

    Args:
        config: The settings.
        notify: Told of a tracker that fails, or lacks a secret.

    Raises:
        UsageError: A tracker is unknown, its package is not installed, or it lacks a setting.
    """
    opened = []
    for name in config.tracker:
        kind: type[Tracker] = load("tracker", name, TRACKERS)
        settings = _settings(config, name)
        if REDACTED in str(settings):
            notify(f"tracker {name} gets nothing: a run folder stores no secrets, so give the table tracking again")
            continue
        kind.check(settings)
        opened.append(BackgroundTracker(name, kind, settings, notify))
    return Tracking(opened)


def _settings(config: RunConfig, name: str) -> TrackerSettings:
    """What a tracker is opened with: the table of its name over the settings of all."""
    common = {key: value for key, value in config.tracking.items() if key in TRACKING}
    options = common | config.tracking.get(name, {})
    tags = options.pop("tags", ())
    known = {key: value for key, value in options.items() if key in TRACKING}
    return TrackerSettings(
        folder=config.run_folder / "trackers" / name.replace(":", "."),
        tags=tuple(split_addresses([tags] if isinstance(tags, str) else tags)),
        more={key: value for key, value in options.items() if key not in TRACKING},
        **known,
    )


def _age(run: Run) -> int:
    """Seconds since a run was made. It grows over all resumes, as the steps of trackers have to."""
    made = datetime.datetime.fromisoformat(run.manifest.created_at).timestamp()
    return max(0, int(time.time() - made))
