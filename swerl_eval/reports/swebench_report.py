"""Makes swebench's own files from a run folder: predictions, and the run report (schema 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swerl_eval.core.names import report_name as name_of_report
from swerl_eval.official import grading
from swerl_eval.records.log_files import RUN_LOG, TEST_OUTPUT
from swerl_eval.records.run_folder import Run


def predictions(run: Run) -> list[dict[str, str]]:
    """The rows of `all_preds.jsonl`: one per instance with a selection, in the order of the manifest."""
    rows = []
    for name in run.manifest.instance_ids:
        selection = run.selections.get(name)
        if selection is not None:
            rows.append(
                {
                    "instance_id": name,
                    "model_name_or_path": run.manifest.model_name,
                    "model_patch": selection.patch,
                }
            )
    return rows


def run_report(run: Run) -> dict[str, Any]:
    """The report that swebench's `make_run_report` would write for this run's logs (schema 2)."""
    ids = run.manifest.instance_ids
    evaluations = {name: run.evaluation_of(name) for name in ids}
    predicted = {name for name in ids if name in run.selections}
    empty = {name for name in predicted if (selection := run.selections.get(name)) and not selection.patch}
    completed = {name for name in ids if (evaluation := evaluations[name]) and evaluation.report is not None}
    resolved = {name for name in completed if (evaluation := evaluations[name]) and evaluation.resolved}
    groups = {
        "completed": completed,
        "incomplete": set(ids) - predicted,
        "empty_patch": empty,
        "resolved": resolved,
        "unresolved": completed - resolved,
        "error": predicted - empty - completed,
    }
    reasons, infra_failures = _failure_reasons(run, groups["unresolved"] | groups["error"])
    groups |= {
        "infra_failure": infra_failures,
        "ambiguous_failure": set(reasons) - infra_failures,
        "submitted": predicted,
    }
    counted = [group for group in groups if group != "incomplete"]
    return {
        "total_instances": len(ids),
        **{f"{group}_instances": len(groups[group]) for group in counted},
        **{f"{group}_ids": sorted(members) for group, members in groups.items()},
        "failure_reasons": dict(sorted(reasons.items())),
        "schema_version": 2,
    }


def _failure_reasons(run: Run, names: set[str]) -> tuple[dict[str, str], set[str]]:
    """swebench's reason for each instance that has one, and the instances where the environment is surely at fault."""
    reasons: dict[str, str] = {}
    infra_failures: set[str] = set()
    for name in names:
        logs = run.logs(name)
        failure = grading.failure_reason(logs / TEST_OUTPUT, logs / RUN_LOG)
        if failure is not None:
            reasons[name], is_infra_failure = failure
            if is_infra_failure:
                infra_failures.add(name)
    return reasons, infra_failures


def report_name(run: Run) -> str:
    """`<model>.<run_id>.json`, as swebench names it."""
    return name_of_report(run.manifest.model_name, run.manifest.run_id)


def log_folder(run: Run, root: Path) -> Path:
    """Where swebench looks for this run's per-instance logs below `root`."""
    return root / "logs" / "run_evaluation" / run.manifest.run_id / run.manifest.model_name.replace("/", "__")
