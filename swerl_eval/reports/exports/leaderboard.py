"""Exports a row of the leaderboard's `leaderboards.json`, and what the score was measured with (`pins`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.records.atomic import write_json
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.details import flag, texts
from swerl_eval.reports.summary import Report, build_report


class LeaderboardExporter:
    """`swerl-eval export RUN --to leaderboard` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `leaderboard.json` below `destination`."""
        opened = Run(run)
        target = destination / "leaderboard.json"
        reserve_folder(destination, opened, [target.name])
        write_json(target, leaderboard_row(opened, build_report(opened), details))
        return [target]


def attempts(run: Run) -> str:
    """The leaderboard's number of attempts: `1`, or `2+` for a choice among several samples (best@k).

    Empty if this run did not make the patches.
    """
    if why_grading_only(run.manifest):
        return ""
    return "1" if run.manifest.config["samples"] == 1 else "2+"


def leaderboard_row(run: Run, report: Report, details: Mapping[str, Any]) -> dict[str, Any]:
    """The row. `pins` is this program's addition: what the score was measured with."""
    date = run.manifest.created_at[:10]
    count = attempts(run)
    name = str(details.get("name") or run.manifest.model_name)
    model = str(details.get("model_display") or run.manifest.model_name)
    org = str(details.get("model_org") or "")
    tags = {"Model": model, "Org": org, "System": f"Attempts - {count}" if count else ""}
    unknown = why_grading_only(run.manifest)
    calls = Counter(sample.instance_id for sample in run.samples.values())
    return {
        "name": name,
        "folder": submission_folder(run),
        "date": date,
        "resolved": round(100 * report["solve_rate"], 2),
        "agent": str(details.get("agent") or "") if unknown else "swerl-eval (Agentless Mini)",
        "agent_org": str(details.get("agent_org") or ""),
        "model_display": model,
        "model_org": org,
        "reasoning_effort": details.get("reasoning_effort"),
        "model_release_date": details.get("model_release_date"),
        "tags": [f"{kind}: {value}" for kind, value in tags.items() if value],
        "logo": texts(details, "logo"),
        "os_model": flag(details, "os_model"),
        "os_system": flag(details, "os_system") if unknown else True,
        "checked": False,
        "cost": details.get("cost"),
        "instance_cost": None,
        "instance_calls": None,
        "per_instance_details": {
            row["instance_id"]: {
                "resolved": row["verdict"] == "resolved",
                "cost": None,
                "api_calls": None if unknown else calls[row["instance_id"]],
            }
            for row in report["instances"]
        },
        "logs": details.get("logs"),
        "trajs": details.get("trajs"),
        "site": details.get("site"),
        "warning": f"graded by swerl-eval alone: {unknown}" if unknown else None,
        "pins": {
            "dataset": run.manifest.config["dataset"],
            "dataset_sha256": run.manifest.dataset_fingerprint,
            "denominator": report["total"],
            "strictly_resolved": report["strict"]["resolved"] if report["strict"] else None,
            "limits": report["limits"],
            "machines": report["machines"],
            "versions": run.manifest.versions,
            "prompts_sha256": run.manifest.prompts,
            "images": {row["instance_id"]: row["image_id"] for row in report["instances"] if row.get("image_id")},
        },
    }


def submission_folder(run: Run) -> str:
    """`<YYYYMMDD>_<model>`, as submissions are named."""
    model = "".join(
        c if c.isalnum() or c in "-._" else "-" for c in run.manifest.model_name.rstrip("/").rsplit("/", 1)[-1]
    )
    return f"{run.manifest.created_at[:10].replace('-', '')}_{model}"
