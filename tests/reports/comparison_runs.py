"""Run folders, run reports and submissions with known verdicts, for tests of the comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Evaluation, Selection, Verdict
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import open_run
from swerl_eval.reports.swebench_report import run_report

NAMES = [f"{repo}-{number}" for repo in ("astropy__astropy", "django__django", "sympy__sympy") for number in range(4)]
CONFIG: dict[str, Any] = {
    "dataset": "verified", "split": "test", "samples": 1, "strict": True, "memory": "8g", "cpus": 2.0, "pids": 4096,
    "written": "16g", "network": "bridge", "timeout": 1800.0, "workers": 3,
}  # fmt: skip
MANIFEST = RunManifest(
    run_id="r",
    config=CONFIG,
    identity={},
    instances={name: {"repo": name.rpartition("-")[0].replace("__", "/")} for name in NAMES},
    dataset_fingerprint="f" * 64,
    prompts={},
    versions={"swebench": "5.0.2"},
    model_name="org/model",
    recorded=False,
    created_at="2026-01-01T00:00:00+00:00",
)
LETTERS = {"R": Verdict.RESOLVED, "u": Verdict.UNRESOLVED, "i": Verdict.INFRA_ERROR, "e": Verdict.EMPTY_PATCH}


def made(folder: Path, verdicts: str, strict: str | None = None, images: str = "1", **changes: Any) -> Path:
    """Make a run folder named by its run id.

    Args:
        folder: The results folder.
        verdicts: A letter for each instance, in order (`LETTERS`); `.` for none.
        strict: The same for the strict verdict; by default the official ones.
        images: The image digest of each instance, or one for all.
        changes: Changed fields of the manifest; `config` is merged.
    """
    config = {**CONFIG, **changes.pop("config", {})}
    manifest = replace(MANIFEST, config=config, run_id=folder.name, **changes)
    with open_run(folder, manifest) as run:
        for place, (name, letter) in enumerate(zip(manifest.instances, verdicts, strict=True)):
            if letter == ".":
                continue
            patch = "" if letter == "e" else f"patch of {name}"
            run.selections.append(Selection(name, 0, patch, "majority"))
            verdict = LETTERS[letter]
            beside = LETTERS[(strict or verdicts)[place]] if config["strict"] else None
            report = {"resolved": letter == "R"} if letter in "Ru" else None
            image = images if len(images) == 1 else images[place]
            run.evaluations.append(
                Evaluation(name, sha256(patch), verdict, strict=beside, image_id=f"sha256:{image}", report=report)
            )
        document = run_report(run)
    (folder.parent / f"{folder.name}.run-report.json").write_text(json.dumps(document))
    return folder


def submission(folder: Path, resolved: list[str], **lists: Any) -> Path:
    """Write a submission's `results/results.json`."""
    file = folder / "results" / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"no_generation": [], "no_logs": [], "resolved": resolved, **lists}))
    return file


def facts(names: list[str]) -> Mapping[str, dict[str, str]]:
    """The manifest's instances of these names."""
    return {name: {"repo": name.rpartition("-")[0].replace("__", "/")} for name in names}
