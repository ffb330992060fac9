"""Builds the leaderboard of the runs below a folder, from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swerl_eval.core.errors import SwerlEvalError
from swerl_eval.core.metrics import wilson
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.comparison.sides import side_of_run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.pins import digest_of, pins
from swerl_eval.reports.exports.schemas import RunRow
from swerl_eval.reports.leaderboard.find import DEPTH, run_folders

SCHEMA_VERSION = 1
Leaderboard = dict[str, Any]
_BROKEN = (SwerlEvalError, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What damaged or hand-made records can raise. One such folder must not end the others."""


def build_leaderboard(root: Path, depth: int = DEPTH) -> Leaderboard:
    """Return the runs below a folder, the best first. The same records give the same.

    A run that is there several times (same run id, settings and records) is one row. What cannot be read is named.

    Raises:
        UsageError: There is no such folder.
    """
    rows: dict[str, dict[str, Any]] = {}
    skipped = []
    for folder, problem in run_folders(root, depth):
        name = printable(folder.relative_to(root).as_posix())
        try:
            row = None if problem else check(RunRow, run_row(Run(folder), name), "its row")
        except _BROKEN as error:
            row, problem = None, _words(error, folder, name)
        if row is None:
            skipped.append({"folder": name, "reason": problem})
            continue
        key = digest_of([row["name"], row["identity_sha256"], row["records_sha256"]])
        if key in rows:
            rows[key]["folders"].append(name)
        else:
            rows[key] = row
    ordered = sorted(rows.values(), key=lambda row: (-row["solve_rate"], row["name"], row["folders"]))
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": ordered,
        "skipped": skipped,
    }


def _words(error: Exception, folder: Path, name: str) -> str:
    """Return an error in words, without this machine's path to the folder."""
    said = str(error).splitlines()[0] if str(error) else ""
    kind = "" if isinstance(error, SwerlEvalError) else f"{type(error).__name__}: "
    return printable(f"{kind}{said}".replace(str(folder), name)).strip() or type(error).__name__


def run_row(run: Run, folder: str) -> dict[str, Any]:
    """Return the row of a run. `folder` is where it is, below the folder of runs."""
    manifest, side = run.manifest, side_of_run(run)
    total, resolved = len(side.named), len(side.resolved)
    strictly = None if side.strictly_resolved is None else len(side.strictly_resolved)
    return {
        "name": manifest.run_id,
        "folders": [folder],
        "model": manifest.model_name,
        "patches": manifest.patch_origin,
        "recorded": manifest.recorded,
        "complete": side.complete,
        "resolved": resolved,
        "total": total,
        "solve_rate": resolved / total if total else 0.0,
        "interval_95": list(wilson(resolved, total)),
        "strictly_resolved": strictly,
        "strict_solve_rate": None if strictly is None else strictly / total if total else 0.0,
        "prevented": len(side.prevented),
        "missing": len(side.missing),
        "samples": manifest.config.get("samples") if manifest.submitted is None else None,
        "created_at": manifest.created_at,
        "identity_sha256": digest_of(manifest.identity),
        "records_sha256": _records_digest(run),
        "pins": pins(run),
    }


def _records_digest(run: Run) -> str:
    """Return a digest of what a run's score rests on: the patch and the verdicts of each instance."""
    return digest_of(
        [
            (name, e.patch_sha256, e.verdict.value, e.strict.value if e.strict else None, e.image_id)
            if (e := run.evaluation_of(name))
            else (name,)
            for name in sorted(run.manifest.instance_ids)
        ]
    )
