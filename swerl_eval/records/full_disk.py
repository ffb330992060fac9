"""Says what a full disk means for a folder of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swerl_eval.core.errors import DISK_FULL_ERRNOS, StorageError


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Context manager for work that writes below a folder.

    Raises:
        StorageError: The disk became full within the block; the message names the folder and the remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        message = (
            f"{folder} cannot be written: {error.strerror}; free some of its disk, then run the same "
            "command again (nothing that was stored is lost)"
        )
        raise StorageError(message) from error
