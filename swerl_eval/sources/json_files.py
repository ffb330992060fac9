"""JSON files that users bring, read as Python's own `json` reads them, each entry with its place.

That is more than RFC 8259 has: NaN and Infinity, lone surrogates, a byte order mark. Others write such files.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonlines

from swerl_eval.core.errors import InputError

Entry = tuple[str, Any]
"""A place for messages, and what stands there."""
LINES = (".jsonl", ".jsonl.gz")
DOCUMENTS = (".json", ".json.gz")


def is_json(path: Path) -> bool:
    """Whether a file's name says that this module reads it."""
    return path.name.endswith(LINES + DOCUMENTS)


def read_entries(path: Path, kind: str) -> Iterator[Entry]:
    """The entries of a JSONL file, or of a JSON list, or of a JSON object by instance id.

    A `.json` file of several JSON lines is read as lines. Raises `InputError` that names the line or entry; `kind` says
    what a document has to be a list of.
    """
    if path.name.endswith(LINES):
        yield from _lines(path)
        return
    try:
        found = _loads(_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"{path}, line {line}: not valid UTF-8"
        raise InputError(message) from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # a second document: JSON lines under another name
            yield from _lines(path)
            return
        message = f"{path}, line {error.lineno}: {error.msg}"
        raise InputError(message) from error
    except ValueError as error:
        message = f"{path}, line 1: {error}"
        raise InputError(message) from error
    yield from _document(path, found, kind)


def _document(path: Path, found: Any, kind: str) -> Iterator[Entry]:
    if isinstance(found, dict) and _is_one_entry(found):
        entries = [found]
    elif isinstance(found, dict):
        entries = [{"instance_id": key, **value} if isinstance(value, dict) else value for key, value in found.items()]
    elif isinstance(found, list):
        entries = found
    else:
        message = f"{path}: expected a list of {kind}, or an object by instance id"
        raise InputError(message)
    for number, entry in enumerate(entries, start=1):
        yield f"{path}, entry {number}", entry


def _is_one_entry(found: dict[str, Any]) -> bool:
    """Whether a whole document is the only line of a JSONL file."""
    return isinstance(found.get("instance_id"), str)


def _lines(path: Path) -> Iterator[Entry]:
    # split at newlines alone: other line separators may stand within a patch
    reader = jsonlines.Reader(_bytes(path).split(b"\n"), loads=_loads)
    number = 0
    while True:
        number += 1
        try:
            entry = reader.read(allow_none=True)
        except EOFError:
            return
        except jsonlines.InvalidLineError as error:
            if error.line.strip() in {"", b""}:
                continue
            message = f"{path}, line {number}: {str(error).splitlines()[0]}"
            raise InputError(message) from error
        yield f"{path}, line {number}", entry


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
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
