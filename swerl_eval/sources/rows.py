"""Checks the chosen rows, and brings them into the form that the rest of the program relies on."""

from __future__ import annotations

import ast
import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from swerl_eval.core.errors import InputError
from swerl_eval.official.rows import (
    GRADED,
    REQUIRED_COLUMNS,
    known_eval_types,
    known_parsers,
)
from swerl_eval.official.specification import START_MARKER, swebench_version
from swerl_eval.sources.choice import Row

_SAFE_ID = re.compile(r"\w[\w.+-]*")
_ID_BYTES = 200
"""Longest id of an instance; folders and files are named after it."""
_LIST_CHARACTERS = 16 * 2**20
"""Longest list that is given as a text; the longest of Verified has 0.3 million characters."""
_NEVER_EMPTY = ("instance_id", "repo", "base_commit", "image", "log_parser", "eval_type")
_REMEDY = "correct the row, or leave it out with --instances"
OTHER_BENCHMARKS = (
    ("Multi-SWE-bench", ("fix_patch", "org", "number"), "its own harness (multi_swe_bench) evaluates them"),
    ("SWE-bench Pro", ("before_repo_set_cmd",), "its own evaluation (scaleapi/SWE-bench_Pro-os) does"),
    ("R2E-Gym", ("expected_output_json", "parsed_commit_content"), "R2E-Gym's own environment runs them"),
    ("SWE-rebench", ("install_config",), "its fork of the harness (nebius/SWE-rebench) reads install_config"),
    ("SWE-smith", ("image_name",), "swesmith.harness.eval evaluates them"),
)
"""Name of a benchmark, columns that only its rows have, and what evaluates them."""
_SWE_GYM_LACKS = "environment_setup_commit"
"""SWE-Gym's rows are those of swebench's first versions without this column."""


def normalized(rows: Sequence[Row], name: str, numbers: Iterable[int]) -> list[Row]:
    """Return the chosen rows, checked, with their lists of tests as lists.

    Args:
        rows: The chosen rows.
        name: The dataset's name, for messages.
        numbers: Each row's number in the dataset, from 1.

    Raises:
        InputError: A row is malformed; the message has its number, its id, the reason and the remedy.
    """
    checked: list[Row] = []
    seen: set[str] = set()
    for number, row in zip(numbers, rows, strict=True):
        place = f"{name}, row {number}"
        _check_columns(row, place)
        _check_id(row["instance_id"], place, seen)
        seen.add(row["instance_id"])
        where = f"{place} ({row['instance_id']})"
        _check_texts(row, where)
        _check_eval_script(row["eval_script"], where)
        _check_known(row["log_parser"], "log parser", known_parsers(), where)
        _check_known(row["eval_type"], "eval type", known_eval_types(), where)
        checked.append({**row, **{column: _list_of_tests(row[column], column, where) for column in GRADED}})
    return checked


def _malformed(where: str, reason: str) -> InputError:
    return InputError(f"{where}: {reason}; {_REMEDY}")


def _check_columns(row: Row, place: str) -> None:
    missing = [column for column in REQUIRED_COLUMNS if row.get(column) is None]
    missing += [column for column in _NEVER_EMPTY if isinstance(row.get(column), str) and not row[column].strip()]
    if not missing:
        return
    message = f"{place} ({row.get('instance_id', 'without instance_id')}) lacks {', '.join(missing)}; "
    raise InputError(message + _remedy_for(row))


def _remedy_for(row: Row) -> str:
    """Return what to do about a row that lacks columns, by the benchmark that it is from."""
    for name, columns, remedy in OTHER_BENCHMARKS:
        if all(column in row for column in columns):
            return f"this is a row of {name}, which swebench 5 does not grade: {remedy}"
    gym = {"instance_id", "FAIL_TO_PASS", "base_commit", "version"} <= set(row) and _SWE_GYM_LACKS not in row
    if gym and "eval_script" not in row:
        return (
            "this looks like a row of SWE-Gym, whose rows have no eval_script, log_parser, eval_type and image: its "
            "fork of the harness (SWE-Gym/SWE-Bench-Package) evaluates them"
        )
    return (
        "rows of before swebench 5 have no eval_script, log_parser, eval_type and image: use the dataset's current "
        "revision (SWE-bench/SWE-bench_Verified) or a task repository"
    )


def _check_id(instance_id: Any, place: str, seen: set[str]) -> None:
    if not isinstance(instance_id, str):
        message = f"{place}: instance_id must be a text, found {instance_id!r}"
        raise InputError(message)
    if not _SAFE_ID.fullmatch(unicodedata.normalize("NFC", instance_id)):
        message = f"{place}: {instance_id!r} cannot name a folder; use letters, digits, . _ + -"
        raise InputError(message)
    if (size := len(instance_id.encode())) > _ID_BYTES:
        message = f"{place}: {instance_id[:40]}… has {size} bytes, and folders are named after it: at most {_ID_BYTES}"
        raise InputError(message)
    if instance_id in seen:
        message = f"{place}: {instance_id} occurs twice"
        raise InputError(message)


def _check_texts(row: Row, where: str) -> None:
    for column in ("problem_statement", "patch", "test_patch", "eval_script", *_NEVER_EMPTY):
        if not isinstance(row[column], str):
            raise _malformed(where, f"{column} must be a text, found {type(row[column]).__name__}")
    for column, value in row.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError as error:
            raise _malformed(where, f"{column} holds a lone surrogate, which no file can hold") from error


def _check_eval_script(script: str, where: str) -> None:
    if not script.strip():
        raise _malformed(where, "its eval script is empty")
    lines = script.split("\n")
    # further down, in the test patch within the script, a line may end in CR rightly
    if "\r" in lines[0] or any("\r" in line for line in lines if START_MARKER in line):
        reason = "the lines of its eval script end in CR, with which bash runs none of them; save it with LF line ends"
        raise _malformed(where, reason)


def _check_known(name: str, kind: str, known: Sequence[str], where: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise _malformed(where, f"swebench {swebench_version()} has no {kind} {name!r}{hint}; a later one may")


def _list_of_tests(cell: Any, column: str, where: str) -> list[str]:
    """Return a list of names from a list, from JSON, or from a Python literal."""
    value = _parsed(cell) if isinstance(cell, str) else cell
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return list(value)
    shown = repr(cell)
    raise _malformed(where, f"{column} must be a list of names of tests, found {shown[:60]}{'…' * (len(shown) > 60)}")


def _parsed(text: str) -> Any:
    if len(text) > _LIST_CHARACTERS:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None
