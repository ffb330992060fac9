"""Exports a submission folder for SWE-bench/experiments: predictions, logs, all rollouts, results, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.records.atomic import write_lines
from swerl_eval.records.log_files import EVAL, PATCH, REPORT, TEST_OUTPUT
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import submission_folder
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.entry import refuse_unfit_entry, split_name, write_entry
from swerl_eval.reports.exports.schemas import Prediction
from swerl_eval.reports.exports.swebench import copy_logs
from swerl_eval.reports.exports.trajectories import write_trajectories
from swerl_eval.reports.swebench_report import predictions

LOG_FILES = (PATCH, REPORT, TEST_OUTPUT, EVAL)


class ExperimentsExporter:
    """`swerl-eval export RUN --to experiments` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `evaluation/<split>/<date>_<model>/` below `destination`."""
        opened = Run(run)
        remarks = refuse_unfit_entry(opened, details, "experiments")
        folder = destination / "evaluation" / split_name(opened) / submission_folder(opened.manifest)
        rows = check(list[Prediction], predictions(opened), "all_preds.jsonl")
        reserve_folder(folder, opened, ["all_preds.jsonl", "metadata.yaml"])
        write_entry(opened, details, remarks, folder)
        write_lines(folder / "all_preds.jsonl", rows)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        for name in opened.manifest.instance_ids:
            copy_logs(opened.logs(name), folder / "logs" / name, LOG_FILES)
        write_trajectories(opened, details, folder / "trajs")
        return [folder]
