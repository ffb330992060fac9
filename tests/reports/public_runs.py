"""Runs that are fit for the public leaderboard, for tests of exports: a whole public split, all records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from swerl_eval.core.types import (
    Candidate,
    Completion,
    Evidence,
    Outcome,
    RegressionTests,
    ReproductionTest,
    Sample,
)
from swerl_eval.records.run_folder import reopen_run
from swerl_eval.reports.exports import splits
from tests.reports.comparison_runs import facts, made

NAMES = [f"{repo}-{number}" for repo in ("owner__alpha", "owner__beta") for number in range(3)]
SPLITS = tuple(replace(split, size=len(NAMES)) if split.name == "multilingual" else split for split in splits.SPLITS)
"""The public splits, with a Multilingual of these instances alone: its real 300 would take each test seconds."""
VERDICTS = "Rue" * 2
CONFIG = {"dataset": "SWE-bench/SWE-bench_Multilingual", "samples": 2, "localization": "model"}


def public_run(folder: Path, verdicts: str = VERDICTS, **changes: Any) -> Path:
    """Make a run folder of a whole public split, with rollouts, evidence and logs. Arguments as those of `made`."""
    config = {**CONFIG, **changes.pop("config", {})}
    created = {name: {**fact, "created_at": "2024-05-01T00:00:00Z"} for name, fact in facts(NAMES).items()}
    run = made(folder, verdicts, config=config, **{"instances": created, **changes})
    _add_rollouts(run)
    return run


def _add_rollouts(folder: Path) -> None:
    with reopen_run(folder) as run:
        for selection in list(run.selections.values()):
            name = selection.instance_id
            for index in range(2):
                answer = Completion(f"answer {index}", reasoning=f"thinking {index}")
                run.samples.append(Sample(name, "repair", index, answer, ("a.py",), "0" * 64, index))
                run.candidates.append(Candidate(name, index, selection.patch, f"form {index}"))
            run.evidence.append(Evidence(name, "form 0", (Outcome.RESOLVED,), ("test_a",)))
            run.reproductions.append(ReproductionTest(name, 0, "print()", "1" * 64, Outcome.REPRODUCED, 1, 0))
            run.regressions.append(RegressionTests(name, ("test_a.py",), ("test_a",)))
            logs = run.logs(name)
            logs.mkdir(parents=True)
            (logs / "patch.diff").write_text(selection.patch)
            (logs / "report.json").write_text("{}")
            (logs / "test_output.txt").write_text("output\n" * 100)
