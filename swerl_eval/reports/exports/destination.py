"""Where an export goes: a folder that is its run's own, so that two runs are never mixed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.records.run_folder import Run

MARKER = ".swerl-eval-export.json"
"""In an exported folder: the run that it is of."""


def take(folder: Path, run: Run, files: Iterable[str] = ()) -> None:
    """Make a folder the place of a run's export, or find that it is.

    Raises `UsageError` where it holds another run's export, or one of `files` that no export is known to have made.
    """
    run_id, created_at = run.manifest.run_id, run.manifest.created_at
    marker = folder / MARKER
    try:
        found = orjson.loads(marker.read_bytes())
        holder = (str(found["run_id"]), str(found["created_at"]))
    except FileNotFoundError:
        holder = None
    except (OSError, ValueError, KeyError, TypeError):
        holder = ("that is unknown", "")
    if holder is not None and holder != (run_id, created_at):
        message = (
            f"{folder} holds the export of the run {' of '.join(filter(None, holder))}; "
            "choose another folder with --output, or remove that one"
        )
        raise UsageError(message)
    there = [name for name in files if (folder / name).exists()]
    if holder is None and there and not folder.resolve().is_relative_to(run.folder.resolve()):
        message = (
            f"{folder} holds {', '.join(there)}, which would be overwritten; choose another folder with --output, or "
            "remove what is there"
        )
        raise UsageError(message)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, {"run_id": run_id, "created_at": created_at})
