"""Verdicts kept on this machine by what they follow from, so that nothing unchanged is run twice.

An entry is one file, named by its key: a gzipped tar of the record and of the logs, written beside its place and
renamed into it. One that cannot be read as a whole (torn, of another format, of another program) is as good as none.
Several processes may read and write at once: entries of one key say the same.
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
MOST_BYTES = 4 * 2**30
"""Entries beyond this, the longest unused ones first, are removed when the folder is opened."""
ABANDONED = 24 * 3600.0
"""Seconds after which an unfinished entry is what a killed process left: writing one takes less than a second."""
_LEVEL = 6


class VerdictCache:
    """A folder of entries. No error of the disk is an error of a run: what cannot be stored is not stored."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._make_room(most_bytes)

    def get(self, key: str, logs: Path, names: Collection[str]) -> dict[str, Any] | None:
        """The record of a key, its logs put into `logs`; None where there is no whole entry.

        Of the files of an entry only those in `names` are written, in their order, and those in `names` that it lacks
        are removed. Where one cannot be written, none of them is left: half of the logs never stand for all.
        """
        try:
            entry = self._path(key).read_bytes()
            record, files = _unpacked(entry, key)
        except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, KeyError, TypeError):
            return None
        try:
            _restore(logs, files, names)
        except OSError:
            return None  # a full disk, say: the evaluation will tell
        self._mark_as_used(key)
        return record

    def put(self, key: str, record: dict[str, Any], logs: Path, names: Collection[str]) -> None:
        """Store a record and those of the named logs that there are."""
        try:
            files = {name: (logs / name).read_bytes() for name in names if (logs / name).is_file()}
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path(key), _packed(record, files, key))
        except OSError:
            return  # a full disk or a folder that cannot be written: the next run does it again

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.tar.gz"

    def _mark_as_used(self, key: str) -> None:
        try:
            os.utime(self._path(key))
        except OSError:
            return  # not ours, or just removed: it is only for the order of removal

    def _make_room(self, most_bytes: int) -> None:
        found = []
        for path in (*self._folder.glob("??/*.tar.gz"), *self._folder.glob("??/.*.unfinished")):
            try:
                facts = path.stat()
                if path.suffix == ".unfinished":
                    if facts.st_mtime < time.time() - ABANDONED:
                        path.unlink(missing_ok=True)
                    continue
            except OSError:
                continue  # another process makes room too
            found.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= most_bytes:
                return
            with contextlib.suppress(OSError):  # a folder of somebody else: nothing is gained, and nothing lost
                path.unlink(missing_ok=True)
            total -= size


def _restore(logs: Path, files: Mapping[str, bytes], names: Collection[str]) -> None:
    """Put the named files into a folder; none is left there where one cannot be written."""
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
    """Raises for whatever is not an entry of this key, to its last byte (gzip's checksum)."""
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
