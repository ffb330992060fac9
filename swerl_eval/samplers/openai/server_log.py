"""The log of a server that this package starts: what the server prints, without secrets.

A server may print its command and its environment, keys included. It prints into a pipe; a thread of this process
writes what comes to the log. A part of the output that may be the beginning of a secret waits for what follows.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swerl_eval.core.secrets import Redactor

_AT_ONCE = 65536
"""Bytes that are read in one go."""
_TAIL_BYTES = 4096


class ServerLog:
    """Appends the output of a server to a file.

    Args:
        file: The log. Its folder is made where it is not there.
        redactor: Knows the secrets.
        heading: Written first.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, file: Path, redactor: Redactor, heading: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._clean = redactor.stream()
        self._log = file.open("ab", buffering=0)
        self._log.write(redactor(heading).encode("utf-8", "replace"))
        self._begin = self._log.tell()
        self._source, self._sink = os.pipe()
        self._thread = threading.Thread(target=self._copy, name=f"log {file.name}", daemon=True)

    @contextmanager
    def following(self) -> Iterator[int]:
        """Yield a descriptor for a process that is started in the block. From then on its output is copied."""
        self._thread.start()
        try:
            yield self._sink
        finally:
            os.close(self._sink)  # the output ends when the process and its children are gone

    def drain(self, seconds: float) -> None:
        """Wait until all of the output is in the file; for `seconds` at most, since a child may have got away."""
        self._thread.join(seconds)

    def tail(self) -> str:
        """Return the end of the output."""
        with self._file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._begin, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")

    def _copy(self) -> None:
        part = b"-"
        with self._log, os.fdopen(self._source, "rb", buffering=0) as source:
            while part:
                part = source.read(_AT_ONCE)
                with contextlib.suppress(OSError):  # a full disk must not stop the server
                    self._log.write(self._clean(part))
