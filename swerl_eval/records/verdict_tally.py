"""Counts the verdicts of a run folder without loading its journals: reads each line once, also of files that grow."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Verdict
from swerl_eval.records.journal import REMEDY, REMOVED, SCHEMA_VERSION
from swerl_eval.records.json_files import malformed


@dataclass(frozen=True)
class InstanceVerdict:
    """Both verdicts on the patch that was chosen for an instance."""

    official: str
    strict: str | None = None

    def settled(self, *, strict: bool) -> bool:
        """Whether nothing is left to run; as `Evaluation.settled`."""
        prevented = Verdict.INFRA_ERROR.value in (self.official, self.strict)
        return not prevented and (not strict or self.strict is not None)


class VerdictTally:
    """The verdicts on the chosen patches of a run, finished or not.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._chosen = _JournalTail(folder / "selections.jsonl", lambda row: (row["instance_id"], sha256(row["patch"])))
        self._evaluated = _JournalTail(
            folder / "evaluations.jsonl",
            lambda row: (
                (row["instance_id"], row["patch_sha256"]),
                InstanceVerdict(str(row["verdict"]), row.get("strict")),
            ),
        )

    def update(self) -> dict[str, InstanceVerdict]:
        """Read what was added, and return the verdicts by instance, in the order in which they came.

        Raises:
            InputError: A line is no record.
            OSError: A file cannot be read.
        """
        chosen = self._chosen.update()
        evaluated = self._evaluated.update()
        return {name: verdict for (name, patch), verdict in evaluated.items() if chosen.get(name) == patch}


class _JournalTail:
    """What is of interest in the records of one journal, by key; each line is read once.

    Args:
        path: The journal; it need not exist.
        entry: Returns the key of a line's record, and what to keep of it.
    """

    def __init__(self, path: Path, entry: Callable[[dict[str, Any]], tuple[Hashable, Any]]) -> None:
        self._path = path
        self._entry = entry
        self._entries: dict[Any, Any] = {}
        self._end = 0
        self._file = (0, 0)

    def update(self) -> dict[Any, Any]:
        """Read the lines that were added, or all lines if the file is another or a shorter one; return the entries."""
        try:
            with self._path.open("rb") as lines:
                status = os.fstat(lines.fileno())
                if (status.st_dev, status.st_ino) != self._file or status.st_size < self._end:
                    self._restart((status.st_dev, status.st_ino))
                lines.seek(self._end)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break  # it is being written, or was torn by a kill
                    self._read(line)
                    self._end += len(line)
        except FileNotFoundError:
            self._restart((0, 0))
        return self._entries

    def _restart(self, file: tuple[int, int]) -> None:
        self._entries.clear()
        self._end = 0
        self._file = file

    def _read(self, line: bytes) -> None:
        try:
            row = orjson.loads(line)
            if row.pop("v", None) != SCHEMA_VERSION:
                raise ValueError("another format version")
            if row.keys() == {REMOVED}:
                key = row[REMOVED]
                self._entries.pop(tuple(key) if isinstance(key, list) else key, None)
            else:
                key, value = self._entry(row)
                self._entries[key] = value
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"not a record of this kind ({str(error).splitlines()[0]})"
            raise malformed(f"{self._path}, byte {self._end}", reason, REMEDY) from error
