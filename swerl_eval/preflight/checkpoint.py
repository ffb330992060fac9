"""What the files of a checkpoint say: configuration and tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import InputError

_MAX_HEADER_BYTES = 100 << 20
"""What the safetensors format allows."""


def checkpoint_folder(model: str) -> Path | None:
    """The folder of a checkpoint on this machine; None if `model` is a name alone."""
    folder = Path(model)
    return folder if (folder / "config.json").is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """Return `config.json`. Raises `InputError` if it is no JSON object."""
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
    """Return the tensor entries (`dtype`, `shape`, `data_offsets`) of all safetensors files in a folder.

    Raises:
        InputError: The header of a file cannot be read; the message names the file.
    """
    tensors: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                header: dict[str, Any] = json.loads(stream.read(min(length, _MAX_HEADER_BYTES)))
            tensors += [entry for name, entry in header.items() if name != "__metadata__"]
        except (OSError, ValueError, AttributeError) as error:
            message = f"{file} is no safetensors file: {error}"
            raise InputError(message) from error
    return tensors
