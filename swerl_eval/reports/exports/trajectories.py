"""Trajectories of a submission: every rollout with its thinking, the evidence of the tests, and the choice.

The patches of a run that made them itself have theirs in its records. For patches that were handed in, the submitter
names a folder: `submission.trajectories`, with a file `<instance id>.*` or a folder `<instance id>` for each.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import GOLD, HANDED_IN, Sample, Selection
from swerl_eval.records.atomic import write_json
from swerl_eval.records.journal import records_by_instance
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import listed, printable
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import Objection
from swerl_eval.reports.exports.details import text
from swerl_eval.reports.exports.schemas import Trajectory

KEY = "trajectories"
_SHOWN_NAMES = 3


def trajectory_objections(run: Run, details: Mapping[str, Any]) -> tuple[Objection, ...]:
    """Return what is missing of the trajectories; submissions without them are rejected."""
    if run.manifest.patch_origin == GOLD:
        return ()
    handed_in = run.manifest.patch_origin == HANDED_IN
    if handed_in:
        folder = _folder(details)
        lacking = {name for name in run.manifest.instance_ids if name in run.selections and not _files(folder, name)}
    else:
        lacking = {
            c.instance_id for c in run.candidates.values() if (c.instance_id, "repair", c.index) not in run.samples
        }
    if not lacking:
        return ()
    remedy = (
        f"name the folder that has them: -c submission.{KEY}=FOLDER, with a file or folder for each instance id"
        if handed_in
        else "samples.jsonl of the run folder has them; restore it"
    )
    what = f"trajectories are missing for {len(lacking)} instances ({listed(sorted(lacking), printable, _SHOWN_NAMES)})"
    return (Objection(what, remedy),)


def write_trajectories(run: Run, details: Mapping[str, Any], folder: Path) -> None:
    """Write the trajectories of all instances into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    given = _folder(details) if run.manifest.patch_origin == HANDED_IN else None
    if given is not None:
        _copy(run, given, folder)
        return
    samples, candidates = records_by_instance(run.samples), records_by_instance(run.candidates)
    reproductions, evidence = records_by_instance(run.reproductions), records_by_instance(run.evidence)
    for name in run.manifest.instance_ids:
        selection, regression = run.selections.get(name), run.regressions.get(name)
        of_sample = {candidate.index: candidate for candidate in candidates(name)}
        content = {
            "instance_id": name,
            "recorded": run.manifest.recorded,
            "rollouts": [_rollout(sample, of_sample) for sample in samples(name)],
            "reproduction_tests": [asdict(test) for test in reproductions(name)],
            "regression_tests": None if regression is None else asdict(regression),
            "evidence": [asdict(record) for record in evidence(name)],
            "selection": None if selection is None else _choice(selection),
        }
        file = f"{name}.json"
        # as it is written: records are tuples and enumerations, files have lists and texts
        write_json(folder / file, check(Trajectory, orjson.loads(orjson.dumps(content)), f"trajs/{file}"))


def _choice(selection: Selection) -> dict[str, Any]:
    """Return which sample was chosen, why, and by how many votes."""
    return {
        "sample": selection.index,
        "reason": selection.reason,
        "votes": selection.votes,
        "valid": selection.valid,
        "unique": selection.unique,
    }


def _rollout(sample: Sample, candidates: Mapping[int, Any]) -> dict[str, Any]:
    """Return an answer of the model and, for a repair, the candidate that it gave."""
    candidate = candidates.get(sample.index) if sample.stage == "repair" else None
    return {
        "stage": sample.stage,
        "sample": sample.index,
        "prompt_sha256": sample.prompt_sha256,
        "files_shown": list(sample.files),
        "answer": sample.completion.text,
        "reasoning": sample.completion.reasoning,
        "finish_reason": sample.completion.finish_reason,
        "error": sample.completion.error,
        "patch": candidate.patch if candidate else None,
        "normal_form": candidate.normal_form if candidate else None,
        "rejected": candidate.rejection.value if candidate and candidate.rejection else None,
    }


def _folder(details: Mapping[str, Any]) -> Path | None:
    """Return the submitter's folder of trajectories; None where none is named."""
    named = text(details, KEY)
    if named is None:
        return None
    folder = Path(named)
    if not folder.is_dir():
        message = f"submission.{KEY}: {named} is no folder; name the one that has a trajectory for each instance"
        raise UsageError(message)
    return folder


def _files(folder: Path | None, name: str) -> list[Path]:
    """Return the files of an instance's trajectory, sorted: `<name>.*`, or those in the folder `<name>`."""
    if folder is None:
        return []
    inner = folder / name
    found: Iterator[Path] = inner.iterdir() if inner.is_dir() else folder.glob(f"{glob.escape(name)}.*")
    return sorted(file for file in found if file.is_file() and not file.is_symlink() and not file.name.startswith("."))


def _copy(run: Run, given: Path, folder: Path) -> None:
    """Copy the submitter's trajectories, each file under a name that begins with its instance."""
    for name in run.manifest.instance_ids:
        for file in _files(given, name):
            target = file.name if file.name.startswith(f"{name}.") else f"{name}.{file.name}"
            shutil.copyfile(file, folder / target)
