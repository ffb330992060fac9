"""Chooses the rows of a dataset that a run is about."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swerl_eval.core.codings import sendable_bytes
from swerl_eval.core.errors import InputError, UnknownInstanceError, UsageError

Row = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Filters, each empty for all rows. `among` is applied first, then the others in this order."""

    instances: Sequence[str] = ()
    """Ids, globs, or `@file`."""
    repos: Sequence[str] = ()
    difficulties: Sequence[str] = ()
    limit: int | None = None
    shard: str = ""
    """`i/n`: part i of n, by a stable hash of the id."""
    among: Collection[str] = ()
    """Ids; those that the dataset lacks are ignored."""


def choose(rows: Sequence[Row], choice: Choice) -> list[Row]:
    """Return the chosen rows, in the dataset's order.

    Raises:
        UnknownInstanceError: An id or a glob matches nothing; the message has the nearest ids.
        UsageError: No row is left.
    """
    chosen = [row for row in rows if id_of(row) in choice.among] if choice.among else list(rows)
    if choice.instances:
        wanted = _wanted_ids(choice.instances, [id_of(row) for row in rows])
        chosen = [row for row in chosen if id_of(row) in wanted]
    chosen = _filtered(chosen, "repo", choice.repos)
    chosen = _filtered(chosen, "difficulty", choice.difficulties)
    if choice.limit is not None:
        chosen = chosen[: choice.limit]
    if not chosen:
        message = "no instance is left; check --instances, --repo and --difficulty"
        raise UsageError(message)
    if choice.shard:
        part, parts = map(int, choice.shard.split("/"))
        chosen = [row for row in chosen if shard_of(id_of(row), parts) == part]
    return chosen


def id_of(row: Row) -> str:
    """Return a row's id as a text, whatever its type: only a chosen row needs a valid one."""
    return str(row.get("instance_id", ""))


def shard_of(instance_id: str, parts: int) -> int:
    """Return a number from 1 to `parts`. It follows from the id alone, so other instances do not change it."""
    digest = hashlib.sha256(sendable_bytes(instance_id)).digest()
    return int.from_bytes(digest[:8], "big") % parts + 1


def _filtered(rows: list[Row], column: str, wanted: Sequence[str]) -> list[Row]:
    if not wanted:
        return rows
    present = {str(row.get(column) or "") for row in rows}
    for value in wanted:
        if value not in present:
            message = f"no instance has {column} {value!r}; there are: {', '.join(sorted(present - {''})) or 'none'}"
            raise UsageError(message)
    return [row for row in rows if str(row.get(column) or "") in wanted]


def _wanted_ids(patterns: Iterable[str], known: list[str]) -> set[str]:
    wanted: set[str] = set()
    for pattern, place in _expanded(patterns):
        matches = {pattern} & set(known) or set(fnmatch.filter(known, pattern))
        if not matches:
            near = difflib.get_close_matches(pattern, known, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            message = f"{place}the dataset has no instance {pattern!r}{hint}"
            raise UnknownInstanceError(message)
        wanted |= matches
    return wanted


def _expanded(patterns: Iterable[str]) -> Iterable[tuple[str, str]]:
    for pattern in patterns:
        if not pattern.startswith("@"):
            yield from ((part.strip(), "") for part in pattern.split(",") if part.strip())
            continue
        file = Path(pattern[1:])
        try:
            # some editors put a byte order mark before the first line
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            message = f"cannot read the list of instances {file}: {error.strerror}"
            raise InputError(message) from error
        except UnicodeDecodeError as error:
            message = f"the list of instances {file} is not UTF-8 text: {error.reason} at byte {error.start}"
            raise InputError(message) from error
        for number, line in enumerate(lines, start=1):
            name = line.partition("#")[0].strip()
            if name:
                yield name, f"{file}, line {number}: "
