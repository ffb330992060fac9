"""Patches that a caller hands in, and the run that grades them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from swerl_eval.compose import gold_predictions, open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.sources.user_files import Predictions, check_predictions, read_predictions

GIVEN = "the predictions"
MODEL = "predictions"
"""The model's name where only patches by id are given, and the setting `model` is empty."""

PredictionsLike = str | Path | Mapping[str, str | None] | Iterable[Mapping[str, Any]]
"""A file, the word `gold`, patches by instance id, or objects as swebench's predictions files hold them."""


def predictions_run(config: RunConfig, given: PredictionsLike) -> tuple[RunConfig, Predictions]:
    """Read predictions for the chosen instances of a dataset.

    Returns:
        The settings of the run that grades them, and the predictions. Other predictions get another run id, unless the
        settings name one.

    Raises:
        InputError: A prediction is malformed, or of an instance that the dataset does not have.
        UsageError: There is no prediction for any chosen instance.
    """
    source = open_source(config)
    if given == "gold":
        predictions = gold_predictions(source)
    else:
        predictions = _read(config, given, source.all_ids)
        predictions = predictions.of({instance.instance_id for instance in source.instances()})
        if not predictions.patches:
            name = given if isinstance(given, str | Path) else GIVEN
            message = f"{name} has no prediction for any chosen instance"
            raise UsageError(message)
    if not config.run_id:
        config = config.model_copy(update={"model": predictions.model_name})
        run_id = f"eval-{config.default_run_id(predictions=predictions.digest)}"  # other patches are another run
        config = config.model_copy(update={"run_id": run_id})
    return config, predictions


def _read(config: RunConfig, given: PredictionsLike, known: frozenset[str]) -> Predictions:
    if isinstance(given, str | Path):
        return read_predictions(Path(given), known)
    if isinstance(given, Mapping):
        model = config.model or MODEL
        given = [
            {"instance_id": name, "model_name_or_path": model, "model_patch": patch} for name, patch in given.items()
        ]
    entries = ((f"{GIVEN}, entry {number}", dict(entry)) for number, entry in enumerate(given, start=1))
    return check_predictions(entries, known, GIVEN)
