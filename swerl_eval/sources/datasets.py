"""Reads the rows of a dataset, from the hub, a file or a task repository, as instances and oracles."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.errors import InputError, SourceError, UnknownInstanceError, UsageError
from swerl_eval.core.hub_names import split_revision
from swerl_eval.core.types import Instance, Oracle, TestPlan
from swerl_eval.official.harness import quiet_swebench
from swerl_eval.official.rows import count_tests, test_plan
from swerl_eval.ports import Snapshot
from swerl_eval.sources.choice import Choice, Row, choose
from swerl_eval.sources.repositories import Repositories
from swerl_eval.sources.row_files import KINDS, file_rows, folder_rows, is_row_file
from swerl_eval.sources.rows import normalized

LITE = "SWE-bench/SWE-bench_Lite"
"""swebench's own table of aliases lacks `lite`."""
HUB_MESSAGE_CHARACTERS = 600
"""Longest part of the hub's own message in an error."""


@dataclass(frozen=True)
class ChosenRows:
    """What a manifest holds of some rows."""

    instances: Sequence[Instance]
    fingerprint: str


class DatasetSource:
    """The chosen rows of one dataset (a `ports.Source`).

    Args:
        rows: The chosen rows, as `rows.normalized` gives them.
        repositories: Gives the contents of the rows' repositories.
        all_ids: The ids of the whole dataset.
        fingerprint: Hash of the chosen rows.
        unsharded: All rows that the shards share out; None where the run is no shard.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        repositories: Repositories,
        all_ids: frozenset[str],
        fingerprint: str,
        unsharded: ChosenRows | None = None,
    ) -> None:
        self._rows = {str(row["instance_id"]): row for row in rows}
        self.all_ids = all_ids
        self._repositories = repositories
        self.fingerprint = fingerprint
        self.unsharded = unsharded

    def instances(self) -> list[Instance]:
        """Return the instances, in the dataset's order."""
        return [_instance(row) for row in self._rows.values()]

    def oracle(self, instance_id: str) -> Oracle:
        """Return the answer to an instance."""
        row = self._row(instance_id)
        return Oracle(instance_id, str(row["patch"]), str(row["test_patch"]), dict(row))

    def count_tests(self, instance_id: str) -> int:
        """Return how many tests decide on an instance."""
        return count_tests(self._row(instance_id))

    def test_plan(self, instance_id: str) -> TestPlan:
        """Return how an instance's repository runs tests."""
        return test_plan(self._row(instance_id))

    async def snapshot(self, instance: Instance) -> Snapshot:
        """Return an instance's repository at the base commit."""
        return await self._repositories.snapshot(instance)

    def _row(self, instance_id: str) -> Row:
        if instance_id not in self._rows:
            message = f"no instance {instance_id!r} was chosen from the dataset"
            raise UnknownInstanceError(message)
        return self._rows[instance_id]


def open_dataset(name: str, split: str, choice: Choice, repositories: Repositories) -> DatasetSource:
    """Read a dataset and choose from it. Rows that are not chosen may hold anything.

    Args:
        name: A file, a folder, or a dataset of the hub, as `load_rows` takes it.
        split: The split of the dataset.
        choice: Which rows to choose.
        repositories: Gives the contents of the rows' repositories.

    Raises:
        SourceError: The dataset cannot be read.
        InputError: A file is malformed, or a chosen row lacks what swebench 5 needs.
        UsageError: No row is left, or there is no such dataset.
    """
    rows = load_rows(name, split)
    if not rows:
        message = f"{name} has no rows"
        raise InputError(message)
    unsharded = choose(rows, replace(choice, shard=""))
    chosen = choose(unsharded, Choice(shard=choice.shard))
    places = {id(row): number for number, row in enumerate(rows, start=1)}
    checked = normalized(chosen, name, [places[id(row)] for row in chosen])
    all_ids = frozenset(row["instance_id"] for row in rows if isinstance(row.get("instance_id"), str))
    # the fingerprint is of the rows as they were read, so that runs of before rows were normalized can be resumed
    whole = ChosenRows([_instance(row) for row in unsharded], fingerprint(unsharded)) if choice.shard else None
    return DatasetSource(checked, repositories, all_ids, fingerprint(chosen), whole)


