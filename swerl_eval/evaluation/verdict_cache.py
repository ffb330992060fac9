"""Stores verdicts on this machine by the digest of what they depend on, so that nothing unchanged runs twice.

An entry is one file, named by its digest: a gzipped tar of the record and of the logs, written as a whole. An entry
that cannot be read as a whole (torn, of another format, of another program) is treated as missing. Several processes
may read and write at once, since entries of one digest are equal.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import time
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.records.atomic import write_bytes

FORMAT = 1
RECORD = "record.json"
MAX_BYTES = 4 * 2**30
"""Entries beyond this are removed when the folder is opened; those that were not used for longest go first."""
ABANDONED = 24 * 3600.0
"""Seconds after which an unfinished entry must be that of a killed process: writing takes less than a second."""
_LEVEL = 6


class VerdictCache:
    """A folder of entries. An error of its disk does not fail a run: an entry that cannot be written is left out."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._make_room(max_bytes)

    def get(self, key: str, logs: Path, names: Collection[str]) -> dict[str, Any] | None:
        """Return the record of an entry, and put its logs into a folder.

        When one of the logs cannot be written, none of them is left there.

        Args:
            key: Digest of the entry.
            logs: The folder for the logs.
            names: Names of the logs to write. Those that the entry does not have are removed from the folder.

        Returns:
            The record, or None when there is no entry that can be read as a whole.
        """
        try:
            entry = self._path(key).read_bytes()
            record, files = _unpacked(entry, key)
        except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, KeyError, TypeError):
            return None
        try:
            _restore(logs, files, names)
        except OSError:
            return None  # such as a full disk: the evaluation that follows fails with the reason
        self._mark_as_used(key)
        return record

    def put(self, key: str, record: dict[str, Any], logs: Path, names: Collection[str]) -> None:
        """Store a record, and the named logs that exist in a folder."""
        try:
            files = {name: (logs / name).read_bytes() for name in names if (logs / name).is_file()}
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path(key), _packed(record, files, key))
        except OSError:
            return  # such as a full disk or a folder that cannot be written: the next run evaluates again

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.tar.gz"

    def _mark_as_used(self, key: str) -> None:
        try:
            os.utime(self._path(key))
        except OSError:
            return  # not ours, or just removed; the time only decides the order of removal

    def _make_room(self, max_bytes: int) -> None:
        entries = []
        for path in (*self._folder.glob("??/*.tar.gz"), *self._folder.glob("??/.*.unfinished")):
            try:
                facts = path.stat()
                if path.suffix == ".unfinished":
                    if facts.st_mtime < time.time() - ABANDONED:
                        path.unlink(missing_ok=True)
                    continue
            except OSError:
                continue  # another process makes room too
            entries.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= max_bytes:
                return
            with contextlib.suppress(OSError):  # the folder of another user
                path.unlink(missing_ok=True)
            total -= size


def _restore(logs: Path, files: Mapping[str, bytes], names: Collection[str]) -> None:
    """Write the named files into a folder. When one cannot be written, none of them is left there."""
    try:
        for name in names:
            (logs / name).unlink(missing_ok=True)
        for name in names:
            if name in files:
                (logs / name).parent.mkdir(parents=True, exist_ok=True)
                (logs / name).write_bytes(files[name])
    except BaseException:
        for name in names:
            with contextlib.suppress(OSError):
                (logs / name).unlink(missing_ok=True)
        raise


def _packed(record: dict[str, Any], files: dict[str, bytes], key: str) -> bytes:
    head = orjson.dumps({"v": FORMAT, "key": key, "record": record})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in ((RECORD, head), *files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=_LEVEL)


def _unpacked(entry: bytes, key: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the record and the files of an entry. Raises when it is not a whole entry of this key."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(entry)), mode="r:") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                files[member.name] = content.read()
    head = orjson.loads(files.pop(RECORD))
    if head["v"] != FORMAT or head["key"] != key or not isinstance(head["record"], dict):
        message = "not an entry of this key"
        raise ValueError(message)
    return head["record"], files
