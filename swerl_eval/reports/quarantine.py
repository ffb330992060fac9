"""The quarantine: instances that `validate` found flaky or unsound here, and why. Reports can leave them out.

The file is JSON: `{"schema_version": 1, "instances": {ID: {"reason": TEXT, …}}, …}`. What else stands there (versions,
image digests, the machine) says what it was found with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.errors import InputError
from swerl_eval.records.atomic import write_json

SCHEMA_VERSION = 1
_REMEDY = "make it anew with `swerl-eval validate --repeat N --quarantine FILE`, or leave the setting out"


@dataclass(frozen=True)
class Quarantine:
    """What a file says."""

    name: str
    """Of the file, without its folder."""
    reasons: Mapping[str, str]
    """By instance id."""


def read_quarantine(path: Path) -> Quarantine:
    """Read a file. Raises `InputError` with its name, what is wrong with it and the remedy."""
    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        message = f"cannot read the quarantine file {path}: {error.strerror}; {_REMEDY}"
        raise InputError(message) from error
    except orjson.JSONDecodeError as error:
        message = f"the quarantine file {path}, line {error.lineno}: {error.msg}; {_REMEDY}"
        raise InputError(message) from error
    return Quarantine(path.name, _reasons(found, path))


def _reasons(found: Any, path: Path) -> dict[str, str]:
    instances = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(instances, dict):
        message = f'the quarantine file {path} has no table "instances"; {_REMEDY}'
        raise InputError(message)
    if found.get("schema_version") != SCHEMA_VERSION:
        message = (
            f"the quarantine file {path}: format version {found.get('schema_version')}, "
            f"this program reads version {SCHEMA_VERSION}; {_REMEDY}"
        )
        raise InputError(message)
    for name, entry in instances.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("reason"), str):
            message = f'the quarantine file {path}: {name} has no "reason"; {_REMEDY}'
            raise InputError(message)
    return {name: entry["reason"] for name, entry in instances.items()}


def write_quarantine(path: Path, instances: Mapping[str, Mapping[str, str]], found_with: Mapping[str, Any]) -> None:
    """Write a file: for each instance its reason and whatever is known of it; `found_with` stands beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {"schema_version": SCHEMA_VERSION, **found_with, "instances": {n: instances[n] for n in sorted(instances)}},
    )
