"""swebench's harness without what its package brings along.

Importing any part of `swebench.harness` runs its `__init__`, which imports all parts, and with them modal, datasets and
pandas: 130 MB and some seconds of work, of which the specification and the grading use nothing (swebench 5.0.2). Here
the four parts that we use are imported without that `__init__`, and taken out of `sys.modules` again, so that whoever
else imports swebench in this process gets it as it is.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import EnumMeta
from importlib import import_module
from types import ModuleType
from typing import Any

PACKAGE = "swebench.harness"


@dataclass(frozen=True)
class Harness:
    """The parts that we use, as modules."""

    constants: Any
    grading: Any
    infra_failure: Any
    log_parsers: Any
    utils: Any


@functools.cache
def harness() -> Harness:
    """The official harness's parts, imported on first use."""
    quiet_swebench()
    if PACKAGE in sys.modules:  # somebody has paid for it already
        return _imported()
    spec = importlib.util.find_spec("swebench")
    bare = ModuleType(PACKAGE)
    bare.__path__ = [f"{place}/harness" for place in (spec.submodule_search_locations or [])] if spec else []
    sys.modules[PACKAGE] = bare
    stand_in = "datasets" not in sys.modules
    if stand_in:  # what utils loads rows from a hub with; we never ask it to
        sys.modules["datasets"] = _Nothing("datasets")
    try:
        found = _imported()
        _quicken(found.log_parsers)
        return found
    finally:
        if stand_in:
            del sys.modules["datasets"]
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]


def _imported() -> Harness:
    return Harness(
        constants=import_module("swebench.harness.constants"),
        grading=import_module("swebench.harness.grading"),
        infra_failure=import_module("swebench.harness.infra_failure"),
        log_parsers=import_module("swebench.harness.log_parsers"),
        utils=import_module("swebench.harness.utils"),
    )


@dataclass(frozen=True)
class _Member:
    """A member of an enumeration, or all of them at once."""

    value: Any


class _Statuses(tuple[_Member, ...]):
    """swebench's enumeration of test statuses, for parsers that ask of each line whether it begins with one of them.

    Going through its members gives one that stands for all: its value is the tuple of their values, which
    `startswith` and `endswith` take as well. That is the only use that the parsers make of going through them, and it
    is where four fifths of the time of grading a long log went.
    """

    def __new__(cls, members: Sequence[Any]) -> _Statuses:
        made = super().__new__(cls, [_Member(tuple(member.value for member in members))])
        for member in members:
            setattr(made, member.name, _Member(member.value))
        return made


def _quicken(log_parsers: Any) -> None:
    """Give our own copy of the parsers the quicker enumeration; results are the same (a test compares them)."""
    for parser in log_parsers.PARSER_REGISTRY.values():
        names = parser.__globals__
        if isinstance(names.get("TestStatus"), EnumMeta):
            names["TestStatus"] = _Statuses(list(names["TestStatus"]))


class _Nothing(ModuleType):
    """A module whose every name is there and is nothing."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def quiet_swebench() -> None:
    """Keep swebench's import from reading a `.env` file of whatever folder the user stands in."""
    os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")