def load_rows(name: str, split: str | None) -> list[Row]:
    """Return all rows of a dataset.

    Args:
        name: A file of rows, a folder of such files, a task repository, or a dataset of the hub. A name with a revision
            (`owner/name@revision`) is one of the hub, unless a file or folder has this name.
        split: The split; None for `test`, and for all splits of a task repository.

    Raises:
        SourceError: The dataset cannot be read, or has no such split.
        InputError: A file is malformed.
        UsageError: There is no such dataset.
    """
    path = Path(name)
    if path.is_dir():
        return _task_repository(path, split) if (path / "tasks").is_dir() else folder_rows(path, split or "test")
    if is_row_file(path):
        return file_rows(path)
    if path.is_file():
        message = f"{path} is not a known kind of file of rows; name one that ends in {KINDS}"
        raise InputError(message)
    return _hub_rows(name, split or "test")


def _task_repository(path: Path, split: str | None) -> list[Row]:
    quiet_swebench()
    from swebench.task.repo import load_task_repo

    try:
        tasks: list[Row] = load_task_repo(path)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        message = f"{path} is not a well-formed task repository: {reason}; `swebench dataset check {path}` says more"
        raise InputError(message) from error
    rows = [task for task in tasks if split is None or task.get("split", split) == split]
    if not rows:
        splits = ", ".join(sorted({str(task.get("split")) for task in tasks}))
        message = f"{path} has no task in split {split!r}; it has: {splits or 'none'}"
        raise SourceError(message)
    return rows


def _hub_rows(name: str, split: str) -> list[Row]:
    quiet_swebench()
    from swebench.cli._datasets import DATASET_ALIASES, resolve_dataset

    named, revision = split_revision(name)
    resolved = LITE if named.strip().lower() == "lite" else resolve_dataset(named)
    if "/" not in resolved:
        message = (
            f"unknown dataset {name!r}: neither a file, nor a task repository, nor one of "
            f"{', '.join(sorted({*DATASET_ALIASES, 'lite'}))}, nor a hub id (owner/name)"
        )
        raise UsageError(message)
    # as in git: no part is empty or begins with a dot; `..` in an address would give the newest revision
    if revision is not None and any(part[:1] in {"", "."} for part in revision.split("/")):
        message = f"{name!r} names no revision after the @; give a commit, a branch or a tag, or leave the @ out"
        raise UsageError(message)
    try:
        return _newest_rows(resolved, split) if revision is None else _pinned_rows(resolved, split, revision)
    except Exception as error:
        asked, checks = (resolved, "") if revision is None else (f"{resolved}@{revision}", "the revision, ")
        words = textwrap.shorten(str(error), HUB_MESSAGE_CHARACTERS, placeholder=" …")  # it may have several lines
        message = (
            f"cannot read {asked} ({type(error).__name__}: {words}); check the name, {checks}the network and HF_TOKEN, "
            "or pass a local parquet file to --dataset"
        )
        raise SourceError(message) from error


def _newest_rows(name: str, split: str) -> list[Row]:
    from swebench.harness.utils import load_swebench_dataset

    return [dict(row) for row in load_swebench_dataset(name, split)]


def _pinned_rows(name: str, split: str, revision: str) -> list[Row]:
    """Return the rows of one revision.

    Not by `load_dataset(name, revision=…)`, which was seen to give other rows (datasets 5.2.0): where the hub cannot be
    reached or refuses, those of any revision in its cache, with no more than a warning; and those of a folder of that
    name.
    """
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    folder = snapshot_download(name, repo_type="dataset", revision=revision)
    return [dict(row) for row in load_dataset(folder, split=split)]


def _instance(row: Row) -> Instance:
    def text(column: str) -> str:
        value: Any = row.get(column)
        return "" if value is None else str(value)

    return Instance(
        instance_id=text("instance_id"),
        repo=text("repo"),
        base_commit=text("base_commit"),
        problem_statement=text("problem_statement"),
        image=text("image"),
        version=text("version"),
        created_at=text("created_at"),
        difficulty=text("difficulty"),
    )


def fingerprint(rows: Sequence[Row]) -> str:
    """Return the SHA-256 of the rows' content; the order of rows and columns does not count."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: str(row["instance_id"])):
        try:
            digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS, default=str))
        except TypeError:  # orjson writes no lone surrogates and no numbers of more than 64 bits
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return digest.hexdigest()
