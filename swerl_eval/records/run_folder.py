"""The run folder: the only state there is.

`run.json` is written first and says what the run is. Each kind of record has a journal (`journal.py`). Derived files
(`all_preds.jsonl`, reports) can always be made again from the records.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import InputError, RunConflictError, RunLockedError, UsageError
from swerl_eval.core.types import (
    HANDED_IN,
    MADE,
    Candidate,
    Evaluation,
    Evidence,
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
from swerl_eval.records.atomic import remove_unfinished, write_bytes
from swerl_eval.records.journal import SCHEMA_VERSION, Journal


@dataclass(frozen=True)
class RunManifest:
    """What a run is (`run.json`), written before any work."""

    run_id: str
    config: dict[str, Any]
    """Every setting, resolved."""
    identity: dict[str, Any]
    """The settings that results depend on."""
    instances: dict[str, dict[str, str]]
    """The chosen instances by id, in order, with what tables group by: repo, created_at, difficulty."""
    dataset_fingerprint: str
    prompts: dict[str, str]
    """SHA-256 of each template."""
    versions: dict[str, str]
    model_name: str
    recorded: bool
    """True when answers were replayed, not drawn from a model."""
    created_at: str
    schema_version: int = SCHEMA_VERSION
    patches: str = MADE
    """Where the patches come from: `MADE` by this run's stages, `HANDED_IN`, or `GOLD`."""
    submitted: tuple[str, ...] | None = None
    """The instances that patches were handed in for; None where this run makes them."""

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """Ids of the chosen instances, in order."""
        return tuple(self.instances)

    @property
    def patch_origin(self) -> str:
        """`patches`, also where the run is older than that field."""
        return HANDED_IN if self.patches == MADE and "predictions" in self.identity else self.patches

    @property
    def without_prediction(self) -> tuple[str, ...]:
        """The chosen instances that no patch was handed in for; none where this run makes the patches."""
        return () if self.submitted is None else tuple(sorted(set(self.instances) - set(self.submitted)))


