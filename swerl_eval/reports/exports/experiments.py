"""Exports a submission folder for SWE-bench/experiments: predictions, logs, all rollouts, results, metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from swerl_eval.core.hub_names import split_revision
from swerl_eval.core.types import Candidate, Sample
from swerl_eval.records.atomic import write_bytes, write_json, write_lines
from swerl_eval.records.log_files import EVAL, PATCH, REPORT, TEST_OUTPUT
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.details import flag, texts
from swerl_eval.reports.exports.leaderboard import attempts, submission_folder
from swerl_eval.reports.exports.swebench import copy_logs
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.swebench_report import predictions

LOG_FILES = (PATCH, REPORT, TEST_OUTPUT, EVAL)
_SPLITS = ("verified", "lite", "multilingual", "multimodal")


class ExperimentsExporter:
    """`swerl-eval export RUN --to experiments` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `evaluation/<split>/<date>_<model>/` below `destination`."""
        opened = Run(run)
        folder = destination / "evaluation" / _split(opened) / submission_folder(opened)
        reserve_folder(folder, opened, ["all_preds.jsonl", "metadata.yaml"])
        for part in ("logs", "trajs", "results"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        write_lines(folder / "all_preds.jsonl", predictions(opened))
        rollouts = _grouped(opened.samples.values())
        candidates = _grouped(opened.candidates.values())
        for name in opened.manifest.instance_ids:
            copy_logs(opened.logs(name), folder / "logs" / name, LOG_FILES)
            write_json(
                folder / "trajs" / f"{name}.json",
                _trajectory(opened, name, rollouts.get(name, []), candidates.get(name, [])),
            )
        for file, content in _results(opened).items():
            write_json(folder / "results" / file, content)
        metadata = yaml.safe_dump(_metadata(opened, details), sort_keys=False, allow_unicode=True)
        write_bytes(folder / "metadata.yaml", metadata.encode())
        write_bytes(folder / "README.md", _readme(opened, build_report(opened)).encode())
        return [folder]


def _split(run: Run) -> str:
    dataset = split_revision(str(run.manifest.config["dataset"]))[0].lower()
    return next((split for split in _SPLITS if split in dataset), "test")


def _grouped(records: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(record.instance_id, []).append(record)
    return groups


def _trajectory(run: Run, name: str, samples: list[Sample], candidates: list[Candidate]) -> dict[str, Any]:
    """All rollouts of an instance with the candidate that each gave, and the selection with its reason."""
    selection = run.selections.get(name)
    candidate_of = {candidate.index: candidate for candidate in candidates}
    rollouts = []
    for sample in samples:
        candidate = candidate_of.get(sample.index) if sample.stage == "repair" else None
        rollouts.append(
            {
                "stage": sample.stage,
                "sample": sample.index,
                "prompt_sha256": sample.prompt_sha256,
                "files_shown": sample.files,
                "answer": sample.completion.text,
                "reasoning": sample.completion.reasoning,
                "finish_reason": sample.completion.finish_reason,
                "error": sample.completion.error,
                "patch": candidate.patch if candidate else None,
                "rejected": candidate.rejection.value if candidate and candidate.rejection else None,
            }
        )
    return {
        "instance_id": name,
        "recorded": run.manifest.recorded,
        "rollouts": rollouts,
        "selection": None if selection is None else {"sample": selection.index, "reason": selection.reason},
    }


def _results(run: Run) -> dict[str, Any]:
    rows = build_report(run)["instances"]
    resolved = [row["instance_id"] for row in rows if row["verdict"] == "resolved"]
    by_repo: dict[str, dict[str, int]] = {}
    by_time: dict[str, dict[str, int]] = {}
    for row in rows:
        facts = run.manifest.instances.get(row["instance_id"], {})
        for table, key in ((by_repo, facts.get("repo", "")), (by_time, facts.get("created_at", "")[:4])):
            counts = table.setdefault(key, {"resolved": 0, "total": 0})
            counts["total"] += 1
            counts["resolved"] += row["verdict"] == "resolved"
    return {
        "results.json": {
            "no_generation": [row["instance_id"] for row in rows if row["verdict"] in {"empty_patch", "missing"}],
            "no_logs": [row["instance_id"] for row in rows if row["verdict"] in {"infra_error", "patch_failed"}],
            "resolved": resolved,
        },
        "resolved_by_repo.json": dict(sorted(by_repo.items())),
        "resolved_by_time.json": dict(sorted(by_time.items())),
    }


def _metadata(run: Run, details: Mapping[str, Any]) -> dict[str, Any]:
    count = attempts(run)
    return {
        "info": {
            "name": str(details.get("name") or run.manifest.model_name),
            "site": details.get("site"),
            "report": details.get("report"),
            "authors": details.get("authors"),
            "logo": texts(details, "logo"),
        },
        "tags": {
            "checked": False,
            "model": [str(details.get("model_display") or run.manifest.model_name)],
            "org": str(details.get("model_org") or ""),
            "os_model": flag(details, "os_model"),
            "os_system": flag(details, "os_system") if why_grading_only(run.manifest) else True,
            "system": {"attempts": 1 if count == "1" else count or None},
        },
        "assets": {"repo": details.get("repo"), "logs": details.get("logs"), "trajs": details.get("trajs")},
    }


def _readme(run: Run, report: Mapping[str, Any]) -> str:
    low, high = report["interval_95"]
    strict = report["strict"]
    strict_text = f" By the strict verdict (a control run): {strict['resolved']}." if strict else ""
    missing = len(report["without_prediction"])
    missing_text = f" {missing} of them have no prediction." if missing else ""
    return f"""# {run.manifest.model_name}

{report["resolved"]} of {report["total"]} instances resolved: {100 * report["solve_rate"]:.1f} %
(95 % interval {100 * low:.1f} to {100 * high:.1f}).{missing_text}{strict_text}

Graded by swebench {run.manifest.versions.get("swebench", "?")}. Run `{run.manifest.run_id}`, dataset fingerprint
`{run.manifest.dataset_fingerprint[:16]}`.
{_how_made(run)}"""


def _how_made(run: Run) -> str:
    """How the patches were made, and the submission's checklist, ticked as far as the run knows."""
    unknown = why_grading_only(run.manifest)
    tick = " " if unknown else "x"
    checklist = [
        f"- [{'x' if attempts(run) == '1' else ' '}] pass@1: a single sample for each instance",
        f"- [{tick}] neither `PASS_TO_PASS` nor `FAIL_TO_PASS` was used to make or choose it",
        f"- [{tick}] the dataset's hints were not used",
        f"- [{tick}] nothing was looked up on the web",
    ]
    origin = (
        f"Localization, repair and selection by swerl-eval {run.manifest.versions['swerl-eval']} (SWE-RL / Agentless "
        f"Mini): {run.manifest.config['samples']} repair samples an instance, one patch submitted."
        if not unknown
        else f"**Only the grading is claimed here: {unknown}.** Whoever made the patches may tick the list."
    )
    return "\n".join([origin, "", *checklist, ""])
