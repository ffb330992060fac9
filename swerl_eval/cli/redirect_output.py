"""Sends what libraries and child processes print to a file, so that it does not garble the display."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from swerl_eval.core.errors import SamplerError
from swerl_eval.core.secrets import Redactor


@contextmanager
def redirect_output(file: Path, redactor: Redactor | None = None) -> Iterator[TextIO]:
    """Within the block, append standard output and error to a file, also those of processes started there.

    Args:
        file: Made where it is not there.
        redactor: Knows the secrets that are masked in the file before and after the block. Not within it: the file is
            read back to find out why an engine died, so it cannot be a pipe.

    Yields:
        The standard error of before.

    Raises:
        SamplerError: The block's own, with the file's name added.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _mask(file, redactor)
    _flush()
    originals = {number: os.dup(number) for number in (1, 2)}
    with file.open("ab") as log, os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding) as terminal:
        for number in originals:
            os.dup2(log.fileno(), number)
        try:
            yield terminal
        except SamplerError as error:
            message = f"{error}; for the full output see {file}"
            raise SamplerError(message) from error
        finally:
            _flush()
            for number, copy in originals.items():
                os.dup2(copy, number)
                os.close(copy)
            _mask(file, redactor)


def _mask(file: Path, redactor: Redactor | None) -> None:
    """Overwrite the secrets in a file, byte by byte, so that others may go on writing at its end."""
    with contextlib.suppress(OSError):
        content = file.read_bytes() if redactor else b""
        masked = redactor.masked(content) if redactor else content
        if masked != content:
            with file.open("r+b") as opened:
                opened.write(masked)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
