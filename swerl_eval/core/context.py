"""Renders what a prompt shows of a repository: its tree of Python files, and whole files within a token budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_TEST_FOLDERS = frozenset({"tests", "testing"})
_TEST_FILES = frozenset({"tests.py", "conftest.py"})
TESTS_ARE_THE_PRODUCT = frozenset({"pytest-dev/pytest"})
"""Repositories whose test-like files are shown too, as in the published method."""

_Tree = dict[str, "_Tree | None"]


def is_test_path(path: str) -> bool:
    """Whether a path is a test by the usual naming. On Verified, only pytest's gold patches edit such a file."""
    *folders, name = path.split("/")
    return (
        not _TEST_FOLDERS.isdisjoint(folders)
        or name in _TEST_FILES
        or name.startswith("test_")
        or name.endswith("_test.py")
    )


def source_paths(paths: Iterable[str], repo: str) -> list[str]:
    """Return the Python files that localization chooses from."""
    keep_tests = repo in TESTS_ARE_THE_PRODUCT
    return [path for path in paths if path.endswith(".py") and (keep_tests or not is_test_path(path))]


def tree_text(paths: Iterable[str], indent: int = 4, rng: random.Random | None = None) -> str:
    """Return folders and files as an indented list; siblings are shuffled by `rng`, or sorted without one."""
    root: _Tree = {}
    for path in paths:
        node = root
        *folders, name = path.split("/")
        for folder in folders:
            child = node.setdefault(folder, {})
            node = child if child is not None else {}
        node[name] = None
    lines: list[str] = []
    _write_tree(root, 0, indent, rng, lines)
    return "\n".join(lines)


def _write_tree(node: _Tree, depth: int, indent: int, rng: random.Random | None, lines: list[str]) -> None:
    names = sorted(node)
    if rng is not None:
        rng.shuffle(names)
    for name in names:
        child = node[name]
        lines.append(" " * (depth * indent) + name + ("/" if child is not None else ""))
        if child is not None:
            _write_tree(child, depth + 1, indent, rng, lines)


@dataclass(frozen=True)
class Shown:
    """The files of one repair prompt, in order, and those that the budget leaves out."""

    files: tuple[str, ...]
    skipped: tuple[str, ...]


def within_budget(files: Sequence[str], tokens_of: Callable[[str], int], budget: int) -> Shown:
    """Take files in order while they fit. A file that does not fit is skipped; later ones may still fit.

    The first file is always taken: a prompt needs one, and if it is too long, the model's refusal is recorded.

    Args:
        files: Paths, most important first.
        tokens_of: Gives the length of a file by its path.
        budget: In tokens.
    """
    shown: list[str] = []
    skipped: list[str] = []
    used = 0
    for path in files:
        size = tokens_of(path)
        if shown and used + size > budget:
            skipped.append(path)
            continue
        shown.append(path)
        used += size
    return Shown(tuple(shown), tuple(skipped))


def join_files(files: Sequence[str], text_of: Callable[[str], str]) -> str:
    """Join whole files, each under a line `### path`, as the edit format names them."""
    return "\n\n".join(f"### {path}\n{text_of(path)}" for path in files)
