"""How a control run contradicts a verdict, and its shell script."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.jobs.control_run import (
    CONFIRMED,
    CONTROL,
    RESET_LIST_FILE,
    ControlResult,
    control_script,
    discrepancy,
    fail_tests_command,
)

FAILS, PASSES = {"a": "FAILED", "b": "ERROR"}, {"a": "FAILED", "b": "PASSED"}
statuses = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from([None, "PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL"]), max_size=4
)
results = st.builds(ControlResult, statuses, st.sampled_from([-1, 0, 1, 2, 137]))


def test_tests_that_fail_and_a_runner_that_says_so_are_clean() -> None:
    assert ControlResult(FAILS, 1).clean
    assert not ControlResult(FAILS, 0).clean
    assert not ControlResult(PASSES, 1).clean


@pytest.mark.parametrize("status", ["PASSED", "SKIPPED", "XFAIL", None])
def test_a_test_that_does_not_fail_is_named(status: str | None) -> None:
    difference = discrepancy(ControlResult({"a": "FAILED", "b": status}, 1), ControlResult(FAILS, 1))
    assert difference.startswith("1 tests that were made to fail did not, such as b (")
    assert (status or "not reported") in difference


def test_success_by_exit_status_alone_is_a_discrepancy() -> None:
    assert "says success by its exit status" in discrepancy(ControlResult(FAILS, 0), ControlResult(FAILS, 1))


def test_only_what_differs_from_the_gold_patch_counts() -> None:
    assert discrepancy(ControlResult(PASSES, 1), ControlResult(PASSES, 1)) == ""
    assert discrepancy(ControlResult(PASSES, 0), ControlResult(PASSES, 0)) == ""
    assert "such as b" in discrepancy(ControlResult(PASSES, 0), ControlResult(FAILS, 1))


@given(results)
def test_what_is_like_the_gold_patch_has_no_discrepancy(result: ControlResult) -> None:
    assert discrepancy(result, result) == ""


@given(results, results)
def test_a_clean_run_has_no_discrepancy(candidate: ControlResult, gold: ControlResult) -> None:
    if candidate.clean:
        assert discrepancy(candidate, gold) == ""


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.lists(st.text(min_size=1)))
def test_no_name_of_a_test_file_becomes_shell(message: str, files: list[str]) -> None:
    words = shlex.split(fail_tests_command(message, files).partition("fail_tests.py ")[2])
    assert words == [message, *(f"/testbed/{file}" for file in files)]


@pytest.mark.parametrize("confirm", [False, True])
def test_the_job_is_well_formed_and_ends_in_zero(confirm: bool) -> None:
    script = control_script(confirm=confirm, base_commit="0123abcd")
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    assert script.endswith("exit 0\n")
    assert (CONFIRMED in script) is (RESET_LIST_FILE in script) is confirm


def test_the_control_run_comes_before_files_are_reset() -> None:
    script = control_script(confirm=True, base_commit="0123abcd")
    assert script.index(CONTROL) < script.index("kill -9 -1") < script.index(RESET_LIST_FILE) < script.index(CONFIRMED)


def test_a_base_commit_that_is_shell_is_quoted() -> None:
    assert "'x; touch /y'" in control_script(confirm=True, base_commit="x; touch /y")
