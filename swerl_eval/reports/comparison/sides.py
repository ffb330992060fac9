"""Reads one side of a comparison: a run folder, swebench's run report (schema 2), or a submission's `results.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import MADE, Evaluation, Verdict
from swerl_eval.records.json_files import read_document
from swerl_eval.records.manifest import MANIFEST_FILE
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.run_environment import run_environment

RUN, RUN_REPORT, SUBMISSION = "run folder", "swebench run report", "submission"
INSTANCES, DENOMINATOR, DATASET = "set of instances", "denominator", "dataset fingerprint"
HARNESS, LIMITS, IMAGES = "harness version", "limits", "images"
PINS = (INSTANCES, DENOMINATOR, DATASET, HARNESS, LIMITS, IMAGES)
"""What two sides must have in common to be compared."""
_INSTANCE_LISTS = ("completed_ids", "incomplete_ids", "empty_patch_ids", "error_ids", "resolved_ids", "unresolved_ids")
"""The lists of a run report that together name every instance. `submitted_ids` may name others."""


@dataclass(frozen=True)
class Side:
    """What one side says of its instances."""

    name: str
    kind: str
    resolved: frozenset[str]
    """Instances whose official verdict is `resolved`."""
    named: frozenset[str]
    """Every instance that the side names."""
    all_named: bool = True
    """Whether these are all of its instances; a submission names only some."""
    strictly_resolved: frozenset[str] | None = None
    """The same by the strict verdict; None where the side has none."""
    model: str | None = None
    recorded: bool = False
    """Whether the answers were recorded, not sampled from a model."""
    patches: str = MADE
    """Where the patches come from, as in a manifest."""
    quarantine: str = ""
    """The quarantine file that the run was made with."""
    complete: bool = True
    """Whether nothing is left to run, as far as the side says."""
    prevented: frozenset[str] = frozenset()
    """Instances whose official verdict the machine prevented."""
    strictly_prevented: frozenset[str] = frozenset()
    """Instances whose strict verdict the machine prevented."""
    missing: frozenset[str] = frozenset()
    """Instances without a verdict."""
    unfinished: frozenset[str] = frozenset()
    """Instances that lack a verdict, not because the machine prevented it or because nobody gave a patch."""
    errors: frozenset[str] = frozenset()
    """Instances that ended without a report; a run report does not say whether the patch or the machine failed."""
    repeated: tuple[str, ...] = ()
    """Resolved instances that the side lists more than once."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """What the verdicts were made with, by name; a pin that is not recorded is not there."""
    limits: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    """Image digests by instance, where recorded."""
    repositories: Mapping[str, str] = field(default_factory=dict)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The pins that this side does not record."""
        recorded = {LIMITS: self.limits, IMAGES: self.images, INSTANCES: self.all_named, **self.pins}
        return tuple(pin for pin in PINS if not recorded.get(pin))


def read_sides(arguments: Sequence[str], results: Path) -> list[Side]:
    """Read the sides, each under a name of its own.

    Args:
        arguments: Names of runs below `results`, or paths.
        results: The folder of run folders.

    Raises:
        UsageError: An argument is neither a run nor a report.
        InputError: A file is malformed.
    """
    sides = [read_side(argument, results) for argument in arguments]
    taken = Counter(side.name for side in sides)
    named = [a if taken[side.name] > 1 else side.name for a, side in zip(arguments, sides, strict=True)]
    return [
        replace(side, name=f"{name} ({named[: index + 1].count(name)})" if named.count(name) > 1 else name)
        for index, (side, name) in enumerate(zip(sides, named, strict=True))
    ]


def read_side(argument: str, results: Path) -> Side:
    """Read one side. Raises as `read_sides` does."""
    for path in (Path(argument), results / argument):
        if (path / MANIFEST_FILE).is_file():
            return side_of_run(Run(path))
        if path.is_file():
            return _side_of_file(path)
    message = (
        f"{argument!r} is neither a run folder, here or below {results}, nor a file; name a run of --results, a run "
        "folder, swebench's <model>.<run_id>.json, or a submission's results.json"
    )
    raise UsageError(message)


def side_of_run(run: Run) -> Side:
    """Return the side that a run folder is."""
    manifest, config = run.manifest, run.manifest.config
    evaluations = {name: run.evaluation_of(name) for name in manifest.instance_ids}
    strict = config.get("strict") in (True, "on")  # older runs stored it as on or off
    expected = set(evaluations) - set(manifest.without_prediction)
    known = {name: evaluation for name, evaluation in evaluations.items() if evaluation is not None}
    return Side(
        name=manifest.run_id,
        kind=RUN,
        resolved=frozenset(name for name, evaluation in known.items() if evaluation.resolved),
        named=frozenset(evaluations),
        strictly_resolved=_with_strict(known, Verdict.RESOLVED) if strict else None,
        model=manifest.model_name,
        recorded=manifest.recorded,
        patches=manifest.patch_origin,
        quarantine=str(config.get("quarantine") or ""),
        complete=all(name in known and known[name].settled(strict=strict) for name in expected),
        prevented=frozenset(name for name, evaluation in known.items() if evaluation.verdict is Verdict.INFRA_ERROR),
        strictly_prevented=_with_strict(known, Verdict.INFRA_ERROR),
        missing=frozenset(evaluations) - frozenset(known),
        unfinished=frozenset(name for name in expected if name not in known or (strict and not _has_both(known[name]))),
        pins=_pins(run),
        limits={name: str(value) for name, value in run_environment(run)["limits"].items()},
        images={name: evaluation.image_id for name, evaluation in known.items() if evaluation.image_id},
        repositories={name: facts["repo"] for name, facts in manifest.instances.items() if facts.get("repo")},
    )


