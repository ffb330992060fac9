"""An append-only JSONL file of records, and its index by key.

A line is self-contained, carries its format version, and is written by one `write` call, so that a kill at any instant
loses at most the work in flight. A torn last line is cut off when the file is opened for writing. Of several lines with
the same key the last one counts. A line `{"removed": key}` removes a record.

Journals are this program's own files, so they are read strictly, unlike the files of users (`json_files.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.errors import InputError
from swerl_eval.records.json_files import malformed

SCHEMA_VERSION = 1

Record = TypeVar("Record")
REMOVED = "removed"
REMEDY = "restore the file or delete the line"


@dataclass(frozen=True)
class _Removal:
    """A line that removes a record."""

    key: Hashable


class Journal(Generic[Record]):
    """Records of one type, in one file.

    Only the index is held in memory: 500 answers for each of 500 instances are gigabytes.

    Args:
        path: The file; it need not exist.
        record: The type of the records, a dataclass.
        key: Returns a record's key.
        mark: Returns whether a record's key belongs to `marked`.

    Raises:
        InputError: A line is no record of this type.
    """

    def __init__(
        self,
        path: Path,
        record: type[Record],
        key: Callable[[Record], Hashable],
        mark: Callable[[Record], bool] = lambda _: False,
    ) -> None:
        self.path = path
        self._mark = mark
        self.marked: set[Any] = set()
        """Keys of the records that `mark` is true of; the file need not be read to know them."""
        self._adapter: TypeAdapter[Record] = TypeAdapter(record)
        self._key = key
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._end = 0
        self._handle: int | None = None
        self._load()

    def _load(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # torn by a kill; cut off when opened for writing
                record = self._parse(line, f"line {number}")
                if isinstance(record, _Removal):
                    self._forget(record.key)
                    self._end += len(line)
                else:
                    self._index(record, len(line))

    def _parse(self, line: bytes, place: str) -> Record | _Removal:
        where = f"{self.path}, {place}"
        try:
            fields = orjson.loads(line)
            version = fields.pop("v", None)
            if version != SCHEMA_VERSION:
                message = f"{where}: format version {version}; this program reads version {SCHEMA_VERSION}"
                raise InputError(message)
            if fields.keys() == {REMOVED}:
                key = fields[REMOVED]
                return _Removal(tuple(key) if isinstance(key, list) else key)
            return self._adapter.validate_python(fields)
        except (orjson.JSONDecodeError, ValidationError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise malformed(where, f"not a record of this kind ({reason})", REMEDY) from error

    def _index(self, record: Record, length: int) -> None:
        """Add the record whose line is the next one of the file."""
        key = self._key(record)
        self._places[key] = (self._end, length)
        self._end += length
        (self.marked.add if self._mark(record) else self.marked.discard)(key)

    def _forget(self, key: Hashable) -> None:
        self._places.pop(key, None)
        self.marked.discard(key)

    def open_for_writing(self) -> None:
        """Cut off a torn last line and get ready to append."""
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._handle, self._end)

    def append(self, *records: Record) -> None:
        """Store records; when this returns, a crash of this process no longer loses them."""
        lines = [_line(vars(record)) for record in records]
        self._write(b"".join(lines))
        for record, line in zip(records, lines, strict=True):
            self._index(record, len(line))

    def remove_if(self, unwanted: Callable[[Any], bool]) -> None:
        """Remove the records whose key is unwanted, as durably as `append` stores one."""
        keys = [key for key in self._places if unwanted(key)]
        lines = b"".join(_line({REMOVED: key}) for key in keys)
        self._write(lines)
        self._end += len(lines)
        for key in keys:
            self._forget(key)

    def _write(self, lines: bytes) -> None:
        if self._handle is None:
            message = f"{self.path} is not open for writing"
            raise RuntimeError(message)
        try:
            while lines:
                lines = lines[os.write(self._handle, lines) :]
        except OSError:
            os.ftruncate(self._handle, self._end)  # remove the half of a record that a full disk took
            raise

    def keys(self) -> list[Any]:
        """Return the keys, in the order in which they first came."""
        return list(self._places)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Hashable) -> Record | None:
        """Return the last record stored under a key, if there is one."""
        place = self._places.get(key)
        if place is None:
            return None
        with self.path.open("rb") as file:
            return self._read(file, place)

    def values(self) -> Iterator[Record]:
        """Yield one record per key, in the order in which the keys first came."""
        return self.get_all(list(self._places))

    def get_all(self, keys: Iterable[Hashable]) -> Iterator[Record]:
        """Yield the last record of each key that there is one of."""
        places = [self._places[key] for key in keys if key in self._places]
        if not places:
            return
        with self.path.open("rb") as file:
            for place in places:
                yield self._read(file, place)

    def _read(self, file: BinaryIO, place: tuple[int, int]) -> Record:
        offset, length = place
        file.seek(offset)
        record = self._parse(file.read(length), f"byte {offset}")
        if isinstance(record, _Removal):  # the file was replaced since the index was made
            raise malformed(f"{self.path}, byte {offset}", "no record", "do not change the file of a run under way")
        return record

    def close(self) -> None:
        """Flush what was written to the disk and close the file."""
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None


def records_by_instance(journal: Journal[Record]) -> Callable[[str], Iterator[Record]]:
    """Return a function that reads the records of one instance, one at a time: all of a run's may fill the memory.

    Args:
        journal: One whose keys begin with the instance's id.
    """
    keys: dict[str, list[Any]] = {}
    for key in journal.keys():  # noqa: SIM118 - a journal is no mapping
        keys.setdefault(key[0], []).append(key)
    return lambda name: journal.get_all(keys.get(name, ()))


def _line(fields: dict[str, Any]) -> bytes:
    # not by `asdict`: it would copy all nested values, and orjson writes dataclasses itself
    return orjson.dumps({"v": SCHEMA_VERSION, **fields}, option=orjson.OPT_APPEND_NEWLINE)
