"""The table of instances, as trackers take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

Row = Mapping[str, Any]

COLUMNS = (
    "instance_id", "verdict", "strict", "votes", "valid", "unique", "sample", "reward", "files_hit", "repo",
    "difficulty", "reason",
)  # fmt: skip
"""Of a report's instances. The first ones say most."""


def table_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The instances of a report, each with the same columns; None where an instance has no such figure."""
    return [{column: _plain(row.get(column)) for column in COLUMNS} for row in report.get("instances", ())]


def columns_and_rows(table: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """The names of the columns, and the values row by row."""
    columns = list(table[0]) if table else []
    return columns, [[row[column] for column in columns] for row in table]


def markdown(table: Sequence[Row]) -> str:
    """The table in Markdown. Values are text: what they hold is never markup."""
    columns, rows = columns_and_rows(table)
    lines = [columns, ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def indented(text: str) -> str:
    """A text that Markdown shows as it is."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else orjson.dumps(value).decode()


def _cell(value: Any) -> str:
    text = " ".join(str("" if value is None else value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{character}" if character in r"\`*[]()#!|~" else character for character in text)
