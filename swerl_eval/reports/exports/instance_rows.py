"""Makes one flat row of each instance, for the exports that are tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swerl_eval.records.run_folder import Run
from swerl_eval.reports.summary import Report

COLUMNS: dict[str, type] = {
    "instance_id": str,
    "repo": str,
    "year": int,
    "difficulty": str,
    "verdict": str,
    "strict": str,
    "sample": int,
    "votes": int,
    "valid": int,
    "unique": int,
    "reward": float,
    "fail_to_pass_passed": int,
    "fail_to_pass_total": int,
    "pass_to_pass_passed": int,
    "pass_to_pass_total": int,
    "seconds": float,
    "suspicious": str,
    "reason": str,
    "run_id": str,
    "model": str,
    "recorded": bool,
    "patch_origin": str,
    "patch": str,
}
"""The columns, in order, and the type of their values. Any value but those of the run itself may be None."""


def instance_rows(run: Run, report: Report) -> Iterator[dict[str, Any]]:
    """Yield the row of each instance, by the report's order: a value for each column, None for what is not known."""
    manifest = run.manifest
    of_run = {
        "run_id": manifest.run_id,
        "model": manifest.model_name,
        "recorded": manifest.recorded,
        "patch_origin": manifest.patch_origin,
    }
    for row in report["instances"]:
        name = row["instance_id"]
        selection, evaluation = run.selections.get(name), run.evaluation_of(name)
        values = {
            **row,
            **of_run,
            "year": int(row["year"]) if row.get("year") else None,
            "reason": "; ".join(filter(None, (row.get("reason"), row.get("strict_reason")))),
            "suspicious": "; ".join(row.get("suspicious", ())),
            "seconds": evaluation.seconds if evaluation else None,
            "patch": selection.patch if selection else None,
        }
        for kind, count in row.get("tests", {}).items():
            passed, total = count.split("/")
            values |= {f"{kind.lower()}_passed": int(passed), f"{kind.lower()}_total": int(total)}
        yield {column: None if values.get(column) == "" else values.get(column) for column in COLUMNS}