class Run:
    """A run folder, opened for reading. `writing()` is for the one process that adds to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.samples = samples_journal(folder)
        self.localizations = Journal(folder / "localizations.jsonl", Localization, lambda r: r.instance_id)
        self.candidates = Journal(folder / "candidates.jsonl", Candidate, lambda r: (r.instance_id, r.index))
        self.selections = Journal(folder / "selections.jsonl", Selection, lambda r: r.instance_id)
        self.evaluations = Journal(folder / "evaluations.jsonl", Evaluation, lambda r: (r.instance_id, r.patch_sha256))
        self.reproductions = Journal(
            folder / "reproductions.jsonl", ReproductionTest, lambda r: (r.instance_id, r.index)
        )
        self.regressions = Journal(folder / "regressions.jsonl", RegressionTests, lambda r: r.instance_id)
        self.evidence = Journal(folder / "evidence.jsonl", Evidence, lambda r: (r.instance_id, r.normal_form))
        self.rewards = Journal(folder / "rewards.jsonl", Reward, lambda r: (r.instance_id, r.index))
        self.machines = Journal(folder / "machines.jsonl", Machine, lambda r: r)
        self.usage = Journal(folder / "usage.jsonl", ModelUsage, lambda r: r.began)
        self.regrades = Journal(folder / "regrades.jsonl", Regrade, lambda _: None)
        self._events: Any = None
        self._lock: filelock.FileLock | None = None

    @property
    def _journals(self) -> tuple[Journal[Any], ...]:
        return (
            self.samples,
            self.localizations,
            self.candidates,
            self.selections,
            self.evaluations,
            self.rewards,
            self.reproductions,
            self.regressions,
            self.evidence,
            self.machines,
            self.usage,
            self.regrades,
        )

    def evaluation_of(self, instance_id: str) -> Evaluation | None:
        """The verdict on the patch that was selected."""
        selection = self.selections.get(instance_id)
        return self.evaluations.get((instance_id, sha256(selection.patch))) if selection else None

    def logs(self, instance_id: str) -> Path:
        """Folder of an instance's logs."""
        return self.folder / "logs" / instance_id

    def candidate_logs(self, instance_id: str, patch_sha256: str) -> Path:
        """Folder of the logs of a candidate that was not selected."""
        return self.logs(instance_id) / "candidates" / patch_sha256[:12]

    def __enter__(self) -> Run:
        for journal in self._journals:
            journal.open_for_writing()
        # unbuffered: what a full disk refused is not to be written again at the end
        self._events = (self.folder / "events.jsonl").open("ab", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with ExitStack() as closing:
                if self._lock is not None:
                    closing.callback(self._lock.release)
                for file in (self._events, *self._journals):
                    closing.callback(file.close)
        except OSError:
            if kind is None:
                raise  # else why the run ended is what has to be said

    def event(self, instance_id: str, stage: str, what: str, **details: float) -> None:
        """Add a line to the timeline. Times are for people; no result depends on them."""
        line = {"time": round(time.time(), 3), "instance_id": instance_id, "stage": stage, "event": what}
        line |= {name: round(value, 3) for name, value in details.items()}
        self._events.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def holding(self, lock: filelock.FileLock) -> Run:
        """The same run, which lets go of `lock` when it is closed."""
        self._lock = lock
        return self


def samples_journal(folder: Path) -> Journal[Sample]:
    """The answers of a run; those that a server refused are marked."""
    return Journal(
        folder / "samples.jsonl",
        Sample,
        lambda sample: (sample.instance_id, sample.stage, sample.index),
        mark=lambda sample: sample.completion.refused,
    )


def open_run(folder: Path, manifest: RunManifest, bound_by: Mapping[str, Sequence[str]] | None = None) -> Run:
    """The run folder for writing: made when it is not there, resumed when it was made by the same settings.

    `bound_by` names settings that may differ as long as the run has no records of the given kinds; `run.json` then gets
    their new values. Use as a context manager. Raises `RunLockedError` when another process has it, `RunConflictError`
    with the settings that differ, `UsageError` when the folder cannot be written.
    """
    lock = locked(folder)
    try:
        remove_unfinished(folder)
        if (folder / "run.json").exists():
            old = read_manifest(folder)
            free = {key for key, kinds in (bound_by or {}).items() if not any(_has(folder, kind) for kind in kinds)}
            _refuse_another_configuration(old, manifest, folder, free)
            _take_over(folder, old, manifest, free)
        else:
            write_json(folder / "run.json", dataclasses.asdict(manifest))
        return Run(folder).holding(lock)
    except OSError as error:
        lock.release()
        message = f"cannot write the run folder {folder}: {error.strerror}; free some of its disk"
        raise UsageError(message) from error
    except BaseException:
        lock.release()
        raise


def reopen_run(folder: Path) -> Run:
    """A run folder that is there, for writing, whatever its settings. Raises as `open_run` does."""
    read_manifest(folder)
    lock = locked(folder)
    try:
        return Run(folder).holding(lock)
    except BaseException:
        lock.release()
        raise


def locked(folder: Path) -> filelock.FileLock:
    """The lock of a folder, which is made where it is not there. Let go of it with `release`.

    Raises `RunLockedError` when another process has it, `UsageError` when the folder cannot be written.
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


def read_manifest(folder: Path) -> RunManifest:
    """What `run.json` says. Raises `UsageError` when this is no run folder."""
    path = folder / "run.json"
    try:
        return TypeAdapter(RunManifest).validate_python(orjson.loads(path.read_bytes()))
    except FileNotFoundError as error:
        message = f"{folder} is not a run folder: it has no run.json"
        raise UsageError(message) from error
    except (orjson.JSONDecodeError, ValidationError) as error:
        message = f"{path}: not a manifest of this program ({str(error).splitlines()[0]})"
        raise InputError(message) from error


def _has(folder: Path, kind: str) -> bool:
    """Whether a run has records of a kind."""
    journal = folder / f"{kind}.jsonl"
    return journal.exists() and journal.stat().st_size > 0


def _take_over(folder: Path, old: RunManifest, new: RunManifest, free: Collection[str]) -> None:
    """Give the manifest the new values of settings that nothing was made under yet."""
    config, identity = (
        {**before, **{key: now[key] for key in free if key in now}}
        for before, now in ((old.config, new.config), (old.identity, new.identity))
    )
    if (config, identity) != (old.config, old.identity):
        write_json(folder / "run.json", dataclasses.asdict(dataclasses.replace(old, config=config, identity=identity)))


def _refuse_another_configuration(old: RunManifest, new: RunManifest, folder: Path, free: Collection[str]) -> None:
    differences = [
        f"{key}: {old.identity.get(key)!r} there, {new.identity.get(key)!r} now"
        for key in sorted({*old.identity, *new.identity} - set(free))
        if old.identity.get(key) != new.identity.get(key)
    ]
    if old.dataset_fingerprint != new.dataset_fingerprint:
        differences.append("the dataset's content")
    if old.versions.get("swebench") != new.versions.get("swebench"):
        differences.append(f"swebench {old.versions.get('swebench')} there, {new.versions.get('swebench')} now")
    if old.prompts != new.prompts:
        changed = sorted(name for name in new.prompts if old.prompts.get(name) != new.prompts[name])
        differences.append(f"the prompt templates {', '.join(changed)}")
    if differences:
        message = f"{folder} was made with other settings ({'; '.join(differences)}); choose another --run-id"
        raise RunConflictError(message)


def write_json(path: Path, value: object) -> None:
    """Replace a file as a whole, so that a reader never sees half of it."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_lines(path: Path, rows: Iterable[object]) -> None:
    """The same for JSONL."""
    write_bytes(path, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
