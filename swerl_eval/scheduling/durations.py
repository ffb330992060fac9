"""How long instances took on this machine, so that the longest can be started first and none is left to the end."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import filelock
import orjson

from swerl_eval.core.types import Instance
from swerl_eval.records.atomic import write_json

SECONDS_A_TEST = 0.02
"""For an instance of a repository of which nothing is known: only the order matters."""


def by_repository(instances: Sequence[Instance]) -> list[Instance]:
    """The same instances, those of one repository and version after each other; repositories as they came.

    Their images share layers, neighbours in time most: with a budget of disk they are used while they are
    there. In another order, 284 of 1,868 MB were seen to be pulled twice.
    """
    places: dict[str, int] = {}
    for instance in instances:
        places.setdefault(instance.repo, len(places))
    return sorted(
        instances, key=lambda each: (places[each.repo], _natural(each.version), each.created_at, _natural(each.image))
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """For an order in which 9 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


class Durations:
    """A small file of seconds by instance id. One that cannot be read or written is as good as none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds = self._read()

    def longest_first(self, instances: Sequence[Instance], tests: Mapping[str, int]) -> list[Instance]:
        """The instances by what is expected of them; `tests` is how many decide on each."""
        by_repo: dict[str, list[float]] = {}
        for instance in instances:
            if instance.instance_id in self._seconds:
                by_repo.setdefault(instance.repo, []).append(self._seconds[instance.instance_id])
        typical = {repo: statistics.median(seconds) for repo, seconds in by_repo.items()}

        def expected(instance: Instance) -> float:
            unknown = typical.get(instance.repo, SECONDS_A_TEST * tests.get(instance.instance_id, 0))
            return self._seconds.get(instance.instance_id, unknown)

        return sorted(instances, key=expected, reverse=True)

    def record(self, seconds: Mapping[str, float]) -> None:
        """Remember these, beside what other processes have written in the meantime."""
        if not seconds:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self._file.with_suffix(".lock"), timeout=10):
                self._seconds = {**self._read(), **seconds}
                write_json(self._file, self._seconds)
        except (OSError, filelock.Timeout):
            return

    def _read(self) -> dict[str, float]:
        try:
            found = orjson.loads(self._file.read_bytes())
            return {str(name): float(seconds) for name, seconds in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
