"""Exports a run for swebench's own tools: predictions, run report, and logs where `swebench report` expects them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.core.hub_names import split_revision
from swerl_eval.records.atomic import write_json, write_lines
from swerl_eval.records.log_files import OFFICIAL_FILES
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.schemas import Prediction, RunReport
from swerl_eval.reports.swebench_report import log_folder, predictions, report_name, run_report


class SwebenchExporter:
    """`swerl-eval export RUN --to swebench` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write the layout below `destination`, where swebench's `make_run_report` gives the same report.

        `swebench report <run_id>` of swebench 5.0.2 looks at the logs of a model named `gold` only.
        """
        opened = Run(run)
        rows = check(list[Prediction], predictions(opened), "all_preds.jsonl")
        report = check(RunReport, run_report(opened), report_name(opened))
        reserve_folder(destination, opened, ["all_preds.jsonl", report_name(opened)])
        logs = log_folder(opened, destination)
        for name in opened.manifest.instance_ids:
            copy_logs(opened.logs(name), logs / name, OFFICIAL_FILES)
        write_lines(destination / "all_preds.jsonl", rows)
        write_json(destination / report_name(opened), report)
        logs.parent.mkdir(parents=True, exist_ok=True)
        dataset = str(opened.manifest.config.get("dataset", ""))
        # `swebench report` loads the dataset by this name, without a revision; where the name is null, it asks for `-d`
        pinned = split_revision(dataset)[1] is not None and not Path(dataset).exists()
        tasks = Path(dataset) if (Path(dataset) / "tasks").is_dir() else None
        write_json(
            logs.parent / "run.json",
            {
                "dataset": None if pinned else dataset,
                "split": opened.manifest.config.get("split", "test"),
                "task_repo": None if tasks is None else str(tasks.resolve()),
                "created_at": opened.manifest.created_at,
                "recorded": opened.manifest.recorded,
                "patches": opened.manifest.patch_origin,
                **({"pinned_dataset": dataset} if pinned else {}),
            },
        )
        return [destination / "all_preds.jsonl", destination / report_name(opened), logs]


def copy_logs(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy the named files of an instance that exist."""
    for name in names:
        if (source / name).is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
