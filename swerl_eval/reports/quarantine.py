"""The quarantine: instances that `validate` found flaky or unsound, and why. Reports can leave them out.

The file is JSON: `{"schema_version": 1, "instances": {ID: {"reason": TEXT, …}}, …}`. Further keys (versions, the
machine, image ids) say what it was made with.
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
_REMEDY = "make a new one with `swerl-eval validate --repeat N --quarantine FILE`, or remove the setting"


@dataclass(frozen=True)
class Quarantine:
    """The content of a quarantine file."""

    name: str
    """The file's name, without its folder."""
    reasons: Mapping[str, str]
    """The reason for each instance, by its id."""


def read_quarantine(path: Path) -> Quarantine:
    """Read a quarantine file. Raises `InputError` if it cannot be read or is not one."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        message = f"cannot read the quarantine file {path}: {error.strerror}; {_REMEDY}"
        raise InputError(message) from error
    except orjson.JSONDecodeError as error:
        message = f"the quarantine file {path}, line {error.lineno}: {error.msg}; {_REMEDY}"
        raise InputError(message) from error
    return Quarantine(path.name, _reasons(content, path))


def _reasons(content: Any, path: Path) -> dict[str, str]:
    instances = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(instances, dict):
        message = f'the quarantine file {path} has no table "instances"; {_REMEDY}'
        raise InputError(message)
    if content.get("schema_version") != SCHEMA_VERSION:
        message = (
            f"the quarantine file {path}: format version {content.get('schema_version')}, "
            f"but this program reads version {SCHEMA_VERSION}; {_REMEDY}"
        )
        raise InputError(message)
    for name, entry in instances.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("reason"), str):
            message = f'the quarantine file {path}: {name} has no "reason"; {_REMEDY}'
            raise InputError(message)
    return {name: entry["reason"] for name, entry in instances.items()}


def write_quarantine(path: Path, instances: Mapping[str, Mapping[str, str]], made_with: Mapping[str, Any]) -> None:
    """Write a quarantine file.

    Args:
        path: The file; its folder is made.
        instances: For each instance id, `reason` and further texts.
        made_with: Further keys of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {"schema_version": SCHEMA_VERSION, **made_with, "instances": {n: instances[n] for n in sorted(instances)}},
    )
