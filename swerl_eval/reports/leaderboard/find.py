"""Finds the run folders below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.records.manifest import MANIFEST_FILE

DEPTH = 4
"""Folders below the given one that are searched, one in another."""


def run_folders(root: Path, depth: int = DEPTH) -> Iterator[tuple[Path, str]]:
    """Yield the run folders below a folder, or the folder itself if it is one, each with what keeps it from being read.

    Links to folders are not followed, hidden folders and those within a run folder are not searched. The order is that
    of the names.

    Args:
        root: The folder.
        depth: How deep folders are searched.

    Yields:
        A folder and an empty text; or a folder that cannot be searched, and why.

    Raises:
        UsageError: There is no such folder.
    """
    if not root.is_dir():
        message = f"{root} is no folder; name a folder of runs, such as results"
        raise UsageError(message)
    yield from _search(root, depth)


def _search(folder: Path, depth: int) -> Iterator[tuple[Path, str]]:
    if (folder / MANIFEST_FILE).is_file():
        yield folder, ""
        return
    if depth == 0:
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except OSError as error:
        yield folder, f"cannot be searched: {error.strerror}"
        return
    for name in names:
        yield from _search(folder / name, depth - 1)
