"""Reads the setting `submission`: what only the submitter knows, such as names, links and organisations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swerl_eval.core.errors import UsageError


def flag(details: Mapping[str, Any], key: str) -> bool:
    """Return a boolean of the submitter's; False where it is not given.

    Raises:
        UsageError: It is anything else, such as the text "false".
    """
    value = details.get(key, False)
    if not isinstance(value, bool):
        message = f"submission.{key} must be true or false, not {value!r}"
        raise UsageError(message)
    return value


def text(details: Mapping[str, Any], key: str) -> str | None:
    """Return a text of the submitter's; None where it is not given, or empty.

    Raises:
        UsageError: It is no text.
    """
    value = details.get(key)
    if value is not None and not isinstance(value, str):
        message = f"submission.{key} must be a text, not {value!r}"
        raise UsageError(message)
    return value or None


def texts(details: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of texts of the submitter's; a single text is a list of one.

    Raises:
        UsageError: It is anything else.
    """
    value = details.get(key) or []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        message = f"submission.{key} must be a text or a list of texts, not {value!r}"
        raise UsageError(message)
    return list(value)
