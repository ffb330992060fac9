"""Reads a commit of a repository on this disk by libgit2: sympy's tree takes milliseconds, a file a fraction of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2

LACKS_COMMIT = "lacks the commit"
LACKS_FILES = "lacks files of the commit (a partial clone)"


class GitSnapshot:
    """A commit of a bare repository (a `ports.Snapshot`).

    Raises:
        KeyError: The repository lacks the commit, or files of it.
    """

    def __init__(self, repository: pygit2.Repository, commit: str) -> None:
        self._repository = repository
        self._tree = repository[commit].peel(pygit2.Tree)
        self._paths = sorted(self._walk(self._tree, ""))

    def paths(self) -> Sequence[str]:
        """Return all files, sorted."""
        return self._paths

    def _walk(self, tree: pygit2.Tree, prefix: str) -> Iterator[str]:
        for entry in tree:
            # by mode, not by object type, so that no blob is opened
            if entry.filemode == pygit2.enums.FileMode.TREE:
                yield from self._walk(self._repository[entry.id], f"{prefix}{entry.name}/")
            elif entry.filemode in {pygit2.enums.FileMode.BLOB, pygit2.enums.FileMode.BLOB_EXECUTABLE}:
                if entry.id not in self._repository:  # a partial clone: reading the file would say it is absent
                    raise KeyError(entry.id)
                yield prefix + entry.name

    def read(self, path: str) -> str | None:
        """Return a file's text, or None."""
        try:
            entry = self._tree[path]
        except KeyError:
            return None
        if not isinstance(entry, pygit2.Blob):
            return None
        data: bytes = entry.data
        return data.decode("utf-8", "surrogateescape")


def look_for(folder: Path, commit: str) -> GitSnapshot | str:
    """Return a commit of a repository, or why the folder does not have it; empty where there is no folder."""
    if not folder.exists():
        return ""
    try:
        repository = pygit2.Repository(str(folder), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    except pygit2.GitError as error:
        return f"cannot be read ({error})"
    try:
        return GitSnapshot(repository, commit)
    except (pygit2.GitError, ValueError):
        return LACKS_COMMIT
    except KeyError:
        return LACKS_FILES if _has(repository, commit) else LACKS_COMMIT


def _has(repository: pygit2.Repository, commit: str) -> bool:
    try:
        return commit in repository
    except ValueError:
        return False
