"""The runs in a folder of results: which there are, and what each has come to. No line of a journal is read twice."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import InputError, SwerlEvalError
from swerl_eval.core.metrics import wilson
from swerl_eval.core.types import Verdict
from swerl_eval.records.live_status import LIVE_FILE, LiveStatus, read_live_status
from swerl_eval.records.manifest import MANIFEST_FILE, RunManifest, read_manifest
from swerl_eval.records.run_files import REPORT_FILE, RunFiles, look_at
from swerl_eval.records.verdict_tally import InstanceVerdict, VerdictTally

RUNNING, STOPPED, FINISHED, INCOMPLETE = "running", "stopped", "finished", "incomplete"


class NoSuchRunError(SwerlEvalError):
    """The folder of results holds no run of that name."""


@dataclass(frozen=True)
class RunSummary:
    """What the list says of one run."""

    name: str
    """Name of its folder, by which it is addressed."""
    error: str = ""
    """Why the run cannot be read; then the fields below may be missing."""
    state: str = ""
    """`RUNNING`, `STOPPED` (its process is gone), `FINISHED` or `INCOMPLETE`."""
    model: str = ""
    dataset: str = ""
    created_at: str = ""
    recorded: bool = False
    total: int = 0
    verdicts: int = 0
    """Instances with a verdict."""
    resolved: int = 0
    interval: tuple[float, float] = (0.0, 1.0)
    """Wilson's, of the solve rate."""
    strict: int | None = None
    """Strictly resolved instances; None for a run without strict verdicts."""
    complete: bool = False

    @property
    def rate(self) -> float:
        """Share of the chosen instances that are resolved."""
        return self.resolved / self.total if self.total else 0.0

    @property
    def dataset_name(self) -> str:
        """The dataset, without the folders of a path."""
        return Path(self.dataset).name if Path(self.dataset).is_absolute() else self.dataset


class RunList:
    """The runs below a folder. One thread at a time may use it.

    A run is a folder directly below it that holds a `run.json`. Links are not followed, so that nothing outside of the
    folder is read.

    Args:
        results: The folder of run folders.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self._known: dict[str, _KnownRun] = {}

    def names(self) -> list[str]:
        """Return the names of the runs' folders. Raises OSError if the folder of results cannot be read."""
        with os.scandir(self.results) as entries:
            return sorted(entry.name for entry in entries if _is_run(entry))

    def folder(self, name: str) -> Path:
        """Return a run's folder, to be read.

        Raises:
            NoSuchRunError: It is none of `names`.
            InputError: It holds links.
        """
        self._check_name(name)
        _look_at(self.results / name)
        return self.results / name

    def folders(self, names: Collection[str]) -> list[Path]:
        """Return the folders of runs, in the order in which the runs were started. Raises as `folder` does."""
        folders = [self.folder(name) for name in names]
        return sorted(folders, key=lambda folder: (self._summary(folder.name).created_at, folder.name))

    def _check_name(self, name: str) -> None:
        if name not in self.names():
            message = f"there is no run {name!r} in {self.results}"
            raise NoSuchRunError(message)

    def summaries(self) -> list[RunSummary]:
        """Return all runs, the newest first; one that cannot be read is there with its error."""
        names = self.names()
        self._known = {name: known for name, known in self._known.items() if name in names}
        return sorted((self._summary(name) for name in names), key=lambda run: run.created_at, reverse=True)

    def summary(self, name: str) -> RunSummary:
        """Return one run. Raises NoSuchRunError as `folder` does."""
        self._check_name(name)
        return self._summary(name)

    def _summary(self, name: str) -> RunSummary:
        known = self._known.setdefault(name, _KnownRun(self.results / name))
        try:
            return known.summary()
        except (SwerlEvalError, OSError) as error:
            return replace(known.facts, error=str(error), state="")

    def live_status(self, name: str) -> LiveStatus | None:
        """Return what a run's process wrote last, if it is there and the process alive."""
        status = read_live_status(self.folder(name))
        return status if status is not None and status.beating else None

    def verdicts(self, name: str) -> Mapping[str, InstanceVerdict]:
        """Return the verdicts of a run by instance, in the order in which they came."""
        folder = self.folder(name)
        return self._known.setdefault(name, _KnownRun(folder)).tally.update()


def _is_run(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and (Path(entry.path) / MANIFEST_FILE).exists()
    except OSError:
        return False


def _look_at(folder: Path) -> RunFiles:
    """Return what is in a run folder.

    Raises:
        InputError: Reading the folder might lead out of it, or never end.
    """
    if folder.name != sendable(folder.name):
        message = f"{folder}: the name is not UTF-8, so it has no address; rename the folder"
        raise InputError(message)
    files = look_at(folder)
    if files.odd:
        message = f"{folder} holds what is neither file nor folder ({', '.join(files.odd)}); links are not followed"
        raise InputError(message)
    return files


class _KnownRun:
    """One run folder, and what was read of it before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally = VerdictTally(folder)
        self.facts = RunSummary(folder.name)
        self._read_at: object = None

    def summary(self) -> RunSummary:
        """Return the run's summary; files are read only if they have changed."""
        files = _look_at(self.folder)
        now = (files.records, files.times.get(REPORT_FILE))
        if now != self._read_at:
            self.facts = self._facts(files)
            self._read_at = now
        return replace(self.facts, state=self._state(files))

    def _state(self, files: RunFiles) -> str:
        status = read_live_status(self.folder) if LIVE_FILE in files.times else None
        if status is not None and status.beating:
            return RUNNING
        if self.facts.complete:
            return FINISHED
        return INCOMPLETE if status is None else STOPPED

    def _facts(self, files: RunFiles) -> RunSummary:
        manifest = read_manifest(self.folder)
        self.facts = RunSummary(
            self.folder.name,
            model=manifest.model_name,
            dataset=str(manifest.config.get("dataset", "")),
            created_at=manifest.created_at,
            recorded=manifest.recorded,
            total=len(manifest.instances),
        )
        result = self._reported() if files.is_current(REPORT_FILE) else None
        return replace(self.facts, **(result or self._counted(manifest)))

    def _reported(self) -> dict[str, Any] | None:
        """Return the results that the report holds; None if it is no report of this program."""
        try:
            report = orjson.loads((self.folder / REPORT_FILE).read_bytes())
            low, high = report["interval_95"]
            return {
                "verdicts": report["total"] - report["verdicts"][Verdict.MISSING.value],
                "resolved": int(report["resolved"]),
                "interval": (float(low), float(high)),
                "strict": int(report["strict"]["resolved"]) if report["strict"] else None,
                "complete": bool(report["complete"]),
            }
        except (ValueError, KeyError, TypeError):
            return None

    def _counted(self, manifest: RunManifest) -> dict[str, Any]:
        """Return the results as the records have them, without what only a report needs."""
        verdicts = {name: verdict for name, verdict in self.tally.update().items() if name in manifest.instances}
        strict = manifest.config.get("strict") in (True, "on")  # older runs stored it as on or off
        resolved = sum(verdict.official == Verdict.RESOLVED.value for verdict in verdicts.values())
        settled = {name for name, verdict in verdicts.items() if verdict.settled(strict=strict)}
        return {
            "verdicts": len(verdicts),
            "resolved": resolved,
            "interval": wilson(resolved, len(manifest.instances)),
            "strict": sum(v.strict == Verdict.RESOLVED.value for v in verdicts.values()) if strict else None,
            "complete": settled >= set(manifest.instances) - set(manifest.without_prediction),
        }
