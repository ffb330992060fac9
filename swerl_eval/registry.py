"""Turns a name into a class: an entry of a seam's table, or `package.module:Class`."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.errors import UsageError


def load(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The class behind a name, imported now. Raises `UsageError` with the names that were meant."""
    target = table.get(name, name)
    module_name, _, attribute = target.partition(":")
    if not attribute or not module_name or module_name.startswith("."):
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        message = f"no {kind} {name!r}{hint} There are {', '.join(sorted(table))}, or package.module:Class"
        raise UsageError(message)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        message = f"{kind} {name!r}: no module {error.name!r}"
        raise UsageError(message) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        message = f"{kind} {name!r}: {module_name} has no {attribute}"
        raise UsageError(message) from error
