"""Exports the result of a run for the model's repository on the hub (`.eval_results/*.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from swerl_eval.core.errors import UsageError
from swerl_eval.core.hub_names import split_revision
from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import oracle_files, why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.published_splits import PublishedSplit, part_of, published_split
from swerl_eval.reports.exports.schemas import HubResult
from swerl_eval.reports.summary import Report, build_report

FORM = "hub"
TASKS = {"SWE-bench/SWE-bench_Verified": "swe_bench_%_resolved"}
"""The task of each dataset that takes results on the hub."""
_COMMIT = re.compile("[0-9a-f]{40}")


class HubExporter:
    """`swerl-eval export RUN --to hub` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `.eval_results/<dataset>.yaml` below `destination`.

        Raises:
            UsageError: The answers are not the model's own, or the run is not complete on a whole published split.
        """
        opened = Run(run)
        report = build_report(opened)
        split = _checked_split(opened, report)
        entry = check(HubResult, _entry(opened, report, split, details), f"{split.subset}.yaml")
        folder = destination / ".eval_results"
        target = folder / f"{split.subset}.yaml"
        reserve_folder(destination, opened, [str(target.relative_to(destination))])
        folder.mkdir(exist_ok=True)
        write_bytes(target, yaml.safe_dump([entry], sort_keys=False, allow_unicode=True).encode())
        return [target]


def _checked_split(run: Run, report: Report) -> PublishedSplit:
    unknown = why_grading_only(run.manifest)
    if unknown:
        message = f"--to {FORM}: {unknown}; a model's repository takes results of its own answers only"
        raise UsageError(message)
    for objection in oracle_files(run.manifest):
        message = f"--to {FORM}: {objection.what}; {objection.remedy}"
        raise UsageError(message)
    split = published_split(run.manifest, FORM)
    if split.dataset not in TASKS:
        message = f"--to {FORM}: {split.dataset} takes no results on the hub; only {', '.join(TASKS)} does"
        raise UsageError(message)
    part = part_of(run.manifest, split)
    if part:
        message = f"--to {FORM} is for whole splits; this run has {part}"
        raise UsageError(message)
    if not report["complete"]:
        message = f"--to {FORM} is for complete runs; resume {run.folder} first, which does what is left"
        raise UsageError(message)
    return split


def _entry(run: Run, report: Report, split: PublishedSplit, details: Mapping[str, Any]) -> dict[str, Any]:
    dataset = {"id": split.dataset, "task_id": TASKS[split.dataset]}
    revision = split_revision(str(run.manifest.config["dataset"]))[1]
    if revision and _COMMIT.fullmatch(revision):  # a branch or a tag may mean something else by now
        dataset["revision"] = revision
    entry = {
        "dataset": dataset,
        "value": round(100 * report["solve_rate"], 2),
        "date": run.manifest.created_at[:10],
    }
    if details.get("site"):
        named = {"url": details["site"], "name": details.get("name"), "user": details.get("user")}
        entry["source"] = {key: str(value) for key, value in named.items() if value}
    samples = run.manifest.config["samples"]
    entry["notes"] = (
        f"swerl-eval {run.manifest.versions.get('swerl-eval', '?')} (Agentless Mini), {samples} repair "
        f"{'sample' if samples == 1 else 'samples'} an instance, one patch submitted; {report['resolved']} of "
        f"{report['total']} resolved by swebench {run.manifest.versions.get('swebench', '?')}"
    )
    return entry
