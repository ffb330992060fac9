"""Bounds the texts and lists of the page's data, and says what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from swerl_eval.core.codings import sendable

MOST_REMARK = 1_000
"""Characters of a name, a reason or a remark, at most."""


def names(values: Sequence[str], most: int) -> list[str]:
    """Return the first names of a list, each cut to a sane length."""
    return [value[:MOST_REMARK] for value in values[:most]]


def shortened(text: str, most: int) -> str:
    """Leave out the middle of a text that is longer than `most` characters."""
    if len(text) <= most:
        return text
    end = text[len(text) - (most - most // 2) :]
    return f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{end}"


def middle_left_out(lines: list[str], most: int) -> list[str]:
    """Leave out the middle of more than `most` lines of a log; of these, the last ones tell the most."""
    if len(lines) <= most:
        return lines
    end = lines[len(lines) - (most - most // 4) :]
    return [*lines[: most // 4], f"… {len(lines) - most} lines left out", *end]


def all_sendable(value: Any) -> Any:
    """Replace in all texts of a JSON-able value what UTF-8 cannot carry."""
    try:
        orjson.dumps(value)  # much quicker than a look at every text, and hardly any has such a character
    except TypeError:
        return _all_sendable(value)
    return value


def _all_sendable(value: Any) -> Any:
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, dict):
        return {_all_sendable(key): _all_sendable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_all_sendable(item) for item in value]
    return value
