"""Reads JSON and JSON-lines files, and words their errors: the file, the line, what is wrong, the remedy.

Files that users bring are read as Python's own `json` reads them. That is more than RFC 8259 allows: NaN and Infinity,
lone surrogates, a byte order mark. Other tools write such files.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import jsonlines

from swerl_eval.core.errors import InputError

Entry = tuple[str, dict[str, Any]]
"""An object, and its place in a file for messages."""
LINES = (".jsonl", ".jsonl.gz")
DOCUMENTS = (".json", ".json.gz")


def is_json(path: Path) -> bool:
    """Return whether a file's name says that this module reads it."""
    return path.name.endswith(LINES + DOCUMENTS)


def malformed(place: str, reason: str, remedy: str = "correct it or delete it") -> InputError:
    """Make the error for one place of a file."""
    return InputError(f"{place}: {reason}; {remedy}")


def read_lines(path: Path) -> Iterator[Entry]:
    """Read a file with one JSON object per line, line by line; blank lines are skipped.

    Args:
        path: The file; a name that ends in `.gz` is decompressed.

    Yields:
        Each object with its place: `answers.jsonl, line 3`.

    Raises:
        InputError: The file cannot be read, or a line is no JSON object.
    """
    lines = _NumberedLines(path)
    with jsonlines.Reader(lines, loads=_loads) as reader:
        while True:
            try:
                value = reader.read(allow_none=True)
            except EOFError:
                return
            except jsonlines.InvalidLineError as error:
                if isinstance(error.__cause__, UnicodeDecodeError):
                    raise _not_utf8(lines.place, error.__cause__) from error
                raise _not_json(lines.place, error.__cause__ or error) from error
            yield lines.place, _object(lines.place, value)


def read_entries(path: Path, kind: str) -> Iterator[Entry]:
    """Read the objects of a JSONL file, of a JSON list, or of a JSON object by instance id.

    A `.json` file that holds several lines of JSON is read as JSONL.

    Args:
        path: The file; a name that ends in `.gz` is decompressed.
        kind: What a document is a list of, for messages.

    Yields:
        Each object with its place: `preds.jsonl, line 3` or `preds.json, entry 3`.

    Raises:
        InputError: The file cannot be read, or a line or an entry is no JSON object.
    """
    if path.name.endswith(LINES):
        yield from read_lines(path)
        return
    try:
        document = _document(path)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # a second document: JSON lines under another name
            yield from read_lines(path)
            return
        raise _not_json(f"{path}, line {error.lineno}", error) from error
    for number, entry in enumerate(_entries(path, document, kind), start=1):
        place = f"{path}, entry {number}"
        yield place, _object(place, entry)


def read_document(path: Path) -> Any:
    """Read a file that is one JSON document.

    Args:
        path: The file; a name that ends in `.gz` is decompressed.

    Raises:
        InputError: The file cannot be read, or is no JSON.
    """
    try:
        return _document(path)
    except json.JSONDecodeError as error:
        raise _not_json(f"{path}, line {error.lineno}", error) from error


def _document(path: Path) -> Any:
    """Read one JSON document. A `JSONDecodeError` is left to the caller."""
    try:
        return _loads(b"".join(_raw_lines(path)).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _not_utf8(f"{path}, line {line}", error) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise _not_json(f"{path}, line 1", error) from error


def _entries(path: Path, document: Any, kind: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise malformed(str(path), f"expected a list of {kind}, or an object by instance id", "write it as one of them")
    if isinstance(document.get("instance_id"), str):  # the only line of a JSONL file
        return [document]
    return [{"instance_id": key, **value} if isinstance(value, dict) else value for key, value in document.items()]


def _object(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed(place, f"expected an object, found {type(value).__name__}")
    return value


class _NumberedLines:
    """The lines of a file that are not blank, without the file's byte order mark. Knows the place of the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0

    @property
    def place(self) -> str:
        return f"{self._path}, line {self._number}"

    def __iter__(self) -> Iterator[bytes]:
        for line in _raw_lines(self._path):
            self._number += 1
            text = line.removeprefix(codecs.BOM_UTF8) if self._number == 1 else line
            if text.strip():
                yield text


def _raw_lines(path: Path) -> Iterator[bytes]:
    """Yield lines that end at newlines alone: other line separators may stand within a patch."""
    try:
        with cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        message = f"{path} is not a whole gzip file: {error}"
        raise InputError(message) from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from error


def _loads(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error


def _not_json(place: str, error: BaseException) -> InputError:
    reason = f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return malformed(place, f"not valid JSON: {reason}")


def _not_utf8(place: str, error: UnicodeDecodeError) -> InputError:
    return malformed(place, f"not valid UTF-8: {error.reason}", "save the file as UTF-8")
