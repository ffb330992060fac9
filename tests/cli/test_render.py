"""What is printed beside a report."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from swerl_eval.cli.render import print_costs
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Evaluation, ModelUsage, Selection, Verdict
from swerl_eval.records.run_folder import Run, RunManifest, open_run


def test_gpu_seconds_are_divided_by_resolved_issues_and_not_by_resolved_candidates(tmp_path: Path) -> None:
    ids = ("a__b-1", "a__b-2")
    manifest = RunManifest("r", {}, {}, {name: {} for name in ids}, "", {}, {}, "m", False, "")
    with open_run(tmp_path / "r", manifest) as run:
        for name in ids:
            run.selections.append(Selection(name, 0, "chosen", "majority"))
            run.evaluations.append(
                Evaluation(name, sha256("chosen"), Verdict.RESOLVED),
                Evaluation(name, sha256("other"), Verdict.RESOLVED),
            )
        run.usage.append(ModelUsage(1.0, 10.0, 1, 10, 10, 10, gpus=2))
    console = Console(width=200, record=True, file=io.StringIO())
    print_costs(console, Run(tmp_path / "r"))
    assert "20 GPU-seconds, 10 for each resolved issue" in console.export_text()
