"""What is printed beside a report."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from swerl_eval.cli.render import print_costs, usage_line
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Evaluation, ModelUsage, Selection, Verdict
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run, open_run


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


def test_the_line_sums_over_the_run_s_processes() -> None:
    one = ModelUsage(1.0, 10.0, 64, 64_000, 2_000, 5_000, gpus=2)
    other = ModelUsage(2.0, 30.0, 64, 36_000, 8_000, 15_000, gpus=2)
    assert usage_line([one, other], resolved=4) == (
        "Sampling: 100,000 prompt tokens asked; 10,000 computed, 90,000 reused; 20,000 output tokens (500/s); "
        "80 GPU-seconds, 20 for each resolved issue"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert usage_line([], 0) == ""
    unknown = ModelUsage(1.0, 10.0, 1, 1_000, None, 100)
    assert usage_line([unknown], 0) == "Sampling: 1,000 prompt tokens asked; 100 output tokens (10/s)"
    assert "GPU-seconds" not in usage_line([unknown, ModelUsage(2.0, 1.0, 1, 1, 1, 1, gpus=1)], 1)
