"""What swebench needs of a dataset's row, and what can be read from one without its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from swerl_eval.core.types import TestPlan
from swerl_eval.official.harness import harness
from swerl_eval.official.specification import START_MARKER

REQUIRED_COLUMNS = (
    "instance_id",
    "repo",
    "base_commit",
    "problem_statement",
    "patch",
    "test_patch",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "version",
    "image",
    "eval_script",
    "log_parser",
    "eval_type",
)
"""Columns that swebench 5 needs. Rows of older dataset revisions lack the last four."""

GRADED = ("FAIL_TO_PASS", "PASS_TO_PASS")
"""Columns with the names of the deciding tests."""

_NOT_SETUP = re.compile(r"#!|set -|git (status|show)\b|git .*\bdiff\b|git config .*safe\.directory|: '|$")
_EDITABLE_INSTALL = re.compile(r"\bpip install\b.*\s-e\b")
_NAMED_TEST = re.compile(r"[A-Za-z_][\w./\[\]-]*")


def count_tests(row: Mapping[str, Any]) -> int:
    """Return how many tests decide on a row."""
    return sum(len(row[column]) for column in GRADED)


def known_parsers() -> list[str]:
    """Return the names of the log parsers of the installed swebench."""
    return sorted(harness().log_parsers.PARSER_REGISTRY)


def known_eval_types() -> list[str]:
    """Return the evaluation types of the installed swebench."""
    return sorted(eval_type.value for eval_type in harness().constants.EvalType)


def test_plan(row: Mapping[str, Any]) -> TestPlan:
    """Return how the eval script sets up and calls the tests, without the test patch and the tests that it names.

    An editable install is left out too: the image has it already, and it follows the files.
    """
    lines = str(row["eval_script"]).split("\n")
    start = next((number for number, line in enumerate(lines) if START_MARKER in line), len(lines))
    reset = next((number for number, line in enumerate(lines[:start]) if line.startswith("git checkout ")), start)
    setup = [line for line in lines[:reset] if not _NOT_SETUP.match(line) and not _EDITABLE_INSTALL.search(line)]
    words = lines[start + 1].split() if start + 1 < len(lines) else []
    while len(words) > 1 and _NAMED_TEST.fullmatch(words[-1]):
        words.pop()
    return TestPlan(
        instance_id=str(row["instance_id"]),
        repo=str(row["repo"]),
        version=str(row.get("version") or ""),
        setup=tuple(setup),
        command=" ".join(words),
        log_parser=str(row["log_parser"]),
    )
