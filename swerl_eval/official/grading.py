"""From a saved log to the official report.

Verdicts are never computed here: `swebench.harness.grading` computes them from the log. This module adds words for the
ways in which a run ends before there is a log to grade.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swerl_eval.core.types import TestPlan, Verdict
from swerl_eval.official.harness import harness
from swerl_eval.official.specification import Row, grading_errors, specification_of

_ONE_LOG_IN_MEMORY = threading.Lock()
"""Grading holds a log several times over, and takes a moment. So logs are graded one at a time."""


class FailureReason(NamedTuple):
    """swebench's guess why a log cannot be graded."""

    reason: str
    environment: bool
    """Whether the environment is surely at fault, not the patch."""


def grade(row: Row, patch: str | None, test_output: Path) -> dict[str, Any]:
    """Return the instance's entry of the official report.json.

    Args:
        row: The dataset's row.
        patch: The patch that was run; None grades as `patch_is_None`.
        test_output: The saved output of its tests.
    """
    instance_id = str(row["instance_id"])
    prediction = {"instance_id": instance_id, "model_name_or_path": "", "model_patch": patch}
    spec = specification_of(row)
    with _ONE_LOG_IN_MEMORY, grading_errors(f"grade {test_output.name}"):
        report = harness().grading.get_eval_report(spec, prediction, str(test_output), include_tests_status=True)
    entry: dict[str, Any] = report[instance_id]
    return entry


def verdict_of(report: Mapping[str, Any]) -> Verdict:
    """Return the verdict of an official report: resolved or unresolved."""
    return Verdict.RESOLVED if report["resolved"] else Verdict.UNRESOLVED


def graded_statuses(row: Row, test_output: Path) -> dict[str, str | None]:
    """Return what a log says of each graded test, by its official name; None where it says nothing."""
    spec, logged = specification_of(row), all_statuses(row, test_output)
    resolve = harness().grading._resolve_case
    names = {name: resolve(name, logged) for name in (*spec.FAIL_TO_PASS, *spec.PASS_TO_PASS)}
    return {name: None if logged_name is None else logged[logged_name] for name, logged_name in names.items()}


def all_statuses(row: Row, test_output: Path) -> dict[str, str | None]:
    """Return what a log says of every test that it names; nothing when there is no log."""
    if not test_output.exists():
        return {}
    spec = specification_of(row)
    with _ONE_LOG_IN_MEMORY, grading_errors(f"read {test_output.name}"):
        statuses: dict[str, str | None] = harness().grading.get_logs_eval(spec, str(test_output))[0]
    return statuses


def parse_tests(plan: TestPlan, output: str) -> dict[str, str]:
    """Read the output of tests with swebench's parser.

    Returns:
        PASSED, FAILED, ERROR, SKIPPED or XFAIL, by the name of the test.
    """
    from swebench.types import TestSpec

    spec = TestSpec(plan.instance_id, "", [], plan.repo, plan.version, [], [], plan.log_parser)
    with grading_errors("read the output of tests"):
        statuses: dict[str, str] = harness().log_parsers.PARSER_REGISTRY[plan.log_parser](output, spec)
    return statuses


def timeout_notice(seconds: float) -> str:
    """Return what the official harness appends to the test output of a run that it stopped."""
    return f"\n\nTimeout error: {round(seconds)} seconds exceeded."


def failure_reason(*logs: Path) -> FailureReason | None:
    """Return swebench's guess why there is nothing to grade; None when it has none."""
    official = harness().infra_failure
    # read here: swebench reads in the encoding of the host's locale
    guess = official.classify_text("\n".join(_text(log) for log in logs if log.exists()))
    return None if guess is None else FailureReason(guess[0], guess[1] == official.TIER_ENVIRONMENT)


def remark_on_unresolved(report: Mapping[str, Any], test_output: Path, run_log: Path) -> str:
    """Return what there is to say of an unresolved patch beside its tests; empty when only tests failed."""
    remarks = []
    if "tests_status" not in report:
        remarks.append(f"no test results: {_why_no_results(_text(test_output))}")
    if failure := failure_reason(test_output, run_log):
        remarks.append(f"swebench's reason: {failure.reason}")
    return "; ".join(remarks)


def _why_no_results(log: str) -> str:
    constants = harness().constants
    missing = [marker for marker in (constants.START_TEST_OUTPUT, constants.END_TEST_OUTPUT) if marker not in log]
    if missing:
        return f"the log has no {missing[0]!r}, which the eval script should print"
    exit_code = harness().grading.parse_test_exit_code(log)
    if exit_code not in {None, 0}:
        return f"the test command ended with exit code {exit_code}, and the log names no failed test"
    return "the log names no test"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
