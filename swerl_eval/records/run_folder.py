"""The run folder: the only state there is.

`run.json` says what the run is (`manifest.py`). Each kind of record has a journal (`journal.py`). Derived files
(`all_preds.jsonl`, reports) can always be made again from the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import filelock
import orjson

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import RunLockedError, UsageError
from swerl_eval.core.types import (
    Candidate,
    Evaluation,
    Evidence,
    Failure,
    GoldPatch,
    IssueText,
    Localization,
    Machine,
    ModelUsage,
    Regrade,
    RegressionTests,
    ReproductionTest,
    Reward,
    Sample,
    Selection,
)
from swerl_eval.records.atomic import remove_unfinished
from swerl_eval.records.journal import Journal, Record
from swerl_eval.records.manifest import MANIFEST_FILE, RunManifest, read_manifest, resumed_manifest, write_manifest


class Run:
    """A run folder. It can be read at once; as a context manager it is also open for writing.

    Args:
        folder: The run folder.
        lock: The folder's lock, where this process holds it; released at the end of the context.

    Raises:
        UsageError: The folder is no run folder.
        InputError: A file of it is malformed.
    """

    def __init__(self, folder: Path, lock: filelock.FileLock | None = None) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._lock = lock
        self._events: Any = None
        self.journals: list[Journal[Any]] = []
        """One for each kind of record."""
        self.samples = samples_journal(folder)
        self.journals.append(self.samples)
        self.localizations = self._journal("localizations", Localization, lambda r: r.instance_id)
        self.candidates = self._journal("candidates", Candidate, lambda r: (r.instance_id, r.index))
        self.selections = self._journal("selections", Selection, lambda r: r.instance_id)
        self.evaluations = self._journal("evaluations", Evaluation, lambda r: (r.instance_id, r.patch_sha256))
        self.rewards = self._journal("rewards", Reward, lambda r: (r.instance_id, r.index))
        self.reproductions = self._journal("reproductions", ReproductionTest, lambda r: (r.instance_id, r.index))
        self.regressions = self._journal("regressions", RegressionTests, lambda r: r.instance_id)
        self.evidence = self._journal("evidence", Evidence, lambda r: (r.instance_id, r.normal_form))
        self.machines = self._journal("machines", Machine, lambda r: r)
        self.usage = self._journal("usage", ModelUsage, lambda r: r.began)
        self.regrades = self._journal("regrades", Regrade, lambda _: None)
        self.issues = self._journal("issues", IssueText, lambda r: r.instance_id)
        self.gold_patches = self._journal("gold_patches", GoldPatch, lambda r: r.instance_id)
        self.failures = self._journal("failures", Failure, lambda r: r.instance_id)

    def _journal(self, kind: str, record: type[Record], key: Callable[[Record], Hashable]) -> Journal[Record]:
        journal = Journal(self.folder / f"{kind}.jsonl", record, key)
        self.journals.append(journal)
        return journal

    def evaluation_of(self, instance_id: str) -> Evaluation | None:
        """Return the verdict on the patch that was selected, if there is one."""
        selection = self.selections.get(instance_id)
        return self.evaluations.get((instance_id, sha256(selection.patch))) if selection else None

    def logs(self, instance_id: str) -> Path:
        """Return the folder of an instance's logs."""
        return self.folder / "logs" / instance_id

    def candidate_logs(self, instance_id: str, patch_sha256: str) -> Path:
        """Return the folder of the logs of a candidate that was not selected."""
        return self.logs(instance_id) / "candidates" / patch_sha256[:12]

    def __enter__(self) -> Run:
        for journal in self.journals:
            journal.open_for_writing()
        # unbuffered: what a full disk refused must not be written again at the end
        self._events = (self.folder / "events.jsonl").open("ab", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with ExitStack() as closing:
                if self._lock is not None:
                    closing.callback(self._lock.release)
                for file in (self._events, *self.journals):
                    closing.callback(file.close)
        except OSError:
            if kind is None:
                raise  # otherwise the error that ended the run is the one to report

    def event(self, instance_id: str, stage: str, name: str, **details: float) -> None:
        """Add a line to the timeline. Times are for people; no result depends on them."""
        line = {"time": round(time.time(), 3), "instance_id": instance_id, "stage": stage, "event": name}
        line |= {key: round(value, 3) for key, value in details.items()}
        self._events.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def samples_journal(folder: Path) -> Journal[Sample]:
    """Open the answers of a run; those that a server refused are marked."""
    return Journal(
        folder / "samples.jsonl",
        Sample,
        lambda sample: (sample.instance_id, sample.stage, sample.index),
        mark=lambda sample: sample.completion.refused,
    )


def open_run(folder: Path, manifest: RunManifest, bound_by: Mapping[str, Sequence[str]] | None = None) -> Run:
    """Make or resume a run, locked for this process. Use the result as a context manager.

    Args:
        folder: The run folder; made where it is not there.
        manifest: What the run is, by the present settings.
        bound_by: Settings that may differ from those of the folder as long as it has no record of the given kinds;
            its manifest then gets their new values.

    Raises:
        RunLockedError: Another process has the folder.
        RunConflictError: The folder was made under other settings; the message names each difference.
        UsageError: The folder cannot be written.
    """
    lock = lock_folder(folder)
    try:
        remove_unfinished(folder)
        if (folder / MANIFEST_FILE).exists():
            old = read_manifest(folder)
            free = {key for key, kinds in (bound_by or {}).items() if not any(_has(folder, kind) for kind in kinds)}
            manifest = resumed_manifest(folder, old, manifest, free)
            if manifest != old:
                write_manifest(folder, manifest)
        else:
            write_manifest(folder, manifest)
        return Run(folder, lock)
    except OSError as error:
        lock.release()
        message = f"cannot write the run folder {folder}: {error.strerror}; free some of its disk"
        raise UsageError(message) from error
    except BaseException:
        lock.release()
        raise


def reopen_run(folder: Path) -> Run:
    """Open an existing run folder for writing, whatever its settings. Raises as `open_run` does."""
    read_manifest(folder)
    lock = lock_folder(folder)
    try:
        return Run(folder, lock)
    except BaseException:
        lock.release()
        raise


def lock_folder(folder: Path) -> filelock.FileLock:
    """Lock a folder, which is made where it is not there. The caller releases the lock.

    Raises:
        RunLockedError: Another process has the lock.
        UsageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        message = f"{folder} is being written by another process; wait for it, or choose another --run-id"
        raise RunLockedError(message) from error
    except OSError as error:
        message = f"cannot write the run folder {folder}: {error.strerror}; choose another --results"
        raise UsageError(message) from error
    return lock


def _has(folder: Path, kind: str) -> bool:
    """Return whether a run has records of a kind."""
    journal = folder / f"{kind}.jsonl"
    return journal.exists() and journal.stat().st_size > 0
