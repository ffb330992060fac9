"""Dataset rows from a hub, a file or a task repository, as Instances and Oracles."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonlines
import orjson

from swerl_eval.core.errors import InputError, SourceError, UsageError
from swerl_eval.core.types import Instance, Oracle, TestPlan
from swerl_eval.grading import REQUIRED_COLUMNS, count_tests, test_plan
from swerl_eval.harness import quiet_swebench
from swerl_eval.ports import Snapshot
from swerl_eval.sources.repositories import Repositories
from swerl_eval.sources.selection import Choice, Row, choose

_SAFE_ID = re.compile(r"[A-Za-z0-9_][\w.+-]*")
LITE = "SWE-bench/SWE-bench_Lite"
"""swebench's own table of aliases leaves `lite` out."""


class DatasetSource:
    """The chosen rows of one dataset (a `ports.Source`); `all_ids` are those of the whole dataset."""

    def __init__(self, rows: Sequence[Row], repositories: Repositories, all_ids: frozenset[str]) -> None:
        self._rows = {str(row["instance_id"]): row for row in rows}
        self.all_ids = all_ids
        self._repositories = repositories
        self.fingerprint = fingerprint(rows)

    def instances(self) -> list[Instance]:
        """The instances, in the dataset's order."""
        return [_instance(row) for row in self._rows.values()]

    def oracle(self, instance_id: str) -> Oracle:
        """The answer to one of them."""
        row = self._rows[instance_id]
        return Oracle(instance_id, str(row["patch"]), str(row["test_patch"]), dict(row))

    def count_tests(self, instance_id: str) -> int:
        """How many tests decide on it."""
        return count_tests(self._rows[instance_id])

    def test_plan(self, instance_id: str) -> TestPlan:
        """How its repository runs tests."""
        return test_plan(self._rows[instance_id])

    async def snapshot(self, instance: Instance) -> Snapshot:
        """The repository at the base commit."""
        return await self._repositories.snapshot(instance)


def open_dataset(name: str, split: str, choice: Choice, repositories: Repositories) -> DatasetSource:
    """Read a dataset and choose from it.

    Raises `SourceError` when it cannot be read, `InputError` when a row lacks what swebench 5 needs, `UsageError` for a
    choice that leaves nothing.
    """
    rows = load_rows(name, split)
    _check(rows, name)
    return DatasetSource(choose(rows, choice), repositories, frozenset(str(row["instance_id"]) for row in rows))


def load_rows(name: str, split: str | None) -> list[Row]:
    """All rows of a local file, a task repository (split None: of every split) or a dataset of the hub."""
    path = Path(name)
    if path.is_dir() and (path / "tasks").is_dir():
        return _task_repository(path, split)
    if path.suffix in {".parquet", ".jsonl", ".json"}:
        return _file_rows(path)
    return _hub_rows(name, split or "test")


def _file_rows(path: Path) -> list[Row]:
    if not path.is_file():
        message = f"there is no dataset file {path}"
        raise SourceError(message)
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix == ".jsonl":
        try:
            # binary, so that a line which is not UTF-8 is told as such
            with path.open("rb") as file:
                return list(jsonlines.Reader(file, loads=orjson.loads).iter(type=dict, skip_empty=True))
        except jsonlines.InvalidLineError as error:
            message = f"{path}, line {error.lineno}: {error.args[0]}"
            raise InputError(message) from error
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        message = f"{path}, line {error.lineno}: {error.msg}"
        raise InputError(message) from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        message = f"{path}: expected a list of rows"
        raise InputError(message)
    return found


def _parquet_rows(path: Path) -> list[Row]:
    """In small batches on one thread: read as a whole, the 500 rows of Verified were seen to take 90 MB more."""
    import pyarrow.parquet

    rows: list[Row] = []
    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(batch_size=32, use_threads=False):
                rows += batch.to_pylist()
    except (OSError, ValueError) as error:
        message = f"{path} is not a readable parquet file: {error}"
        raise SourceError(message) from error
    return rows


def _task_repository(path: Path, split: str | None) -> list[Row]:
    quiet_swebench()
    from swebench.task.repo import load_task_repo

    try:
        tasks: list[Row] = load_task_repo(path)
    except (OSError, ValueError, KeyError) as error:
        message = f"{path} is not a well-formed task repository: {error}; `swebench dataset check {path}` says more"
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
    from swebench.harness.utils import load_swebench_dataset

    resolved = LITE if name.strip().lower() == "lite" else resolve_dataset(name)
    if "/" not in resolved:
        message = (
            f"unknown dataset {name!r}: neither a file, nor a task repository, nor one of "
            f"{', '.join(sorted({*DATASET_ALIASES, 'lite'}))}, nor a hub id (owner/name)"
        )
        raise UsageError(message)
    try:
        return [dict(row) for row in load_swebench_dataset(resolved, split)]
    except Exception as error:
        message = (
            f"cannot read {resolved} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); "
            "check the name, the network and HF_TOKEN, or pass a local parquet file to --dataset"
        )
        raise SourceError(message) from error


def _check(rows: Sequence[Row], name: str) -> None:
    if not rows:
        message = f"{name} has no rows"
        raise InputError(message)
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        missing = [column for column in REQUIRED_COLUMNS if row.get(column) is None]
        if missing:
            message = (
                f"{name}, row {number} ({row.get('instance_id', 'without instance_id')}) lacks {', '.join(missing)}; "
                "rows of before swebench 5 have no eval_script, log_parser, eval_type and image: use the dataset's "
                "current revision (SWE-bench/SWE-bench_Verified) or a task repository"
            )
            raise InputError(message)
        if not isinstance(row["instance_id"], str):
            message = f"{name}, row {number}: instance_id must be a text, found {row['instance_id']!r}"
            raise InputError(message)
        if not _SAFE_ID.fullmatch(str(row["instance_id"])):
            message = f"{name}, row {number}: {row['instance_id']!r} cannot name a folder; use letters, digits, . _ + -"
            raise InputError(message)
        if row["instance_id"] in seen:
            message = f"{name}, row {number}: {row['instance_id']} occurs twice"
            raise InputError(message)
        seen.add(row["instance_id"])


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
    """SHA-256 over the rows' content; the order of rows and columns does not count."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: str(row["instance_id"])):
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS, default=str))
    return digest.hexdigest()
