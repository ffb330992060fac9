"""Measure how many SWE-bench Verified issues a code model really fixes.

`swerl_eval.core` (the reward, the edit format, the metrics) is loaded on first use; importing this package does
nothing else.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    if name == "core":
        return importlib.import_module("swerl_eval.core")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
