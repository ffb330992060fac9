"""What a verdict depends on, as data, and the key that stands for it: the same conditions have the same verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from swerl_eval.core.types import Limits

KEY_VERSION = 1
"""Raised whenever our own part of an evaluation changes its meaning: the job's script, the rules, the control run."""


@dataclass(frozen=True)
class CacheKey:
    """Everything that the verdict on a patch follows from. Any field that differs is another verdict."""

    image_id: str
    """Content digest."""
    engine: str
    """Its name; not its version, which is recorded with each run."""
    architecture: str
    base_commit: str
    eval_script: str
    specification: Mapping[str, Any]
    """How the log is graded: FAIL_TO_PASS, PASS_TO_PASS, log parser, evaluation type, what the parser looks at."""
    test_patch: str
    gold_patch: str
    """The control run's reference."""
    patch: str
    limits: Limits
    environment: tuple[tuple[str, str], ...]
    timeout: float
    """Seconds."""
    swebench: str
    """Version."""
    control: str
    """Digest of the program that makes tests fail."""
    meaning: int = KEY_VERSION

    def digest(self, part: str) -> str:
        """SHA-256 of all of it, for one part of an evaluation (`official`, `strict`, …)."""
        content = json.dumps([part, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()
