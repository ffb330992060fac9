"""Undoes what datasets do to the values that they store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def files(value: Any) -> dict[str, str]:
    """Return path -> text from a cell of a dataset.

    Arrow stores a column of mappings as one struct with the keys of all rows, so a row comes back with None for the
    paths of the other rows; these are dropped. JSON text is the better column: no keys are added to it.

    Args:
        value: A mapping, or the JSON text of one.

    Raises:
        ValueError: The cell is neither. That is a mistake in the dataset, not of the model.
    """
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, Mapping):
        message = f"expected path -> text, or JSON text of that, and found {type(value).__name__}"
        raise ValueError(message)
    return {str(path): text for path, text in value.items() if text is not None}
