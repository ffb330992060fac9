"""Keeps what others print away from the display: an engine's processes write wherever this one does."""

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
    """Meanwhile all that is printed goes to the end of a file, by libraries and by processes started here too.

    Gives the standard error that there was. A `SamplerError` that ends this names the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with file.open("ab") as log, os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding) as shown:
        for number in kept:
            os.dup2(log.fileno(), number)
        try:
            yield shown
        except SamplerError as error:
            message = f"{error}; what was printed meanwhile is in {file}"
            raise SamplerError(message) from error
        finally:
            _flush()
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
