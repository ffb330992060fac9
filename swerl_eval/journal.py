"""One append-only JSONL file of records, and its index by key.

A line is self-contained, carries its format version, and is written by one `write` call, so that a kill at any instant
loses at most the work in flight. A torn last line is cut off when the file is opened for writing. Of several lines with
the same key the last one counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.errors import InputError

SCHEMA_VERSION = 1

Record = TypeVar("Record")


class Journal(Generic[Record]):
    """Records of one type. Only the index is held in memory: 500 answers for each of 500 instances are gigabytes."""

    def __init__(self, path: Path, record: type[Record], key: Callable[[Record], Hashable]) -> None:
        self._path = path
        self._adapter: TypeAdapter[Record] = TypeAdapter(record)
        self._key = key
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._end = 0
        self._handle: int | None = None
        self._load()

    def _load(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # torn by a kill; cut off when opened for writing
                record = self._parse(line, f"line {number}")
                self._places[self._key(record)] = (self._end, len(line))
                self._end += len(line)

    def _parse(self, line: bytes, place: str) -> Record:
        where = f"{self._path}, {place}"
        try:
            fields = orjson.loads(line)
            version = fields.pop("v", None)
            if version != SCHEMA_VERSION:
                message = f"{where}: format version {version}; this program reads version {SCHEMA_VERSION}"
                raise InputError(message)
            return self._adapter.validate_python(fields)
        except (orjson.JSONDecodeError, ValidationError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            message = f"{where}: not a record of this kind ({reason}); restore the file or delete the line"
            raise InputError(message) from error

    def open_for_writing(self) -> None:
        """Cut off a torn last line and get ready to append."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._handle, self._end)

    def append(self, *records: Record) -> None:
        """Store records at once; when this returns, a crash of this process no longer loses them."""
        if self._handle is None:
            message = f"{self._path} is not open for writing"
            raise RuntimeError(message)
        lines = [_line(record) for record in records]
        unwritten = b"".join(lines)
        try:
            while unwritten:
                unwritten = unwritten[os.write(self._handle, unwritten) :]
        except OSError:
            os.ftruncate(self._handle, self._end)  # half a record, when the disk is full
            raise
        for record, line in zip(records, lines, strict=True):
            self._places[self._key(record)] = (self._end, len(line))
            self._end += len(line)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Hashable) -> Record | None:
        """The last record stored under a key."""
        place = self._places.get(key)
        if place is None:
            return None
        with self._path.open("rb") as file:
            return self._read(file, place)

    def values(self) -> Iterator[Record]:
        """All records, one per key, in the order in which the keys first came."""
        if not self._places:
            return
        with self._path.open("rb") as file:
            for place in list(self._places.values()):
                yield self._read(file, place)

    def _read(self, file: BinaryIO, place: tuple[int, int]) -> Record:
        offset, length = place
        file.seek(offset)
        return self._parse(file.read(length), f"byte {offset}")

    def close(self) -> None:
        """Make what was written durable and let go of the file."""
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None


def _line(record: Any) -> bytes:
    # the fields as they are: `asdict` would copy all that is below them, and orjson writes dataclasses itself
    return orjson.dumps({"v": SCHEMA_VERSION, **vars(record)}, option=orjson.OPT_APPEND_NEWLINE)
