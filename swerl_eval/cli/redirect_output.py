"""Sends what libraries and child processes print to a file, so that it does not garble the display."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from swerl_eval.core.errors import SamplerError


@contextmanager
def redirect_output(file: Path) -> Iterator[TextIO]:
    """Within the block, append standard output and error to a file, also those of processes started there.

    Yields:
        The standard error of before.

    Raises:
        SamplerError: The block's own, with the file's name added.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
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


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
