"""swebench's harness without what its package brings along.

Importing any part of `swebench.harness` runs its `__init__`, which imports all parts, and with them modal, datasets and
pandas: 130 MB and some seconds of work, of which the specification and the grading use nothing (swebench 5.0.2). Here
the five parts that we use are imported without that `__init__`, and taken out of `sys.modules` again, so that whoever
else imports swebench in this process gets it as it is.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import os
import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

PACKAGE = "swebench.harness"
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class Harness:
    """The parts that we use, as modules."""

    constants: Any
    grading: Any
    infra_failure: Any
    log_parsers: Any
    utils: Any


def harness() -> Harness:
    """The official harness's parts, imported on first use. Thread safe."""
    with _IMPORTING:
        return _harness()


@functools.cache
def _harness() -> Harness:
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
        return _imported()
    finally:
        if stand_in:
            del sys.modules["datasets"]
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]


def _imported() -> Harness:
    return Harness(
        constants=import_module("swebench.harness.constants"),
        grading=_in_utf8(import_module("swebench.harness.grading")),
        infra_failure=import_module("swebench.harness.infra_failure"),
        log_parsers=import_module("swebench.harness.log_parsers"),
        utils=import_module("swebench.harness.utils"),
    )


def _in_utf8(module: ModuleType) -> ModuleType:
    """A copy of a module whose `open` reads UTF-8.

    swebench opens logs in the encoding of the host's locale, which names tests differently from host to host, or fails.
    The logs here are UTF-8. In a UTF-8 locale the copy does what the module does.
    """
    spec = importlib.util.spec_from_file_location(module.__name__, module.__file__)
    if spec is None or spec.loader is None:
        message = f"{module.__name__} has no source"
        raise ImportError(message)
    copy = importlib.util.module_from_spec(spec)
    vars(copy)["open"] = functools.partial(builtins.open, encoding="utf-8")
    spec.loader.exec_module(copy)
    return copy


class _Nothing(ModuleType):
    """A module whose every name is there and is nothing."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def quiet_swebench() -> None:
    """Keep swebench's import from reading a `.env` file of whatever folder the user stands in."""
    os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")
