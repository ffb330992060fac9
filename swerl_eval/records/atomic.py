"""Writes files and folders that are there as a whole or not at all: made beside their place, then renamed into it.

A kill may leave the unfinished one behind. Its name is one that nothing else has, so that it can be removed later.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.unfinished")


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file. Its permissions are those that the user's umask gives a new file.

    Args:
        path: The file.
        content: What it will hold.
        durable: Wait until the disk has it, so that a power failure does not leave the new file empty.
    """
    write_pieces(path, (content,), durable=durable)


def write_pieces(path: Path, pieces: Iterable[bytes], *, durable: bool = True) -> None:
    """Replace a file by pieces that need not be in memory at once. If making one raises, the old file stays."""
    # short: `path` may have the longest name there is
    temporary = path.with_name(f".{secrets.token_hex(8)}.unfinished")
    # not by `tempfile`: its files are for their owner alone, whatever the umask says
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            temporary.unlink()
        raise


def write_json(path: Path, value: object) -> None:
    """Replace a file by a JSON document."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_lines(path: Path, rows: Iterable[object]) -> None:
    """Replace a file by JSON lines."""
    write_bytes(path, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))


def remove_unfinished(folder: Path) -> None:
    """Remove the files that killed processes left of `write_bytes` in a folder, and nothing else.

    Only the process that alone writes to the folder may call this.
    """
    for path in folder.glob(".*.unfinished"):
        if _UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Replace a folder by one that the block makes. If the block raises, the old folder stays as it was.

    Only one process at a time may replace a folder. It also removes what killed processes left of the same folder.

    Args:
        folder: The folder to replace, or a path where there is none yet. Its parent exists.

    Yields:
        The path at which the block makes the new folder. Nothing is there yet.
    """
    prefix = f".new-{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix, ignore_cleanup_errors=True) as temporary:
        new = Path(temporary) / "new"
        yield new
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        new.rename(folder)
