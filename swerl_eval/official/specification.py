"""From a dataset's row to swebench's specification of its evaluation: the script to run, and what decides the grade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from swerl_eval.core.errors import GradingError
from swerl_eval.official.harness import harness

START_MARKER = ">>>>> Start Test Output"
"""Every eval script prints this line before its test command."""

Row = Mapping[str, Any]
"""A dataset's row as it stands, the answer included."""


def specification_of(row: Row) -> Any:
    """Return swebench's `TestSpec` of a row. Raises `GradingError` when swebench cannot make one."""
    with grading_errors("make a specification of the row"):
        return harness().utils.make_test_spec(row)


def eval_script(row: Row) -> str:
    """Return the script that the official harness would run for this row, exit code marker included."""
    return str(specification_of(row).eval_script)


def exit_status_script(row: Row, before_tests: str = "") -> str:
    """Return the official script up to its test command, whose exit status becomes the script's own.

    Args:
        row: The dataset's row.
        before_tests: A line of shell that stands right before the test command.
    """
    constants = harness().constants
    lines = eval_script(row).split("\n")
    start = next((number for number, line in enumerate(lines) if START_MARKER in line), 0)
    exit_code_line = f'echo "{constants.TEST_EXIT_CODE}'
    end = next((number for number, line in enumerate(lines) if line.startswith(exit_code_line)), len(lines))
    exit_line = f"exit ${{{constants.TEST_EXIT_CODE_VAR}:-0}}"
    return "\n".join([*lines[:start], before_tests, *lines[start : end + 1], exit_line, ""])


def test_command(row: Row) -> tuple[str, ...]:
    """Return the words of the test command; none when the eval script has no marker line."""
    lines = str(row["eval_script"]).split("\n")
    start = next((number for number, line in enumerate(lines) if START_MARKER in line), len(lines))
    return tuple(lines[start + 1].split()) if start + 1 < len(lines) else ()


def image_assets(row: Row) -> list[dict[str, Any]]:
    """Return the binary files that a row's patches cannot carry (multimodal tasks). Verified has none.

    Raises `GradingError` when the row declares them in another form than swebench's.
    """
    declared = specification_of(row).image_assets or {}
    if not isinstance(declared, dict):
        message = f"image_assets of the row is no object but {type(declared).__name__}"
        raise GradingError(message)
    return [entry for column in ("test_patch", "patch") for entry in declared.get(column) or []]


def grading_inputs(row: Row) -> dict[str, Any]:
    """Return the fields of a row that decide how a log is graded."""
    spec = specification_of(row)
    return {
        "instance_id": spec.instance_id,  # a few parsers look at it
        "FAIL_TO_PASS": list(spec.FAIL_TO_PASS),
        "PASS_TO_PASS": list(spec.PASS_TO_PASS),
        "log_parser": spec.log_parser,
        "eval_type": str(spec.eval_type),
        "repo": spec.repo,
        "version": spec.version,
    }


def names_no_test(row: Row) -> bool:
    """Return whether a row names no test at all, so that any patch that applies is officially resolved."""
    spec = specification_of(row)
    return not spec.FAIL_TO_PASS and not spec.PASS_TO_PASS


def swebench_version() -> str:
    """Return the version of the installed swebench."""
    return version("swebench")


@contextmanager
def grading_errors(action: str) -> Iterator[None]:
    """Raise whatever swebench raises at one instance as `GradingError`.

    Args:
        action: What swebench is asked to do, such as "grade test_output.txt", for the message.
    """
    try:
        yield
    except Exception as error:
        message = f"swebench {swebench_version()} cannot {action}: {type(error).__name__}: {error}"
        raise GradingError(message) from error
