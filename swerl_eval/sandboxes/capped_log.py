"""A log file of bounded size for a job's output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swerl_eval.core.jobs.sections import Bounded

TAIL_BYTES = 2**20
"""How much of the end of an overlong output is kept. It holds the markers that a verdict needs."""
PIECE_BYTES = 2**16
"""A larger chunk of output is split before it is kept or left out."""


@dataclass
class CappedLog:
    """A log file of bounded size that keeps the beginning and the end of what is written (`core.jobs.sections`)."""

    path: Path
    max_bytes: int
    truncated: bool = False

    def __enter__(self) -> CappedLog:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # the reader of an earlier try may still hold the file, on an engine that does not answer: it keeps its own
        self.path.unlink(missing_ok=True)
        self._file = self.path.open("wb")
        self._bounded = Bounded(self._write, self.max_bytes, TAIL_BYTES, tail_weight=len)
        return self

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        for start in range(0, len(chunk), PIECE_BYTES):
            self._bounded.take(chunk[start : start + PIECE_BYTES])

    def __exit__(self, *_: object) -> None:
        with self._file:
            self.truncated = self._bounded.end()

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
