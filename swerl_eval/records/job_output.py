"""Reads the saved output of a job, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 16


def lines_in_pieces(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends; a line of more than 64 KiB in several pieces."""
    with path.open("rb") as source:
        yield from iter(lambda: source.readline(_PIECE), b"")
