"""The official specification and grading.

Verdicts are never computed here: `swebench.harness.grading` computes them from the log. What this module adds is the
ways in which a run can end before there is a log to grade.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import GradingError
from swerl_eval.core.types import Oracle, TestPlan, Verdict
from swerl_eval.official.harness import harness

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
"""What swebench 5 needs of a row. Rows of older dataset revisions lack the last four."""

GRADED = ("FAIL_TO_PASS", "PASS_TO_PASS")
"""The columns with the names of the deciding tests."""
START_MARKER = ">>>>> Start Test Output"
"""What every eval script prints before its test command."""


def eval_script(oracle: Oracle) -> str:
    """The script that the official harness would run for this row, exit code marker included."""
    return str(_spec(oracle).eval_script)


def exit_status_script(oracle: Oracle, before_tests: str = "") -> str:
    """The official script up to its test command, whose exit status becomes its own.

    `before_tests` is a line of shell that stands right before the test command.
    """
    words = harness().constants
    lines = eval_script(oracle).split("\n")
    start = next((n for n, line in enumerate(lines) if START_MARKER in line), 0)
    end = next((n for n, line in enumerate(lines) if line.startswith(f'echo "{words.TEST_EXIT_CODE}')), len(lines))
    return "\n".join(
        [*lines[:start], before_tests, *lines[start : end + 1], f"exit ${{{words.TEST_EXIT_CODE_VAR}:-0}}", ""]
    )


def runner(oracle: Oracle) -> tuple[str, ...]:
    """The words of the test command."""
    lines = str(oracle.row["eval_script"]).split("\n")
    start = next((n for n, line in enumerate(lines) if START_MARKER in line), len(lines))
    return tuple(lines[start + 1].split()) if start + 1 < len(lines) else ()


def statuses(oracle: Oracle, test_output: Path, *, every: bool = False) -> dict[str, str | None]:
    """What a log says of each graded test by its official name (None: nothing), or of `every` test that it names."""
    official = harness().grading
    spec = _spec(oracle)
    with _ONE_LOG_IN_MEMORY, _translated(f"read {test_output.name}"):
        found: dict[str, str | None] = official.get_logs_eval(spec, str(test_output))[0] if test_output.exists() else {}
    if every:
        return found
    keys = {name: official._resolve_case(name, found) for name in (*spec.FAIL_TO_PASS, *spec.PASS_TO_PASS)}
    return {name: None if key is None else found[key] for name, key in keys.items()}


_ONE_LOG_IN_MEMORY = threading.Lock()
"""Grading holds a log several times over, and takes a moment: it is done one log at a time."""
_NOISE = re.compile(r"#!|set -|git (status|show)\b|git .*\bdiff\b|git config .*safe\.directory|: '|$")
_EDITABLE_INSTALL = re.compile(r"\bpip install\b.*\s-e\b")
_NAMED_TEST = re.compile(r"[A-Za-z_][\w./\[\]-]*")


def test_plan(row: Mapping[str, Any]) -> TestPlan:
    """How the eval script sets up and calls the tests; the test patch and the tests that it names are left out.

    An editable install is left out too: the image has it, and it follows the files.
    """
    lines = str(row["eval_script"]).split("\n")
    start = next((n for n, line in enumerate(lines) if START_MARKER in line), len(lines))
    reset = next((n for n, line in enumerate(lines[:start]) if line.startswith("git checkout ")), start)
    setup = [line for line in lines[:reset] if not _NOISE.match(line) and not _EDITABLE_INSTALL.search(line)]
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


def parse_tests(plan: TestPlan, output: str) -> dict[str, str]:
    """Status by test name (PASSED, FAILED, ERROR, SKIPPED, XFAIL), read by swebench's parser."""
    from swebench.types import TestSpec

    spec = TestSpec(plan.instance_id, "", [], plan.repo, plan.version, [], [], plan.log_parser)
    with _translated("read the output of tests"):
        found: dict[str, str] = harness().log_parsers.PARSER_REGISTRY[plan.log_parser](output, spec)
    return found


def count_tests(row: Mapping[str, Any]) -> int:
    """How many tests decide on a row."""
    return sum(len(row[key]) for key in GRADED)


