"""What a chosen row must hold, in the form that everything after it relies on."""

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
"""Of an instance's id, which names folders and files."""
_LIST_CHARACTERS = 16 * 2**20
"""Of a list that stands as a text; the longest of Verified has 0.3 million."""
_NEVER_EMPTY = ("instance_id", "repo", "base_commit", "image", "log_parser", "eval_type")
_LEAVE_OUT = "mend the row, or leave it out with --instances"
OTHER_BENCHMARKS = (
    ("Multi-SWE-bench", ("fix_patch", "org", "number"), "its own harness (multi_swe_bench) evaluates them"),
    ("SWE-bench Pro", ("before_repo_set_cmd",), "its own evaluation (scaleapi/SWE-bench_Pro-os) does"),
    ("R2E-Gym", ("expected_output_json", "parsed_commit_content"), "R2E-Gym's own environment runs them"),
    ("SWE-rebench", ("install_config",), "its fork of the harness (nebius/SWE-rebench) reads install_config"),
    ("SWE-smith", ("image_name",), "swesmith.harness.eval evaluates them"),
)
"""Name, columns that only its rows have, and what evaluates them."""
_SWE_GYM_LACKS = "environment_setup_commit"
"""SWE-Gym's rows are those of swebench's first versions but for this column."""


def normalized(rows: Sequence[Row], name: str, numbers: Iterable[int]) -> list[Row]:
    """The chosen rows with their lists as lists. `numbers` are their places in the dataset `name`, from 1.

    Raises `InputError` with the row's number, its name, the reason and the remedy.
    """
    found: list[Row] = []
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
        found.append({**row, **{column: _list_of_tests(row[column], column, where) for column in GRADED}})
    return found


def _refuse(where: str, reason: str) -> InputError:
    return InputError(f"{where}: {reason}; {_LEAVE_OUT}")


def _check_columns(row: Row, place: str) -> None:
    missing = [column for column in REQUIRED_COLUMNS if row.get(column) is None]
    missing += [column for column in _NEVER_EMPTY if isinstance(row.get(column), str) and not row[column].strip()]
    if not missing:
        return
    message = f"{place} ({row.get('instance_id', 'without instance_id')}) lacks {', '.join(missing)}; "
    raise InputError(message + _remedy_for(row))


def _remedy_for(row: Row) -> str:
    """What to do about rows that lack columns, by where they come from."""
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


def _check_id(found: Any, place: str, seen: set[str]) -> None:
    if not isinstance(found, str):
        message = f"{place}: instance_id must be a text, found {found!r}"
        raise InputError(message)
    if not _SAFE_ID.fullmatch(unicodedata.normalize("NFC", found)):
        message = f"{place}: {found!r} cannot name a folder; use letters, digits, . _ + -"
        raise InputError(message)
    if (size := len(found.encode())) > _ID_BYTES:
        message = f"{place}: {found[:40]}… has {size} bytes, and folders are named after it: at most {_ID_BYTES}"
        raise InputError(message)
    if found in seen:
        message = f"{place}: {found} occurs twice"
        raise InputError(message)


def _check_texts(row: Row, where: str) -> None:
    for column in ("problem_statement", "patch", "test_patch", "eval_script", *_NEVER_EMPTY):
        if not isinstance(row[column], str):
            raise _refuse(where, f"{column} must be a text, found {type(row[column]).__name__}")
    for column, value in row.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError as error:
            raise _refuse(where, f"{column} holds a lone surrogate, which no file can hold") from error


def _check_eval_script(script: str, where: str) -> None:
    if not script.strip():
        raise _refuse(where, "its eval script is empty")
    lines = script.split("\n")
    # further down, in the test patch that a script carries, such an end may belong there
    if "\r" in lines[0] or any("\r" in line for line in lines if START_MARKER in line):
        reason = "the lines of its eval script end in CR, with which bash runs none of them; save it with LF line ends"
        raise _refuse(where, reason)


def _check_known(found: str, what: str, known: Sequence[str], where: str) -> None:
    if found in known:
        return
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.8)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise _refuse(where, f"swebench {swebench_version()} has no {what} {found!r}{hint}; a later one may")


def _list_of_tests(found: Any, column: str, where: str) -> list[str]:
    """A list of names, which stands as a list, as JSON or as a Python literal."""
    value = _parsed(found) if isinstance(found, str) else found
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return list(value)
    shown = repr(found)
    raise _refuse(where, f"{column} must be a list of names of tests, found {shown[:60]}{'…' * (len(shown) > 60)}")


def _parsed(text: str) -> Any:
    if len(text) > _LIST_CHARACTERS:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None
