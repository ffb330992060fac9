"""The official specification and grading. The only importer of swebench's harness.

Verdicts are never computed here: `swebench.harness.grading` computes them from the log. What this module adds is the
ways in which a run can end before there is a log to grade.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swerl_eval.core.types import Oracle, Verdict

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

HARNESS_VERSION = version("swebench")


def eval_script(oracle: Oracle) -> str:
    """The script that the official harness would run for this row, exit code marker included."""
    return str(_spec(oracle).eval_script)


def image_assets(oracle: Oracle) -> list[dict[str, Any]]:
    """Binary files that a row's patches cannot carry (multimodal tasks); Verified has none."""
    declared = _spec(oracle).image_assets or {}
    return [entry for key in ("test_patch", "patch") for entry in declared.get(key) or []]


def grade(oracle: Oracle, patch: str | None, test_output: Path) -> dict[str, Any]:
    """The instance's entry of the official report.json, from the saved test output.

    A patch of None grades as `patch_is_None`.
    """
    from swebench.harness.grading import get_eval_report

    prediction = {"instance_id": oracle.instance_id, "model_name_or_path": "", "model_patch": patch}
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
    from swebench.harness.infra_failure import TIER_ENVIRONMENT, classify_logs

    found = classify_logs(*logs)
    return None if found is None else (found[0], found[1] == TIER_ENVIRONMENT)


def quiet_swebench() -> None:
    """Keep swebench's import from reading a `.env` file of whatever folder the user stands in."""
    os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")


def _spec(oracle: Oracle) -> Any:
    quiet_swebench()
    from swebench.harness.utils import make_test_spec

    return make_test_spec(oracle.row)
