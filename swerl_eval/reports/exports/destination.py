"""Reserves the folder of an export for one run, so that the exports of two runs are never mixed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.records.run_folder import Run

MARKER = ".swerl-eval-export.json"
"""File in an exported folder that names its run."""


def reserve_folder(folder: Path, run: Run, files: Iterable[str] = ()) -> None:
    """Reserve a folder for a run's export, unless it is reserved for this run already.

    Args:
        folder: The folder; it is made.
        run: The run that is exported.
        files: Names of the files that the export will write.

    Raises:
        UsageError: The folder holds another run's export, or one of `files` that no export has made.
    """
    run_id, created_at = run.manifest.run_id, run.manifest.created_at
    marker = folder / MARKER
    try:
        owner = orjson.loads(marker.read_bytes())
        exported = (str(owner["run_id"]), str(owner["created_at"]))
    except FileNotFoundError:
        exported = None
    except (OSError, ValueError, KeyError, TypeError):
        exported = ("unknown", "")
    if exported is not None and exported != (run_id, created_at):
        message = (
            f"{folder} holds the export of another run, {' of '.join(filter(None, exported))}; "
            "choose another folder with --output, or remove that one"
        )
        raise UsageError(message)
    existing = [name for name in files if (folder / name).exists()]
    if exported is None and existing and not folder.resolve().is_relative_to(run.folder.resolve()):
        message = (
            f"{folder} holds {', '.join(existing)}, which would be overwritten; choose another folder with --output, "
            "or remove what is there"
        )
        raise UsageError(message)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, {"run_id": run_id, "created_at": created_at})
