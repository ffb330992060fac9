"""Files that are there as a whole or not at all: written beside their place, then renamed into it.

A kill may leave the unfinished file behind. Its name is one that nothing else has, so that it can be removed later.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.unfinished")


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file. Its permissions are those that the user's umask gives a new file."""
    temporary = path.with_name(
        f".{secrets.token_hex(8)}.unfinished"
    )  # short: `path` may have the longest name there is
    # not by `tempfile`, whose files are for their owner alone whatever the umask says
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to be told
            temporary.unlink()
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of `write_bytes` in a folder, and nothing else.

    To be called by whoever alone writes there.
    """
    for path in folder.glob(".*.unfinished"):
        if _UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)
