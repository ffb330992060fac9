"""The entry of a submission to SWE-bench/experiments: results, metadata, README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from swerl_eval.records.atomic import write_bytes, write_json
from swerl_eval.records.log_files import PATCH, TEST_OUTPUT
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import code, listed, printable
from swerl_eval.reports.exports.checking import check, check_each
from swerl_eval.reports.exports.claims import (
    Objection,
    attempts,
    entry_name,
    refuse_unfit,
    shown_model,
    why_grading_only,
)
from swerl_eval.reports.exports.details import flag, text, texts
from swerl_eval.reports.exports.schemas import Count, Metadata, Results
from swerl_eval.reports.exports.splits import named_split, public_split
from swerl_eval.reports.exports.trajectories import trajectory_objections
from swerl_eval.reports.summary import build_report

_SHOWN_NAMES = 3


def refuse_unfit_entry(run: Run, details: Mapping[str, Any], consumer: str) -> tuple[str, ...]:
    """Refuse a run that cannot be submitted: as `claims.refuse_unfit`, and for want of trajectories and logs."""
    return refuse_unfit(run, details, consumer, (*trajectory_objections(run, details), *_log_objections(run)))


def _log_objections(run: Run) -> list[Objection]:
    """Object to resolved instances without a log: submissions are graded again from their logs."""
    lacking = []
    for name in run.manifest.instance_ids:
        evaluation = run.evaluation_of(name)
        if evaluation and evaluation.resolved:
            files = [run.logs(name) / file for file in (PATCH, TEST_OUTPUT)]
            lacking += [] if all(file.is_file() for file in files) else [name]
    if not lacking:
        return []
    what = f"logs are missing of {len(lacking)} resolved instances ({listed(sorted(lacking), printable, _SHOWN_NAMES)})"
    return [Objection(what, "restore the folder logs of the run, or evaluate them again with --no-cache")]


def split_name(run: Run) -> str:
    """Return the split's name; of a trial over other instances the one that the dataset is named after, else `test`."""
    split = public_split(run.manifest) or named_split(run.manifest)
    return split.name if split else "test"


def write_entry(run: Run, details: Mapping[str, Any], remarks: Sequence[str], folder: Path) -> None:
    """Write `results/`, `metadata.yaml` and `README.md`.

    Args:
        run: The run.
        details: The setting `submission`.
        remarks: What the entry has to say of itself.
        folder: The entry's folder.
    """
    (folder / "results").mkdir(parents=True, exist_ok=True)
    report = build_report(run)
    for file, content in _results(run, report).items():
        write_json(folder / "results" / file, content)
    content = check(Metadata, metadata(run, details, remarks), "metadata.yaml")
    write_bytes(folder / "metadata.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    write_bytes(folder / "README.md", _readme(run, report, details, remarks).encode())


def _results(run: Run, report: Mapping[str, Any]) -> dict[str, Any]:
    rows = report["instances"]
    by_repo: dict[str, dict[str, int]] = {}
    by_time: dict[str, dict[str, int]] = {}
    for row in rows:
        facts = run.manifest.instances.get(row["instance_id"], {})
        for table, key in ((by_repo, facts.get("repo")), (by_time, facts.get("created_at", "")[:4])):
            if key:
                counts = table.setdefault(key, {"resolved": 0, "total": 0})
                counts["total"] += 1
                counts["resolved"] += row["verdict"] == "resolved"
    results = {
        "no_generation": [row["instance_id"] for row in rows if row["verdict"] in {"empty_patch", "missing"}],
        "no_logs": [row["instance_id"] for row in rows if row["verdict"] in {"infra_error", "patch_failed"}],
        "resolved": [row["instance_id"] for row in rows if row["verdict"] == "resolved"],
    }
    tables = {
        "resolved_by_repo.json": dict(sorted(by_repo.items())),
        "resolved_by_time.json": dict(sorted(by_time.items())),
    }
    check(Results, results, "results.json")
    check_each(dict[str, Count], tables)
    return {"results.json": results, **tables}


def metadata(run: Run, details: Mapping[str, Any], remarks: Sequence[str]) -> dict[str, Any]:
    """Return the content of `metadata.yaml`."""
    made_here = not why_grading_only(run.manifest)
    return {
        "info": {
            "name": entry_name(run.manifest, details, remarks),
            "site": text(details, "site"),
            "report": text(details, "report"),
            "authors": text(details, "authors"),
            "logo": texts(details, "logo"),
        },
        "tags": {
            "checked": False,
            "model": [shown_model(run.manifest, details)],
            "org": text(details, "model_org"),
            "os_model": flag(details, "os_model"),
            "os_system": True if made_here else flag(details, "os_system"),
            "system": {"attempts": attempts(run.manifest, details)},
        },
        "assets": {key: text(details, key) for key in ("repo", "logs", "trajs")},
    }


def _readme(run: Run, report: Mapping[str, Any], details: Mapping[str, Any], remarks: Sequence[str]) -> str:
    low, high = report["interval_95"]
    strict = report["strict"]
    strict_text = f" By the strict verdict (a control run): {strict['resolved']}." if strict else ""
    missing = len(report["without_prediction"])
    missing_text = f" {missing} of them have no prediction." if missing else ""
    said = "".join(f"**{remark[0].upper()}{remark[1:]}.**\n\n" for remark in map(printable, remarks))
    return f"""# {printable(entry_name(run.manifest, details, remarks))}

{said}{report["resolved"]} of {report["total"]} instances resolved: {100 * report["solve_rate"]:.1f} %
(95 % interval {100 * low:.1f} to {100 * high:.1f}).{missing_text}{strict_text}

Graded by swebench {run.manifest.versions.get("swebench", "?")}. Run {code(run.manifest.run_id)}, dataset fingerprint
{code(run.manifest.dataset_fingerprint[:16])}.
{_how_made(run, details)}"""


def _how_made(run: Run, details: Mapping[str, Any]) -> str:
    """Return how the patches were made, and the checklist, ticked as far as the run knows or the submitter says."""
    unknown = why_grading_only(run.manifest)

    made_here = not unknown and run.manifest.config.get("localization", "model") in {"model", "oracle"}

    def tick(key: str) -> str:
        return "x" if made_here or flag(details, key) else " "

    checklist = [
        f"- [{'x' if attempts(run.manifest, details) == 1 else ' '}] pass@1: a single sample for each instance",
        f"- [{tick('tests_not_used')}] neither `PASS_TO_PASS` nor `FAIL_TO_PASS` was used to make or choose it",
        f"- [{tick('hints_not_used')}] the dataset's hints were not used",
        f"- [{tick('web_not_used')}] nothing was looked up on the web",
    ]
    origin = (
        f"Localization, repair and selection by swerl-eval {run.manifest.versions.get('swerl-eval', '?')} (SWE-RL / "
        f"Agentless Mini): {run.manifest.config.get('samples')} repair samples an instance, one patch submitted."
        if not unknown
        else f"**Only the grading is claimed here: {unknown}.** What is ticked below is the submitter's statement."
    )
    return "\n".join([origin, "", *checklist, ""])
