"""Split a reply into server-sent events. Data that is no JSON is an error, since it may have been text of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from swerl_eval.samplers.openai.refusals import printable

MAX_BYTES = 1 << 26
"""Of a reply that is not split into events. A longer one is no answer."""


class ReplyError(Exception):
    """A reply is an error.

    Args:
        words: The server's own.
        status: The HTTP status that it stands for; None if it does not say.
    """

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


class EventReader:
    """Splits a body into the JSON objects of its events. Lines that belong to no event are collected in `stray`."""

    def __init__(self) -> None:
        self.done = False
        """Whether `[DONE]` came. What follows it is ignored."""
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []
        self._stray: list[bytes] = []
        self._stored_bytes = 0

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the objects that these bytes complete. Raises `ReplyError` for a reply that is no stream of JSON."""
        self._pieces.append(data)
        if b"\n" not in data and b"\r" not in data:
            self._count_bytes(len(data))
            return
        lines = b"".join(self._pieces).splitlines(keepends=True)
        self._pieces = [] if lines[-1].endswith((b"\n", b"\r")) else [lines.pop()]
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield the objects that the end of the body completes. Raises as `feed` does."""
        rest, self._pieces = b"".join(self._pieces), []
        yield from self._line(rest)
        yield from self._line(b"")

    @property
    def stray(self) -> bytes:
        """Lines that belong to no event: the whole body, if it is no stream."""
        return b"\n".join(self._stray)

    def _line(self, line: bytes) -> Iterator[dict[str, Any]]:
        line = line.rstrip(b"\r\n")
        if self.done:
            return
        if line.startswith(b"data:"):
            value = line[5:].strip()
            if value.startswith(b"[DONE]"):
                self.done = True
            elif not self._data and (events := _objects(value)) is not None:
                yield from events
            elif value:
                self._count_bytes(len(value))
                self._data.append(value)
        elif not line:
            data, self._data = self._data, []
            yield from _joined(data)
        elif not line.startswith((b":", b"event:", b"id:", b"retry:")):
            self._count_bytes(len(line))
            self._stray.append(line)

    def _count_bytes(self, size: int) -> None:
        self._stored_bytes += size
        if self._stored_bytes > MAX_BYTES:
            message = f"the reply is over {MAX_BYTES >> 20} MB and no stream of events"
            raise ReplyError(message)


def _joined(data: list[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the objects of an event with several data lines: one object over all lines, or one in each."""
    if not data:
        return
    whole = _objects(b"\n".join(data))
    for events in [whole] if whole is not None else map(_objects, data):
        if events is None:
            message = f"the stream holds what is no JSON: {printable(b' '.join(data), 200)}"
            raise ReplyError(message)
        yield from events


def _objects(data: bytes) -> list[dict[str, Any]] | None:
    """Return the objects that a JSON text is or lists; None if it is no JSON."""
    try:
        value = parsed(data)
    except ValueError:
        return None
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def parsed(data: bytes) -> Any:
    """Parse JSON, also with bytes that are not UTF-8 and with lone surrogates. Raises `ValueError` if it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data.decode("utf-8", "replace"))
        except RecursionError as error:
            raise ValueError(str(error)) from error
