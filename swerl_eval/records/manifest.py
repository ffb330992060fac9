"""The manifest of a run (`run.json`): what the run is. It is written first, and a resume is compared with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.errors import InputError, RunConflictError, UsageError
from swerl_eval.core.secrets import redacted
from swerl_eval.core.types import HANDED_IN, MADE
from swerl_eval.records.atomic import write_json
from swerl_eval.records.journal import SCHEMA_VERSION

MANIFEST_FILE = "run.json"


@dataclass(frozen=True)
class Unsharded:
    """What the manifest of a run would hold if it were no shard. `swerl-eval merge` makes a run's manifest of it."""

    instances: dict[str, dict[str, str]]
    dataset_fingerprint: str


@dataclass(frozen=True)
class RunManifest:
    """What a run is, written before any work."""

    run_id: str
    config: dict[str, Any]
    """Every setting, resolved, without secrets."""
    identity: dict[str, Any]
    """The settings that results depend on."""
    instances: dict[str, dict[str, str]]
    """The chosen instances by id, in order, with what tables group by: repo, created_at, difficulty."""
    dataset_fingerprint: str
    prompts: dict[str, str]
    """SHA-256 of each template."""
    versions: dict[str, str]
    """Versions of the packages that results depend on."""
    model_name: str
    recorded: bool
    """True when answers were replayed, not sampled from a model."""
    created_at: str
    schema_version: int = SCHEMA_VERSION
    patches: str = MADE
    """Where the patches come from: `MADE` by this run's stages, `HANDED_IN` by the user, or `GOLD`."""
    submitted: tuple[str, ...] | None = None
    """The instances that the user gave a patch for; None where this run makes the patches."""
    unsharded: Unsharded | None = None
    """Of a shard, the run that it is a part of; None for a run that is no shard, and in older run folders."""

    def without_secrets(self) -> RunManifest:
        """The same without the secrets in its settings, which older versions stored."""
        config, identity = (
            {name: redacted(value) for name, value in table.items()} for table in (self.config, self.identity)
        )
        return dataclasses.replace(self, config=config, identity=identity)

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """Ids of the chosen instances, in order."""
        return tuple(self.instances)

    @property
    def patch_origin(self) -> str:
        """`patches`, also for a run that is older than that field."""
        return HANDED_IN if self.patches == MADE and "predictions" in self.identity else self.patches

    @property
    def without_prediction(self) -> tuple[str, ...]:
        """The chosen instances that the user gave no patch for; none where this run makes the patches."""
        return () if self.submitted is None else tuple(sorted(set(self.instances) - set(self.submitted)))


def read_manifest(folder: Path) -> RunManifest:
    """Read a run folder's manifest, without the secrets that an older version may have stored in it.

    Raises what `stored_manifest` raises.
    """
    return stored_manifest(folder).without_secrets()


def stored_manifest(folder: Path) -> RunManifest:
    """Read a run folder's manifest as it is stored.

    Raises:
        UsageError: The folder has no manifest, so it is no run folder.
        InputError: The manifest cannot be read.
    """
    path = folder / MANIFEST_FILE
    try:
        return TypeAdapter(RunManifest).validate_python(orjson.loads(path.read_bytes()))
    except FileNotFoundError as error:
        message = f"{folder} is not a run folder: it has no {MANIFEST_FILE}"
        raise UsageError(message) from error
    except (orjson.JSONDecodeError, ValidationError) as error:
        message = f"{path}: not a manifest of this program ({str(error).splitlines()[0]})"
        raise InputError(message) from error


def write_manifest(folder: Path, manifest: RunManifest) -> None:
    """Write a run folder's manifest."""
    write_json(folder / MANIFEST_FILE, dataclasses.asdict(manifest))


def resumed_manifest(folder: Path, old: RunManifest, new: RunManifest, free: Collection[str]) -> RunManifest:
    """Return the manifest of a run that is resumed: the old one, with the new values of the `free` settings.

    Args:
        folder: The run folder, for the message.
        old: The manifest in the folder.
        new: The manifest that the present settings give.
        free: Settings that may differ, since no record was made under them yet.

    Raises:
        RunConflictError: Another setting, the dataset, swebench or a prompt differs. The message names each.
    """
    differences = manifest_differences(old, new, free)
    if differences:
        message = f"{folder} was made with other settings ({'; '.join(differences)}); choose another --run-id"
        raise RunConflictError(message)
    config, identity = (
        {**before, **{key: now[key] for key in free if key in now}}
        for before, now in ((old.config, new.config), (old.identity, new.identity))
    )
    return dataclasses.replace(old, config=config, identity=identity)


def manifest_differences(old: RunManifest, new: RunManifest, free: Collection[str], *, rows: bool = True) -> list[str]:
    """Return what keeps two manifests from being the same run, in words.

    Args:
        old: The manifest in a folder.
        new: Another one.
        free: Settings that may differ.
        rows: Whether the dataset's content counts.
    """
    differences = [
        f"{key}: {old.identity.get(key)!r} there, {new.identity.get(key)!r} now"
        for key in sorted({*old.identity, *new.identity} - set(free))
        if old.identity.get(key) != new.identity.get(key)
    ]
    if rows and old.dataset_fingerprint != new.dataset_fingerprint:
        differences.append("the dataset's content")
    if old.versions.get("swebench") != new.versions.get("swebench"):
        differences.append(f"swebench {old.versions.get('swebench')} there, {new.versions.get('swebench')} now")
    if old.prompts != new.prompts:
        changed = sorted(name for name in new.prompts if old.prompts.get(name) != new.prompts[name])
        differences.append(f"the prompt templates {', '.join(changed)}")
    return differences
