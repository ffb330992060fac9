"""Tar archives in memory, as the engine takes files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def archive_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of files, given by absolute path and content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files:
            _add(archive, path, content)
    return buffer.getvalue()


def build_context(dockerfile: str, context: Mapping[str, bytes] | Path) -> io.BytesIO:
    """The archive for a build: a context (a folder, or names and contents) with this text as its Dockerfile."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        if isinstance(context, Path):
            archive.add(context, arcname=".", filter=lambda member: None if member.name == "./Dockerfile" else member)
        else:
            for name, content in context.items():
                _add(archive, name, content)
        _add(archive, "Dockerfile", dockerfile.encode())
    buffer.seek(0)
    return buffer


def _add(archive: tarfile.TarFile, path: str, content: bytes) -> None:
    member = tarfile.TarInfo(path.lstrip("/"))
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
