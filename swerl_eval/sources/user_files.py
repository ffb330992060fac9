"""Reads files of the user that take the place of a stage: predictions, in any shape in use, and lists of files."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swerl_eval.core.codings import sendable_bytes
from swerl_eval.core.errors import InputError
from swerl_eval.core.names import MODEL_NAME_BYTES, model_name_fault
from swerl_eval.core.types import HANDED_IN
from swerl_eval.records.json_files import Entry, is_json, read_entries

_ALIASES = {
    "model_patch": ("patch", "prediction", "diff", "git_diff", "generated_patch", "output", "completion", "answer"),
    "instance_id": ("id", "instance", "task_id", "problem_id"),
    "model_name_or_path": ("model", "model_name", "name"),
}
"""Names that other tools use for the same keys."""


@dataclass(frozen=True)
class Predictions:
    """Patches by instance id, all by one model."""

    model_name: str
    patches: Mapping[str, str]
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Instances whose patch no file can hold, and why. Such a patch fails without being run."""
    origin: str = HANDED_IN
    """`HANDED_IN` by the user, or `GOLD`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the patches and the model's name."""
        content = (self.model_name, sorted(self.patches.items()), sorted(self.unusable.items()))
        return hashlib.sha256(sendable_bytes(repr(content))).hexdigest()

    def of(self, chosen: Collection[str]) -> Predictions:
        """Return the predictions for the chosen instances alone."""
        return Predictions(
            self.model_name,
            {name: patch for name, patch in self.patches.items() if name in chosen},
            {name: reason for name, reason in self.unusable.items() if name in chosen},
            self.origin,
        )


def read_predictions(path: Path, known: Collection[str]) -> Predictions:
    """Read predictions from a `.jsonl` file, a `.json` list or a `.json` object by id.

    Raises what `check_predictions` raises, and `InputError` for a file that cannot be read.
    """
    return check_predictions(_entries(path), known, str(path))


def check_predictions(entries: Iterable[Entry], known: Collection[str], name: str) -> Predictions:
    """Return predictions from objects as swebench's files hold them. A patch of null or "" is empty.

    Args:
        entries: The objects, each with its place.
        known: Ids of the dataset's instances.
        name: What holds the objects, for messages.

    Raises:
        InputError: An entry is malformed, a second one for its instance, by a second model, or of an instance that the
            dataset does not have. The message names its place.
    """
    patches: dict[str, str] = {}
    unusable: dict[str, str] = {}
    model = ""
    for where, entry in entries:
        instance_id, writer, patch = _prediction(where, entry)
        if instance_id in patches:
            message = f"{where}: a second prediction for {instance_id}"
            raise InputError(message)
        if instance_id not in known:
            message = f"{where}: the dataset has no instance {instance_id!r}"
            raise InputError(message)
        if model and writer != model:
            message = f"{where}: model {writer!r}, but {model!r} before; one file holds one model's predictions"
            raise InputError(message)
        model = writer
        patches[instance_id], reason = _writable(patch)
        if reason:
            unusable[instance_id] = reason
    if not patches:
        message = f"{name} holds no predictions"
        raise InputError(message)
    return Predictions(model, patches, unusable)


def _prediction(where: str, entry: Mapping[str, Any]) -> tuple[str, str, Any]:
    for key in ("instance_id", "model_name_or_path"):
        if key not in entry:
            raise InputError(_without(where, entry, key))
        if not isinstance(entry[key], str) or not entry[key]:
            message = f"{where}: {key} must be a text, found {entry[key]!r}"
            raise InputError(message)
    model = entry["model_name_or_path"]
    fault = model_name_fault(model)
    if not fault and (size := len(model.encode())) > MODEL_NAME_BYTES:
        fault = f"has {size} bytes, and names of files are made of it: at most {MODEL_NAME_BYTES}; shorten it"
    if fault:
        message = f"{where}: model_name_or_path {fault}"
        raise InputError(message)
    if "model_patch" not in entry:
        raise InputError(_without(where, entry, "model_patch"))
    patch = entry["model_patch"]
    if not (patch is None or isinstance(patch, str) or (isinstance(patch, float) and math.isnan(patch))):
        message = f"{where}: model_patch must be a text or null, found {type(patch).__name__}"
        raise InputError(message)
    return entry["instance_id"], model, patch


def _without(where: str, entry: Mapping[str, Any], key: str) -> str:
    """Return the message on an entry that lacks a key: the keys that it has, and which of them may be meant."""
    present = ", ".join(map(repr, entry)) or "none"
    plain = {name.strip().lower().replace("-", "_"): name for name in entry if name not in _ALIASES}
    looks_right = [name for name in (key, *_ALIASES[key]) if name in plain] or difflib.get_close_matches(key, plain)
    if key == "model_patch":
        looks_right += [
            name for name, written in plain.items() if str(entry[written]).startswith(("diff --git ", "--- "))
        ]
    hint = f"; did you mean {plain[looks_right[0]]!r}? Rename it" if looks_right else ""
    empty = ' (null or "" is an empty patch, an absent key is none)' if key == "model_patch" else ""
    return f"{where}: there is no {key}{empty}; its keys are {present}{hint}"


def _writable(patch: Any) -> tuple[str, str]:
    """Return a patch that a file can hold, and why it differs from the given one; empty where it does not."""
    if isinstance(patch, float):
        return "NaN", "its model_patch is NaN and no text; an empty patch is null"
    try:
        (patch or "").encode()
    except UnicodeEncodeError as error:
        place = patch.count("\n", 0, error.start) + 1
        reason = f"line {place} of the patch holds the lone surrogate {patch[error.start]!r}, which no file can hold"
        return patch.encode("utf-8", "backslashreplace").decode(), reason
    return patch or "", ""


def read_file_lists(path: Path, known: Collection[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Read file lists from a `loc.jsonl` as swe-rl and Agentless write it.

    Args:
        path: The file. The key `found_files` of an entry is one list of paths, or a list of such lists.
        known: Ids of the instances to read. Other entries are ignored, since such files usually cover a dataset.

    Returns:
        The unique lists of each instance, by its id.

    Raises:
        InputError: An entry is malformed, or a second one for its instance. The message names its place.
    """
    lists: dict[str, tuple[tuple[str, ...], ...]] = {}
    for where, entry in _entries(path):
        if not isinstance(entry.get("instance_id"), str):
            message = f"{where}: no instance_id"
            raise InputError(message)
        if entry["instance_id"] in lists:
            message = f"{where}: a second line for {entry['instance_id']}"
            raise InputError(message)
        if entry["instance_id"] in known:
            lists[entry["instance_id"]] = _lists(where, entry.get("found_files"))
    return lists


def _lists(where: str, value: Any) -> tuple[tuple[str, ...], ...]:
    if _is_texts(value):
        value = [value]
    if not isinstance(value, list) or not all(_is_texts(item) for item in value):
        message = f"{where}: found_files must be a list of paths, or a list of such lists"
        raise InputError(message)
    return tuple(dict.fromkeys(tuple(path.removeprefix("./") for path in item) for item in value if item))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _entries(path: Path) -> Iterator[Entry]:
    if not path.is_file():
        message = f"there is no file {path}"
        raise InputError(message)
    if not is_json(path):
        message = f"{path}: expected a .jsonl or .json file"
        raise InputError(message)
    return read_entries(path, "predictions")
