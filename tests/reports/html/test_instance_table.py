"""The rows and columns of the table of instances."""

from __future__ import annotations

from typing import Any

import pytest

from swerl_eval.reports.html.instance_table import instance_table

FULL: dict[str, Any] = {
    "instance_id": "django__django-1",
    "verdict": "resolved",
    "strict": "unresolved",
    "strict_reason": "the control run passes too few tests",
    "suspicious": ["it edits conftest.py"],
    "quarantined": "flaky",
    "repo": "django/django",
    "difficulty": "1-4 hours",
    "year": "2019",
    "files_hit": "some",
    "votes": 12,
    "valid": 20,
    "tests": {"FAIL_TO_PASS": "3/4", "PASS_TO_PASS": "10/10"},
    "reward": 0.0,
}
BARE: dict[str, Any] = {"instance_id": "sympy__sympy-2", "verdict": "empty_patch", "reason": "no candidate"}


def test_a_row_has_its_values_as_text_and_what_they_are_sorted_by() -> None:
    columns, rows = instance_table([FULL])
    assert [column.name for column in columns] == [
        "instance", "verdict", "strict", "difficulty", "year", "files", "votes", "fixed", "kept", "reward",
    ]  # fmt: skip
    cells = {cell.column.name: (cell.text, cell.sort, cell.state) for cell in rows[0].cells}
    assert cells == {
        "instance": ("django__django-1", None, ""),
        "verdict": ("resolved", None, "resolved"),
        "strict": ("unresolved", None, "unresolved"),
        "difficulty": ("1-4 hours", None, ""),
        "year": ("2019", None, ""),
        "files": ("some", 1.0, ""),
        "votes": ("12 of 20", 12, ""),
        "fixed": ("3 of 4", 0.75, ""),
        "kept": ("10 of 10", 1.0, ""),
        "reward": ("0.00", 0.0, ""),
    }
    assert rows[0].repo == "django/django"


def test_a_column_without_any_value_is_left_out() -> None:
    columns, rows = instance_table([BARE])
    assert [column.name for column in columns] == ["instance", "verdict"]
    assert [cell.text for cell in rows[0].cells] == ["sympy__sympy-2", "empty patch"]
    columns, rows = instance_table([BARE, FULL])
    assert len(columns) == 10
    assert [cell.text for cell in rows[0].cells][2:] == [""] * 8


def test_what_needs_attention_is_marked_and_has_its_reason() -> None:
    _, rows = instance_table([FULL, BARE])
    assert [row.marks for row in rows] == [("suspicious", "quarantined", "strictly unresolved"), ()]
    assert [row.reason for row in rows] == ["the control run passes too few tests", "no candidate"]


@pytest.mark.parametrize("passed", ["0/0", "x", "1/2/3"])
def test_an_odd_count_of_tests_is_shown_as_it_is(passed: str) -> None:
    _, rows = instance_table([{**BARE, "tests": {"FAIL_TO_PASS": passed}}])
    assert rows[0].cells[2].text == passed.replace("/", " of ")


def test_without_instances_there_are_two_columns() -> None:
    columns, rows = instance_table([])
    assert [column.name for column in columns] == ["instance", "verdict"]
    assert rows == []
