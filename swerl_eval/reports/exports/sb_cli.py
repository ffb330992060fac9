"""Exports the predictions of a run for sb-cli, and the run report by the name that sb-cli gives its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import HANDED_IN
from swerl_eval.records.atomic import write_json
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.details import flag
from swerl_eval.reports.exports.published_splits import part_of, published_split
from swerl_eval.reports.exports.schemas import Prediction, RunReport
from swerl_eval.reports.swebench_report import predictions, run_report

FORM = "sb-cli"


class SbCliExporter:
    """`swerl-eval export RUN --to sb-cli` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `predictions.json` and `<subset>__<split>__<run id>.json` below `destination`.

        Raises:
            UsageError: The answers were recorded, or are the gold patches; the run is of no published split; or it
                lacks a part of it, and `submission.partial` does not say that this is meant.
        """
        opened = Run(run)
        manifest = opened.manifest
        unknown = why_grading_only(manifest)
        if unknown and manifest.patch_origin != HANDED_IN:
            message = f"--to {FORM}: {unknown}; submit a run of the model's own answers, or patches handed in for it"
            raise UsageError(message)
        split = published_split(manifest, FORM)
        rows = check(list[Prediction], predictions(opened), "predictions.json")
        part = part_of(manifest, split) or _lacking(len(rows), len(manifest.instances))
        if part and not flag(details, "partial"):
            message = f"--to {FORM}: this run has {part}; say with -c submission.partial=true that this is meant"
            raise UsageError(message)
        report = destination / f"{split.subset}__{split.split}__{manifest.run_id}.json"
        targets = {
            destination / "predictions.json": rows,
            report: check(RunReport, run_report(opened), report.name),
        }
        reserve_folder(destination, opened, [target.name for target in targets])
        for target, content in targets.items():
            write_json(target, content)
        return list(targets)


def _lacking(predicted: int, total: int) -> str:
    return "" if predicted == total else f"predictions for {predicted} of its {total} instances"
