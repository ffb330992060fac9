"""Free space on the engine's disk."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

FULL_BELOW = 64 * 2**20
"""Bytes. A disk with less free space counts as full."""


class EngineDisk:
    """The disk with the engine's folder, shared by all jobs. Thread safe."""

    def __init__(self, root: Path | None) -> None:
        """`root` is the engine's folder; None where it is on another machine, whose disk never counts as full."""
        self.root = root
        self._last_seen_full = -math.inf

    def has_free(self, size: int) -> bool:
        """Whether at least `size` bytes are free, as far as can be told."""
        return self.root is None or shutil.disk_usage(self.root).free >= size

    def look(self) -> None:
        """Remember it if the disk is full now, for all jobs that run: what filled it may be removed soon."""
        if not self.has_free(FULL_BELOW):
            self._last_seen_full = time.monotonic()

    def full_since(self, moment: float) -> bool:
        """Whether the disk is full, or was at any look since `moment` (`time.monotonic`)."""
        self.look()
        return self._last_seen_full >= moment
