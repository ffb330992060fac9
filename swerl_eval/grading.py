"""The official specification and grading. The only importer of swebench's harness.

Verdicts are never computed here: `swebench.harness.grading` computes them from the log. What this module adds is the
ways in which a run can end before there is a log to grade.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from swerl_eval.core.types import Oracle, TestPlan, Verdict

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

START_MARKER = ">>>>> Start Test Output"
"""What every eval script prints before its test command."""


def eval_script(oracle: Oracle) -> str:
    """The script that the official harness would run for this row, exit code marker included."""
    return str(_spec(oracle).eval_script)


def exit_status_script(oracle: Oracle, before_tests: str = "") -> str:
    """The official script up to its test command, whose exit status becomes its own.

    `before_tests` is a line of shell that stands right before the test command.
    """
    _load_harness()
    from swebench.harness.constants import TEST_EXIT_CODE, TEST_EXIT_CODE_VAR

    lines = eval_script(oracle).split("\n")
    start = next((n for n, line in enumerate(lines) if START_MARKER in line), 0)
    end = next((n for n, line in enumerate(lines) if line.startswith(f'echo "{TEST_EXIT_CODE}')), len(lines))
    return "\n".join([*lines[:start], before_tests, *lines[start : end + 1], f"exit ${{{TEST_EXIT_CODE_VAR}:-0}}", ""])


def runner(oracle: Oracle) -> tuple[str, ...]:
    """The words of the test command."""
    lines = str(oracle.row["eval_script"]).split("\n")
    start = next((n for n, line in enumerate(lines) if START_MARKER in line), len(lines))
    return tuple(lines[start + 1].split()) if start + 1 < len(lines) else ()


def statuses(oracle: Oracle, test_output: Path, *, every: bool = False) -> dict[str, str | None]:
    """What a log says of each graded test by its official name (None: nothing), or of `every` test that it names."""
    _load_harness()
    from swebench.harness.grading import _resolve_case, get_logs_eval

    spec = _spec(oracle)
    with _ONE_LOG_IN_MEMORY:
        found: dict[str, str | None] = get_logs_eval(spec, str(test_output))[0] if test_output.exists() else {}
    if every:
        return found
    keys = {name: _resolve_case(name, found) for name in (*spec.FAIL_TO_PASS, *spec.PASS_TO_PASS)}
    return {name: None if key is None else found[key] for name, key in keys.items()}


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
    _load_harness()
    from swebench.harness.log_parsers import PARSER_REGISTRY
    from swebench.types import TestSpec

    spec = TestSpec(plan.instance_id, "", [], plan.repo, plan.version, [], [], plan.log_parser)
    found: dict[str, str] = PARSER_REGISTRY[plan.log_parser](output, spec)
    return found


def image_assets(oracle: Oracle) -> list[dict[str, Any]]:
    """Binary files that a row's patches cannot carry (multimodal tasks); Verified has none."""
    declared = _spec(oracle).image_assets or {}
    return [entry for key in ("test_patch", "patch") for entry in declared.get(key) or []]


def grade(oracle: Oracle, patch: str | None, test_output: Path) -> dict[str, Any]:
    """The instance's entry of the official report.json, from the saved test output.

    A patch of None grades as `patch_is_None`.
    """
    _load_harness()
    from swebench.harness.grading import get_eval_report

    prediction = {"instance_id": oracle.instance_id, "model_name_or_path": "", "model_patch": patch}
    with _ONE_LOG_IN_MEMORY:
        report = get_eval_report(_spec(oracle), prediction, str(test_output), include_tests_status=True)
    entry: dict[str, Any] = report[oracle.instance_id]
    return entry


def verdict_of(report: dict[str, Any]) -> Verdict:
    """Resolved or not, as the official report says."""
    return Verdict.RESOLVED if report["resolved"] else Verdict.UNRESOLVED


def timeout_notice(seconds: float) -> str:
    """What the official harness appends to the test output of a run that it stopped."""
    return f"\n\nTimeout error: {round(seconds)} seconds exceeded."


def failure_reason(*logs: Path) -> tuple[str, bool] | None:
    """Swebench's guess why there is nothing to grade: the reason, and whether it surely is the environment."""
    _load_harness()
    from swebench.harness.infra_failure import TIER_ENVIRONMENT, classify_logs

    found = classify_logs(*logs)
    return None if found is None else (found[0], found[1] == TIER_ENVIRONMENT)


def quiet_swebench() -> None:
    """Keep swebench's import from reading a `.env` file of whatever folder the user stands in."""
    os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")


_IMPORTING = threading.Lock()
_ONE_LOG_IN_MEMORY = threading.Lock()
"""Grading holds a log several times over, and takes a moment: it is done one log at a time."""


def _load_harness() -> None:
    """Import swebench's harness, for whose own reading of datasets `datasets` is imported only when it is called.

    That library and what it brings were measured at 120 MB of memory; nothing else here needs them.
    """
    quiet_swebench()
    with _IMPORTING:
        if "swebench.harness.utils" in sys.modules or "datasets" in sys.modules:
            return
        later = ModuleType("datasets")
        for name in ("Dataset", "load_dataset", "load_from_disk"):
            setattr(later, name, _from_datasets(name))
        sys.modules["datasets"] = later
        try:
            importlib.import_module("swebench.harness.utils")
        finally:
            del sys.modules["datasets"]


def _from_datasets(name: str) -> Callable[..., Any]:
    """A function of that library, which is imported at the first call."""

    def call(*values: Any, **options: Any) -> Any:
        return getattr(importlib.import_module("datasets"), name)(*values, **options)

    return call


def _spec(oracle: Oracle) -> Any:
    _load_harness()
    from swebench.harness.utils import make_test_spec

    return make_test_spec(oracle.row)
