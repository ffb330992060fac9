"""Makes the Git repository of a demo package, with the same commit on every machine."""

from __future__ import annotations

from pathlib import Path

import pygit2

BRANCH = "main"
MESSAGE = "Base state\n"
AUTHOR_NAME = "swerl-eval demo"
AUTHOR_EMAIL = "demo@example.invalid"
COMMIT_TIME = 1_735_689_600  # 2025-01-01T00:00:00+0000

_FILE_MODE = 0o100644
_TREE_MODE = 0o040000
_SKIPPED_FOLDERS = frozenset({"__pycache__", ".pytest_cache"})
_SKIPPED_SUFFIX = ".pyc"


def build_repository(package: Path, destination: Path) -> str:
    """Commit a package folder into a new bare repository and return the commit's id.

    The id follows from the names and the bytes of the files alone: author, date and
    message are fixed, every file has mode 0644, and caches are left out.

    Args:
        package: The folder to commit; its content becomes the root of the tree.
        destination: Where the bare repository is made; must not hold one already.

    Returns:
        The id of the only commit, in 40 hexadecimal digits.

    Raises:
        NotADirectoryError: `package` is not a folder.
        FileExistsError: `destination` exists and is not an empty folder.
    """
    if not package.is_dir():
        raise NotADirectoryError(package)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise FileExistsError(destination)
    repository = pygit2.init_repository(str(destination), bare=True, initial_head=BRANCH)
    signature = pygit2.Signature(AUTHOR_NAME, AUTHOR_EMAIL, COMMIT_TIME, 0)
    commit = repository.create_commit(
        f"refs/heads/{BRANCH}", signature, signature, MESSAGE, _write_tree(repository, package), []
    )
    return str(commit)


def _write_tree(repository: pygit2.Repository, folder: Path) -> pygit2.Oid:
    """Store a folder with all that is below it; folders without files are left out."""
    builder = repository.TreeBuilder()
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.is_dir():
            if entry.name in _SKIPPED_FOLDERS:
                continue
            tree = _write_tree(repository, entry)
            if len(repository[tree].peel(pygit2.Tree)):
                builder.insert(entry.name, tree, _TREE_MODE)
        elif entry.suffix != _SKIPPED_SUFFIX:
            blob = repository.create_blob(entry.read_bytes())
            builder.insert(entry.name, blob, _FILE_MODE)
    return builder.write()
