"""Exports a row of the leaderboard's `leaderboards.json`, and what the score was measured with (`pins`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swerl_eval.records.atomic import write_json
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import (
    attempts,
    entry_name,
    refuse_unfit,
    shown_model,
    submission_folder,
    why_grading_only,
)
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.details import flag, text, texts
from swerl_eval.reports.exports.pins import pins
from swerl_eval.reports.exports.schemas import LeaderboardRow
from swerl_eval.reports.summary import Report, build_report

AGENT = "swerl-eval (Agentless Mini)"


class LeaderboardExporter:
    """`swerl-eval export RUN --to leaderboard` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `leaderboard.json` below `destination`."""
        opened = Run(run)
        remarks = refuse_unfit(opened, details, "leaderboard")
        target = destination / "leaderboard.json"
        row = check(LeaderboardRow, leaderboard_row(opened, build_report(opened), details, remarks), target.name)
        reserve_folder(destination, opened, [target.name])
        write_json(target, row)
        return [target]


def leaderboard_row(run: Run, report: Report, details: Mapping[str, Any], remarks: Sequence[str]) -> dict[str, Any]:
    """Return the row. `pins` is this program's addition: what the score was measured with.

    Args:
        run: The run.
        report: Its report.
        details: The setting `submission`.
        remarks: What the row has to say of itself.
    """
    manifest = run.manifest
    unknown = why_grading_only(manifest)
    count = attempts(manifest, details)
    model, org = shown_model(manifest, details), text(details, "model_org")
    tags = {"Model": model, "Org": org, "System": f"Attempts - {count}" if count else None}
    calls = Counter(sample.instance_id for sample in run.samples.values())
    warnings = [*(r for r in remarks if r != unknown), *([f"graded by swerl-eval alone: {unknown}"] if unknown else [])]
    return {
        "name": entry_name(manifest, details, remarks),
        "folder": submission_folder(manifest),
        "date": manifest.created_at[:10],
        "resolved": round(100 * report["solve_rate"], 2),
        "agent": text(details, "agent") if unknown else AGENT,
        "agent_org": text(details, "agent_org"),
        "model_display": model,
        "model_org": org,
        "reasoning_effort": text(details, "reasoning_effort"),
        "model_release_date": text(details, "model_release_date"),
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
        "logs": text(details, "logs"),
        "trajs": text(details, "trajs"),
        "site": text(details, "site"),
        "warning": "; ".join(warnings) or None,
        "pins": {
            **pins(run),
            "strictly_resolved": report["strict"]["resolved"] if report["strict"] else None,
            "machines": report["machines"],
            "versions": manifest.versions,
            "prompts_sha256": manifest.prompts,
            "images": {row["instance_id"]: row["image_id"] for row in report["instances"] if row.get("image_id")},
        },
    }
