"""Measure how many SWE-bench Verified issues a code model really fixes.

`docs/python.md` describes the public names. They are loaded on first use; importing this package does nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swerl_eval.api.running import aevaluate, arun, evaluate, run
    from swerl_eval.api.stored_run import FinishedRun, StoredRun, load_run
    from swerl_eval.config import RunConfig
    from swerl_eval.core.errors import SwerlEvalError

__all__ = [
    "FinishedRun",
    "RunConfig",
    "StoredRun",
    "SwerlEvalError",
    "aevaluate",
    "arun",
    "evaluate",
    "load_run",
    "run",
]
__version__ = "0.1.0"

_MODULES = {
    "run": "swerl_eval.api.running",
    "arun": "swerl_eval.api.running",
    "evaluate": "swerl_eval.api.running",
    "aevaluate": "swerl_eval.api.running",
    "load_run": "swerl_eval.api.stored_run",
    "StoredRun": "swerl_eval.api.stored_run",
    "FinishedRun": "swerl_eval.api.stored_run",
    "RunConfig": "swerl_eval.config",
    "SwerlEvalError": "swerl_eval.core.errors",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    if name == "core":
        return importlib.import_module("swerl_eval.core")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES, "core"]
