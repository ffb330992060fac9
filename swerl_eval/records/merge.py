"""Merges run folders that each hold a part of one run: its shards, or runs of the same settings on several machines.

The result is a run folder as one process would have made it. It can be reported, exported, compared and resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.errors import RunConflictError, UsageError
from swerl_eval.core.types import Evaluation, Failure, ModelUsage, Regrade
from swerl_eval.records.atomic import replacing_folder
from swerl_eval.records.journal import Journal
from swerl_eval.records.manifest import RunManifest, Unsharded, manifest_differences, write_manifest
from swerl_eval.records.run_folder import Run

_TIMES = frozenset({"seconds", "test_seconds"})
"""Fields in which two records of the same result may differ."""
_OWN_TO_A_SHARD = frozenset({"shard", "predictions"})
"""Keys of an identity in which the parts of a run differ."""
MOST_NAMED = 5
"""Missing instances that a message names, at most."""


def merged_manifest(runs: Sequence[Run], run_id: str) -> RunManifest:
    """Return the manifest of the run that some run folders are parts of.

    Args:
        runs: The parts, two or more.
        run_id: Name of the merged run.

    Raises:
        UsageError: There are fewer than two parts, or one of them does not say what it is a part of.
        RunConflictError: The parts were made with other settings, data, prompts or versions. The message names each
            difference.
    """
    if len(runs) < 2:
        message = "there is nothing to merge with; name two run folders or more, such as results/shard-*"
        raise UsageError(message)
    first = runs[0].manifest
    whole = _whole(runs[0])
    for run in runs[1:]:
        differences = manifest_differences(first, run.manifest, _OWN_TO_A_SHARD, rows=False)
        if _whole(run) != whole:
            differences.append("the instances that the shards are parts of, or the dataset's content")
        if first.recorded != run.manifest.recorded:
            differences.append("whether the answers were recorded")
        if (first.model_name, first.patch_origin) != (run.manifest.model_name, run.manifest.patch_origin):
            differences.append("where the patches come from")
        if differences:
            message = f"{runs[0].folder} and {run.folder} are not parts of one run ({'; '.join(differences)})"
            raise RunConflictError(message)
    config = first.config | {"shard": "", "run_id": run_id}
    identity = first.identity | {"shard": ""}
    submitted = [run.manifest.submitted for run in runs]
    if "predictions" in identity:
        digests = sorted({str(run.manifest.identity["predictions"]) for run in runs})
        identity["predictions"] = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return dataclasses.replace(
        first,
        run_id=run_id,
        config=config,
        identity=identity,
        instances=whole.instances,
        dataset_fingerprint=whole.dataset_fingerprint,
        created_at=min(run.manifest.created_at for run in runs),
        submitted=None
        if first.submitted is None
        else tuple(name for name in whole.instances if any(name in (names or ()) for names in submitted)),
        unsharded=None,
    )


def _whole(run: Run) -> Unsharded:
    """Return what the run is a part of: the unsharded run, or itself."""
    manifest = run.manifest
    if manifest.unsharded is not None:
        return manifest.unsharded
    if manifest.identity.get("shard"):
        message = (
            f"{run.folder} is a shard of an older version and does not say of what; evaluate the all_preds.jsonl of "
            "all shards together instead (`swerl-eval evaluate --predictions`)"
        )
        raise UsageError(message)
    return Unsharded(manifest.instances, manifest.dataset_fingerprint)


def merge(runs: Sequence[Run], folder: Path, manifest: RunManifest) -> None:
    """Write the records and logs of several run folders to a new one, which is there as a whole or not at all.

    Args:
        runs: The parts.
        folder: The new run folder.
        manifest: What `merged_manifest` gives for the parts.

    Raises:
        RunConflictError: Two parts hold different results for the same instance. The message names them.
        UsageError: The folder is there already.
    """
    if folder.exists():
        message = f"{folder} is there already; choose another --run-id, or remove it"
        raise UsageError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(folder) as new:
        new.mkdir()
        write_manifest(new, manifest)
        with Run(new) as merged:
            for number, target in enumerate(merged.journals):
                for run in runs:
                    _add(target, run.journals[number], run.folder)
            merged.failures.remove_if(lambda name: merged.evaluation_of(name) is not None)
        _merge_events(runs, new / "events.jsonl")
        for run in runs:
            for name in manifest.instances:
                _copy_logs(run.logs(name), new / "logs" / name)


def _add(target: Journal[Any], part: Journal[Any], folder: Path) -> None:
    """Add the records of one part's journal."""
    for key, record in zip(part.keys(), part.values(), strict=True):
        known = target.get(key)
        if known is None:
            target.append(record)
        elif isinstance(record, ModelUsage):
            if record != known:  # two processes that began at the same instant
                target.append(dataclasses.replace(record, began=_free_time(target, record.began)))
        elif isinstance(known, Evaluation) and known.prevented and not record.prevented:
            target.append(record)
        elif isinstance(known, Failure):
            pass  # one reason is enough
        elif not _agree(known, record):
            where = "the last grading of the logs" if isinstance(record, Regrade) else f"{part.path.stem} {key}"
            message = (
                f"{folder} disagrees with a folder before it on {where}; leave one of the folders out, or remove the "
                "instance's records from one of them"
            )
            raise RunConflictError(message)


def _free_time(journal: Journal[Any], began: float) -> float:
    while began in journal:
        began += 1e-6
    return began


def _agree(first: Any, second: Any) -> bool:
    """Whether two records hold the same result. A result that the machine prevented agrees with any."""
    if isinstance(first, Evaluation) and second.prevented:
        return True
    return _result(first) == _result(second)


def _result(record: Any) -> Mapping[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _TIMES}


def _merge_events(runs: Sequence[Run], path: Path) -> None:
    """Write the lines of all timelines by time. Lines that are torn or odd keep their place behind the one before."""
    timed: list[tuple[float, int, bytes]] = []
    for run in runs:
        time = 0.0
        for line in _lines(run.folder / "events.jsonl"):
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                time = float(orjson.loads(line)["time"])
            timed.append((time, len(timed), line.rstrip(b"\n") + b"\n"))
    path.write_bytes(b"".join(line for _, _, line in sorted(timed)))


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def _copy_logs(source: Path, target: Path) -> None:
    """Copy the logs of an instance; those that are there already stay."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)


def missing_line(manifest: RunManifest, runs: Sequence[Run]) -> str:
    """Return a line on the instances that no part was about; empty where there are none."""
    missing = sorted(set(manifest.instances).difference(*(run.manifest.instances for run in runs)))
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return (
        f"{len(missing)} of {len(manifest.instances)} instances are in none of the folders: "
        f"{', '.join(missing[:MOST_NAMED])}{more}"
        if missing
        else ""
    )
