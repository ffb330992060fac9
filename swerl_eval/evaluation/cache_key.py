"""The key of a cached verdict: everything that the verdict depends on. Equal keys have equal verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from swerl_eval.core.types import Limits

KEY_VERSION = 1
"""Is raised when our own part of an evaluation changes: the job's script, the rules, the control run."""


@dataclass(frozen=True)
class CacheKey:
    """Everything that the verdict on a patch depends on."""

    image_id: str
    """Content digest."""
    engine: str
    """Name of the container engine, without its version, which each run records."""
    architecture: str
    base_commit: str
    eval_script: str
    specification: Mapping[str, Any]
    """What decides how the log is graded (`official.specification.grading_inputs`)."""
    test_patch: str
    gold_patch: str
    """Is the reference of the control run."""
    patch: str
    limits: Limits
    environment: tuple[tuple[str, str], ...]
    timeout: float
    """Seconds."""
    swebench: str
    """Version of the package."""
    control: str
    """Digest of the program that makes tests fail in the control run."""
    meaning: int = KEY_VERSION

    def digest(self, part: str) -> str:
        """Return the SHA-256 of the key, for one part of an evaluation: `official`, `strict` or `gold`."""
        content = json.dumps([part, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()
