"""Carries out runs and evaluations for callers in Python."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread

from swerl_eval.api.notebook import NOTEBOOK, check_progress, show_panel
from swerl_eval.api.own_loop import wait_for
from swerl_eval.api.predictions import PredictionsLike, predictions_run
from swerl_eval.api.progress_lines import Tell, tell_progress
from swerl_eval.api.stored_run import FinishedRun
from swerl_eval.config import RunConfig, load_config
from swerl_eval.core.errors import UsageError, cause_of
from swerl_eval.records.full_disk import explain_full_disk
from swerl_eval.runner import Runner
from swerl_eval.settings import STAGES
from swerl_eval.sources.user_files import Predictions

ConfigLike = RunConfig | str | Path | Mapping[str, Any] | None
"""Settings, a TOML file, the name of a preset, or settings by name. None: the defaults."""
ProgressLike = Tell | Literal["notebook"] | None
"""A function for lines on what the run is doing, or `notebook` for a panel below the cell. None: nothing is told."""


def run(
    config: ConfigLike = None, *, until: str = STAGES[-1], progress: ProgressLike = None, **settings: Any
) -> FinishedRun:
    """Carry out a run, or finish one that was interrupted, and return it.

    It runs in a thread of its own, so it may be called in a notebook. An interrupt cancels it in good order.

    Args:
        config: The settings.
        until: The last stage to carry out: `localize`, `repair`, `select` or `evaluate`.
        progress: Is called with lines on what the run is doing, such as `print`. `notebook`: a panel in place of them.
        settings: Settings by name, over those of `config`.

    Raises:
        SwerlEvalError: The run could not begin or go on. What one instance did wrong is in the result instead.
        KeyboardInterrupt: The call was interrupted. Containers are removed, everything is stored, and the same call
            goes on from there.
    """
    return wait_for(functools.partial(arun, config, until=until, progress=progress, **settings))


async def arun(
    config: ConfigLike = None, *, until: str = STAGES[-1], progress: ProgressLike = None, **settings: Any
) -> FinishedRun:
    """Do what `run` does, on the running event loop. Cancelling it ends the run in good order."""
    if until not in STAGES:
        message = f"there is no stage {until!r}; there are {', '.join(STAGES)}"
        raise UsageError(message)
    return await _carry_out(resolved(config, settings), until, None, progress)


def evaluate(
    predictions: PredictionsLike, config: ConfigLike = None, *, progress: ProgressLike = None, **settings: Any
) -> FinishedRun:
    """Grade patches officially, in a run folder of their own, and return the run.

    Args:
        predictions: Patches by instance id, swebench's prediction objects, a file of these, or the word `gold`.
        config: The settings.
        progress: As `run`.
        settings: Settings by name, over those of `config`, such as `dataset`.

    Raises:
        SwerlEvalError: As `run`.
        KeyboardInterrupt: As `run`.
    """
    return wait_for(functools.partial(aevaluate, predictions, config, progress=progress, **settings))


async def aevaluate(
    predictions: PredictionsLike, config: ConfigLike = None, *, progress: ProgressLike = None, **settings: Any
) -> FinishedRun:
    """Do what `evaluate` does, on the running event loop. Cancelling it ends the run in good order."""
    read = functools.partial(predictions_run, resolved(config, settings), predictions)
    own_config, own_predictions = await anyio.to_thread.run_sync(read)
    return await _carry_out(own_config, STAGES[-1], own_predictions, progress)


def resolved(config: ConfigLike, settings: Mapping[str, Any]) -> RunConfig:
    """Return the checked settings. Raises what `config.load_config` raises."""
    if isinstance(config, RunConfig):
        return load_config(options={**config.model_dump(), **settings}) if settings else config
    if isinstance(config, Mapping):
        return load_config(options={**config, **settings})
    return load_config(None if config is None else Path(config), options=settings)


async def _carry_out(config: RunConfig, until: str, predictions: Predictions | None, show: ProgressLike) -> FinishedRun:
    check_progress(show)
    runner = await anyio.to_thread.run_sync(Runner, config, until, predictions)
    failure: Exception | None = None
    with runner.open_run() as run, explain_full_disk(run.folder):
        try:
            async with anyio.create_task_group() as group:
                if show == NOTEBOOK:
                    group.start_soon(show_panel, runner.progress, runner.stages, run.folder.name)
                elif callable(show):
                    group.start_soon(tell_progress, runner.progress, until, show)
                result = await runner.run_pipeline(run)
                group.cancel_scope.cancel()
            return FinishedRun(result.folder, result.failures, result.infra_errors)
        except Exception as error:  # noqa: BLE001 - raised below, without the groups around it
            failure = cause_of(error)
        raise failure
