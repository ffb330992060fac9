"""Pure functions and records: no files, clock, environment, network or logging; randomness only from a given seed.

The modules are loaded on first use, so that `swerl_eval.core.reward` works after `import swerl_eval`.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    module = f"{__name__}.{name}"
    if not name.startswith("_"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