def _has_both(evaluation: Evaluation) -> bool:
    """Whether there is a strict verdict too, or the machine prevented one."""
    return evaluation.strict is not None or evaluation.verdict is Verdict.INFRA_ERROR


def _with_strict(evaluations: Mapping[str, Evaluation], verdict: Verdict) -> frozenset[str]:
    return frozenset(name for name, evaluation in evaluations.items() if evaluation.strict is verdict)


def _pins(run: Run) -> dict[str, str]:
    """The dataset and the harness that the verdicts rest on: those of the latest grading."""
    regrade = run.regrades.get(None)
    harness = regrade.swebench if regrade else run.manifest.versions.get("swebench")
    return {
        DENOMINATOR: str(len(run.manifest.instances)),
        DATASET: regrade.dataset_fingerprint if regrade else run.manifest.dataset_fingerprint,
        **({HARNESS: f"swebench {harness}"} if harness else {}),
    }


def _side_of_file(path: Path) -> Side:
    document = read_document(path)
    if isinstance(document, dict) and "resolved_ids" in document:
        return _side_of_run_report(path, document)
    if isinstance(document, dict) and isinstance(document.get("resolved"), list):
        return _side_of_submission(path, document)
    message = (
        f"{path}: neither swebench's run report (resolved_ids) nor a submission's results.json (resolved, a list); "
        "for a run of this program, name its folder"
    )
    raise InputError(message)


def _side_of_run_report(path: Path, document: Mapping[str, Any]) -> Side:
    version = document.get("schema_version")
    if version != 2:
        message = f"{path}: schema_version {version!r}, but version 2 is read; make the report with swebench 5"
        raise InputError(message)
    lists = {key: _ids(path, document, key) for key in (*_INSTANCE_LISTS, "infra_failure_ids")}
    named = frozenset(name for key in _INSTANCE_LISTS for name in lists[key])
    resolved = frozenset(lists["resolved_ids"])
    total = document.get("total_instances")
    prevented = frozenset(lists["infra_failure_ids"]) & named - resolved
    return Side(
        name=path.name.removesuffix(".json"),
        kind=RUN_REPORT,
        resolved=resolved,
        named=named,
        prevented=prevented,
        missing=frozenset(lists["incomplete_ids"]) - resolved,
        unfinished=frozenset(lists["incomplete_ids"]) - resolved,
        errors=frozenset(lists["error_ids"]) - resolved - prevented,
        repeated=_repeated(lists["resolved_ids"]),
        all_named=total in (None, len(named)),
        pins={DENOMINATOR: str(len(named) if total is None else total)},
    )


def _side_of_submission(path: Path, document: Mapping[str, Any]) -> Side:
    lists = {key: _ids(path, document, key) for key in ("resolved", "no_generation", "no_logs")}
    resolved = frozenset(lists["resolved"])
    folder = path.resolve().parent
    return Side(
        name=folder.parent.name if folder.name == "results" else path.name.removesuffix(".json"),
        kind=SUBMISSION,
        resolved=resolved,
        named=frozenset(name for names in lists.values() for name in names),
        all_named=False,
        missing=frozenset(lists["no_generation"]) - resolved,
        errors=frozenset(lists["no_logs"]) - resolved,
        repeated=_repeated(lists["resolved"]),
        pins=_denominator_beside(path),
    )


def _denominator_beside(path: Path) -> dict[str, str]:
    """Return a submission's denominator: the totals of `resolved_by_repo.json` in the same folder, if it is there."""
    file = path.with_name("resolved_by_repo.json")
    if not file.is_file():
        return {}
    document = read_document(file)
    entries = document.values() if isinstance(document, dict) else [None]
    totals = [entry["total"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("total"), int)]
    if len(totals) < len(entries):
        message = f"{file}: a repository has no total; correct it or delete it"
        raise InputError(message)
    return {DENOMINATOR: str(sum(totals))}


def _ids(path: Path, document: Mapping[str, Any], key: str) -> list[str]:
    """Read a list of instance ids; a list that is not there is empty."""
    ids = document.get(key) or []
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        message = f"{path}: {key} is no list of instance ids; correct it"
        raise InputError(message)
    return ids


def _repeated(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in Counter(names).items() if count > 1))
