"""What a checkpoint's files and this machine say of themselves: configuration, tensors, GPUs. Nothing is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import InputError

_LONGEST_HEAD = 100 << 20
"""Bytes; what the format allows."""


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    memory: int
    """Bytes."""
    free: int


def gpus() -> list[Gpu]:
    """Those that nvidia-smi finds; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return list(_listed(done.stdout))


def _listed(output: str) -> Iterator[Gpu]:
    for line in output.splitlines():
        name, *sizes = (part.strip() for part in line.rsplit(",", 2))
        if len(sizes) == 2 and all(size.isdigit() for size in sizes):
            yield Gpu(name, int(sizes[0]) << 20, int(sizes[1]) << 20)


def folder_of(model: str) -> Path | None:
    """The folder of a checkpoint that is on this machine; None for a name alone."""
    folder = Path(model)
    return folder if (folder / "config.json").is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`. Raises `InputError` when it is no JSON object."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: {error}"
        raise InputError(message) from error
    if not isinstance(config, dict):
        message = f"{file} is no JSON object"
        raise InputError(message)
    return config


def read_tensors(folder: Path) -> list[dict[str, Any]]:
    """The entries (`dtype`, `shape`, `data_offsets`) of all safetensors files; none where there are none.

    Raises `InputError` naming a file whose head cannot be read.
    """
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                head: dict[str, Any] = json.loads(stream.read(min(length, _LONGEST_HEAD)))
            found += [entry for name, entry in head.items() if name != "__metadata__"]
        except (OSError, ValueError, AttributeError) as error:
            message = f"{file} is no safetensors file: {error}"
            raise InputError(message) from error
    return found
