"""The table of instances: its columns, and each instance's cells as text with what they are sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str
    """What filters and addresses call it."""
    title: str
    meaning: str
    style: str = ""
    """Classes: `figure` for numbers, `wide` for what narrow screens leave out."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and the number to sort by where the text is not what to sort by."""

    column: Column
    text: str = ""
    sort: float | None = None
    state: str = ""
    """The name of the state that the text says; empty for other texts."""


@dataclass(frozen=True)
class Row:
    """An instance."""

    id: str
    repo: str
    cells: tuple[Cell, ...]
    marks: tuple[str, ...]
    """Words that need attention."""
    reason: str


COLUMNS = (
    Column("instance", "Instance", "Name of the instance; opens it"),
    Column("verdict", "Verdict", "The official verdict"),
    Column("strict", "Strict", "The strict verdict: whether the control run confirms the official one", "wide"),
    Column("difficulty", "Difficulty", "How long the fix takes, by the dataset", "wide"),
    Column("year", "Year", "Year of the issue", "wide"),
    Column("files", "Gold files", "How many of the files that the gold patch edits are among the chosen files", "wide"),
    Column("votes", "Votes", "Samples that agree with the chosen patch, of those that give a candidate", "wide figure"),
    Column("fixed", "Fixed", "FAIL_TO_PASS tests that pass", "wide figure"),
    Column("kept", "Kept", "PASS_TO_PASS tests that pass", "wide figure"),
    Column("reward", "Reward", "SWE-RL reward of the chosen sample", "wide figure"),
)
_HITS = {"none": 0.0, "some": 1.0, "all": 2.0}


def instance_table(instances: Iterable[Mapping[str, Any]]) -> tuple[list[Column], list[Row]]:
    """Return the columns in which some instance has a value, and the rows in the given order.

    Args:
        instances: The instances of `report.json`.
    """
    rows = [_row(instance) for instance in instances]
    used = [column for place, column in enumerate(COLUMNS) if place < 2 or any(row.cells[place].text for row in rows)]
    return used, [_with_columns(row, used) for row in rows]


def _with_columns(row: Row, used: list[Column]) -> Row:
    return Row(row.id, row.repo, tuple(cell for cell in row.cells if cell.column in used), row.marks, row.reason)


def _row(instance: Mapping[str, Any]) -> Row:
    marks = [name for name in ("suspicious", "quarantined") if instance.get(name)]
    strict = instance.get("strict")
    if strict and strict != instance["verdict"]:
        marks.append(f"strictly {strict.replace('_', ' ')}")
    cells = tuple(_cell(column, instance) for column in COLUMNS)
    reason = instance.get("reason") or instance.get("strict_reason") or ""
    return Row(instance["instance_id"], instance.get("repo") or "", cells, tuple(marks), reason)


def _cell(column: Column, instance: Mapping[str, Any]) -> Cell:
    match column.name:
        case "instance":
            return Cell(column, instance["instance_id"])
        case "verdict" | "strict":
            verdict = instance.get(column.name) or ""
            return Cell(column, verdict.replace("_", " "), state=verdict)
        case "files":
            hit = instance.get("files_hit")
            return Cell(column, hit, _HITS.get(hit)) if hit else Cell(column)
        case "votes":
            votes = instance.get("votes")
            return Cell(column, f"{votes} of {instance.get('valid')}", votes) if votes else Cell(column)
        case "fixed" | "kept":
            passed = (instance.get("tests") or {}).get("FAIL_TO_PASS" if column.name == "fixed" else "PASS_TO_PASS")
            return Cell(column, passed.replace("/", " of "), _share(passed)) if passed else Cell(column)
        case "reward":
            reward = instance.get("reward")
            return Cell(column) if reward is None else Cell(column, f"{reward:.2f}", reward)
        case _:
            return Cell(column, str(instance.get(column.name) or ""))


def _share(passed: str) -> float | None:
    """Return the share that "3/4" is; None where there is none."""
    part, _, whole = passed.partition("/")
    return int(part) / int(whole) if part.isdecimal() and whole.isdecimal() and int(whole) else None
