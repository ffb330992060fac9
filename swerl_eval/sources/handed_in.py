"""Other people's files in place of a stage: predictions (any shape in use), and lists of files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonlines
import orjson

from swerl_eval.core.errors import InputError

Entry = tuple[str, Any]
"""A place for messages, and what stands there."""


@dataclass(frozen=True)
class Predictions:
    """Patches by instance id, all of one model."""

    model_name: str
    patches: dict[str, str]


def read_predictions(path: Path, known: Collection[str]) -> Predictions:
    """Predictions from a `.jsonl`, a `.json` list or a `.json` object by id.

    A null or missing-text patch is empty. Raises `InputError` naming the line for what is malformed, doubled, of a
    second model, or of an instance that the dataset does not have.
    """
    patches: dict[str, str] = {}
    model = ""
    for where, entry in _entries(path):
        instance_id, name, patch = _prediction(where, entry)
        if instance_id in patches:
            message = f"{where}: a second prediction for {instance_id}"
            raise InputError(message)
        if instance_id not in known:
            message = f"{where}: the dataset has no instance {instance_id!r}"
            raise InputError(message)
        if model and name != model:
            message = f"{where}: model {name!r}, but {model!r} before; one file holds one model's predictions"
            raise InputError(message)
        model = name
        patches[instance_id] = patch
    if not patches:
        message = f"{path} holds no predictions"
        raise InputError(message)
    return Predictions(model, patches)


def _prediction(where: str, entry: Any) -> tuple[str, str, str]:
    if not isinstance(entry, dict):
        message = f"{where}: expected an object, found {type(entry).__name__}"
        raise InputError(message)
    for field in ("instance_id", "model_name_or_path"):
        if not isinstance(entry.get(field), str) or not entry[field]:
            message = f"{where}: {field} must be a text, found {entry.get(field)!r}"
            raise InputError(message)
    patch = entry.get("model_patch", "")
    if patch is not None and not isinstance(patch, str):
        message = f"{where}: model_patch must be a text or null, found {type(patch).__name__}"
        raise InputError(message)
    return entry["instance_id"], entry["model_name_or_path"], patch or ""


def read_file_lists(path: Path, known: Collection[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """File lists by instance id from a `loc.jsonl` as swe-rl and Agentless write it (`found_files`).

    `found_files` is one list of paths, or a list of such lists. Lines for instances outside `known` are passed over,
    since such files usually cover a whole dataset.
    """
    lists: dict[str, tuple[tuple[str, ...], ...]] = {}
    for where, entry in _entries(path):
        if not isinstance(entry, dict) or not isinstance(entry.get("instance_id"), str):
            message = f"{where}: no instance_id"
            raise InputError(message)
        if entry["instance_id"] in lists:
            message = f"{where}: a second line for {entry['instance_id']}"
            raise InputError(message)
        if entry["instance_id"] in known:
            lists[entry["instance_id"]] = _lists(where, entry.get("found_files"))
    return lists


def _lists(where: str, found: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(found, list) and all(isinstance(item, str) for item in found):
        found = [found]
    if not isinstance(found, list) or not all(_is_texts(item) for item in found):
        message = f"{where}: found_files must be a list of paths, or a list of such lists"
        raise InputError(message)
    return tuple(dict.fromkeys(tuple(path.removeprefix("./") for path in item) for item in found if item))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _entries(path: Path) -> Iterator[Entry]:
    if not path.is_file():
        message = f"there is no file {path}"
        raise InputError(message)
    if path.suffix == ".jsonl":
        yield from _json_lines(path)
    elif path.suffix == ".json":
        yield from _json_document(path)
    else:
        message = f"{path}: expected a .jsonl or .json file"
        raise InputError(message)


def _json_lines(path: Path) -> Iterator[Entry]:
    # binary, split at newlines alone: other line separators may stand within a patch
    with path.open("rb") as file:
        reader = jsonlines.Reader(file, loads=orjson.loads)
        number = 0
        while True:
            number += 1
            try:
                entry = reader.read(allow_none=True)
            except EOFError:
                return
            except jsonlines.InvalidLineError as error:
                if error.line.strip() in {"", b""}:
                    continue
                message = f"{path}, line {number}: {str(error).splitlines()[0]}"
                raise InputError(message) from error
            yield f"{path}, line {number}", entry


def _json_document(path: Path) -> Iterator[Entry]:
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        message = f"{path}, line {error.lineno}: {error.msg}"
        raise InputError(message) from error
    entries: Sequence[Any]
    if isinstance(found, dict):
        entries = [{"instance_id": key, **value} if isinstance(value, dict) else value for key, value in found.items()]
    elif isinstance(found, list):
        entries = found
    else:
        message = f"{path}: expected a list of predictions, or an object by instance id"
        raise InputError(message)
    for number, entry in enumerate(entries, start=1):
        yield f"{path}, entry {number}", entry