def image_assets(oracle: Oracle) -> list[dict[str, Any]]:
    """Binary files that a row's patches cannot carry (multimodal tasks); Verified has none."""
    declared = _spec(oracle).image_assets or {}
    if not isinstance(declared, dict):
        message = f"image_assets of the row is no object but {type(declared).__name__}"
        raise GradingError(message)
    return [entry for key in ("test_patch", "patch") for entry in declared.get(key) or []]


def grade(oracle: Oracle, patch: str | None, test_output: Path) -> dict[str, Any]:
    """The instance's entry of the official report.json, from the saved test output.

    A patch of None grades as `patch_is_None`.
    """
    prediction = {"instance_id": oracle.instance_id, "model_name_or_path": "", "model_patch": patch}
    spec, official = _spec(oracle), harness().grading
    with _ONE_LOG_IN_MEMORY, _translated(f"grade {test_output.name}"):
        report = official.get_eval_report(spec, prediction, str(test_output), include_tests_status=True)
    entry: dict[str, Any] = report[oracle.instance_id]
    return entry


def specification(oracle: Oracle) -> dict[str, Any]:
    """What of a row decides how a log is graded."""
    spec = _spec(oracle)
    return {
        "instance_id": spec.instance_id,  # a few parsers look at it
        "FAIL_TO_PASS": list(spec.FAIL_TO_PASS),
        "PASS_TO_PASS": list(spec.PASS_TO_PASS),
        "log_parser": spec.log_parser,
        "eval_type": str(spec.eval_type),
        "repo": spec.repo,
        "version": spec.version,
    }


def known_parsers() -> list[str]:
    """Names of the log parsers of the installed swebench."""
    return sorted(harness().log_parsers.PARSER_REGISTRY)


def known_eval_types() -> list[str]:
    """The ways to grade of the installed swebench."""
    return sorted(each.value for each in harness().constants.EvalType)


def swebench_version() -> str:
    """Of the installed package."""
    return version("swebench")


def verdict_of(report: dict[str, Any]) -> Verdict:
    """Resolved or not, as the official report says."""
    return Verdict.RESOLVED if report["resolved"] else Verdict.UNRESOLVED


def timeout_notice(seconds: float) -> str:
    """What the official harness appends to the test output of a run that it stopped."""
    return f"\n\nTimeout error: {round(seconds)} seconds exceeded."


def failure_reason(*logs: Path) -> tuple[str, bool] | None:
    """Swebench's guess why there is nothing to grade: the reason, and whether it surely is the environment."""
    official = harness().infra_failure
    # read here, since swebench reads in the encoding of the host's locale
    found = official.classify_text("\n".join(map(_text, filter(Path.exists, logs))))
    return None if found is None else (found[0], found[1] == official.TIER_ENVIRONMENT)


def remark_on_unresolved(report: Mapping[str, Any], test_output: Path, run_log: Path) -> str:
    """What there is to say of an unresolved patch beside its tests; empty where nothing but tests failed."""
    remarks = []
    if "tests_status" not in report:
        remarks.append(f"no test results: {_why_no_results(_text(test_output))}")
    if found := failure_reason(test_output, run_log):
        remarks.append(f"swebench's reason: {found[0]}")
    return "; ".join(remarks)


def _why_no_results(log: str) -> str:
    words = harness().constants
    missing = [marker for marker in (words.START_TEST_OUTPUT, words.END_TEST_OUTPUT) if marker not in log]
    if missing:
        return f"the log has no {missing[0]!r}, which the eval script should print"
    exit_code = harness().grading.parse_test_exit_code(log)
    if exit_code not in {None, 0}:
        return f"the test command ended with exit code {exit_code}, and the log names no failed test"
    return "the log names no test"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def nothing_decides(oracle: Oracle) -> bool:
    """Whether a row names no test at all, so that any patch that applies is officially resolved."""
    spec = _spec(oracle)
    return not spec.FAIL_TO_PASS and not spec.PASS_TO_PASS


def _spec(oracle: Oracle) -> Any:
    with _translated("make a specification of the row"):
        return harness().utils.make_test_spec(oracle.row)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Whatever swebench raises at one instance, as `GradingError`."""
    try:
        yield
    except Exception as error:
        message = f"swebench {swebench_version()} cannot {what}: {type(error).__name__}: {error}"
        raise GradingError(message) from error
