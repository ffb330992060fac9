"""Reads a configuration: the TOML file or preset, `-c key=value`, and the options of the command line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swerl_eval.config.run_config import RunConfig
from swerl_eval.core.errors import InputError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_config(
    file: Path | None = None, overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> RunConfig:
    """The resolved configuration: options over `-c key=value` over the file over the defaults.

    Args:
        file: A TOML file, or the name of a preset.
        overrides: Texts `key=value` or `table.key=value`, the later over the earlier.
        options: Settings by name; None is a setting that was not given.

    Raises:
        UsageError: A setting is unknown, which may name the one that was meant, or has a value that it cannot have.
        InputError: The file cannot be read or is not TOML.
    """
    values: dict[str, Any] = _read_toml(file) if file is not None else {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            message = f"-c {override!r}: write it as key=value"
            raise UsageError(message)
        _set(values, key.strip(), _parse_value(text.strip()))
    values.update({key: value for key, value in (options or {}).items() if value is not None})
    return _validate(values, str(file) if file is not None else "")


def merge_settings(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` laid over `lower`; tables key by key, so that `-c engine.x=1` keeps the rest of `engine`."""
    tables = {
        key: {**lower[key], **value}
        for key, value in upper.items()
        if isinstance(value, Mapping) and isinstance(lower.get(key), Mapping)
    }
    return {**lower, **upper, **tables}


def presets() -> dict[str, Path]:
    """The published settings that come with the package, by name."""
    folder = Path(__file__).parent.parent / "presets"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `key`, or `table.key`."""
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            message = f"-c {key}: {table} is not a table"
            raise UsageError(message)
    values[last] = value


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.exists():
        file = presets().get(str(file), file)
    try:
        values: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read the configuration {file}: {error.strerror}; presets are {', '.join(presets())}"
        raise InputError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{file} is not valid TOML: {error}"
        raise InputError(message) from error
    return values


def _parse_value(text: str) -> Any:
    """The TOML value, or the text itself where it is not TOML (so that `-c model=my-model` needs no quotes)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _validate(values: dict[str, Any], file: str) -> RunConfig:
    """The checked settings. `file` starts the messages."""
    place = f"{file}: " if file else ""
    for key in values:
        if key not in RunConfig.model_fields:
            near = difflib.get_close_matches(key, RunConfig.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "`swerl-eval config` prints all settings"
            message = f"{place}unknown setting {key!r}; {hint}"
            raise UsageError(message)
    try:
        return RunConfig(**values)
    except ValidationError as error:
        message = place + "; ".join(
            ": ".join(filter(None, (".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))))
            for item in error.errors()
        )
        raise UsageError(message) from error
