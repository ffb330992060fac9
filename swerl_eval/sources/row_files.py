"""Reads rows of a dataset from files (parquet, JSON, csv) and from folders that the library `datasets` saves."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import InputError, SourceError, UsageError
from swerl_eval.records.json_files import is_json, read_entries
from swerl_eval.sources.choice import Row

KINDS = ".parquet, .jsonl, .json (these two also with .gz) or .csv"


def is_row_file(path: Path) -> bool:
    """Return whether a file's name says that this module reads it."""
    return is_json(path) or path.suffix in {".parquet", ".csv"}


def file_rows(path: Path) -> list[Row]:
    """Return all rows of a file.

    Raises:
        UsageError: The file is not there.
        SourceError: It is no parquet file.
        InputError: It is malformed; the message has the place.
    """
    if not path.is_file():
        message = f"there is no dataset file {path}"
        raise UsageError(message)
    if path.suffix == ".parquet":
        return parquet_rows(path)
    return list(_csv_rows(path)) if path.suffix == ".csv" else [row for _, row in read_entries(path, "rows")]


def folder_rows(folder: Path, split: str) -> list[Row]:
    """Return all rows of a split in a folder of `save_to_disk`, or of parquet files named after their split.

    Raises:
        SourceError: The folder has no such split.
        InputError: The folder is no dataset.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(state.parent.name for state in folder.glob("*/state.json"))
        if split not in splits:
            raise SourceError(_no_split(folder, split, splits))
        return _saved_rows(folder / split)
    if (folder / "state.json").is_file():
        return _saved_rows(folder)
    if (folder / split / "state.json").is_file():
        return _saved_rows(folder / split)
    files = [*folder.glob("*.parquet"), *(folder / "data").glob("*.parquet")]
    chosen = sorted(file for file in files if file.stem == split or file.stem.startswith(f"{split}-"))
    if files and not chosen:
        raise SourceError(_no_split(folder, split, sorted({file.stem.partition("-")[0] for file in files})))
    if not files:
        message = (
            f"the folder {folder} is no dataset: it has neither tasks/ (a task repository), nor state.json or "
            f"dataset_dict.json (`save_to_disk`), nor parquet files named after a split; name a file: {KINDS}"
        )
        raise InputError(message)
    return [row for file in chosen for row in parquet_rows(file)]


def _no_split(folder: Path, split: str, splits: list[str]) -> str:
    return f"{folder} has no split {split!r}; it has: {', '.join(splits) or 'none'}"


def _csv_rows(path: Path) -> Iterator[Row]:
    """Yield rows with the columns of the first line; every value is a text."""
    csv.field_size_limit(sys.maxsize)  # the default is 128 KiB, and patches are longer
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    message = f"{path}, line {reader.line_num}: another number of fields than in the first line"
                    raise InputError(message)
                yield row
        except csv.Error as error:
            message = f"{path}, after line {reader.line_num}: {error}"
            raise InputError(message) from error
        except UnicodeDecodeError as error:
            message = f"{path}, after line {reader.line_num}: not valid UTF-8"
            raise InputError(message) from error


def parquet_rows(path: Path) -> list[Row]:
    """Return all rows. Small batches on one thread take 90 MB less memory for Verified than reading it as a whole."""
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


def _saved_rows(folder: Path) -> list[Row]:
    """Return the rows that `datasets` saved: Arrow streams, in the order of `state.json`."""
    import pyarrow.ipc

    rows: list[Row] = []
    try:
        state: Any = json.loads((folder / "state.json").read_bytes())
        names = [str(file["filename"]) for file in state["_data_files"]]
        for name in names:
            with pyarrow.memory_map(str(folder / name)) as source, pyarrow.ipc.open_stream(source) as stream:
                for batch in stream:
                    rows += batch.to_pylist()
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder} is not a readable folder of `save_to_disk`: {type(error).__name__}: {error}"
        raise SourceError(message) from error
    return rows
