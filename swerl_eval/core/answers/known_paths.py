"""Finds the repository path that a word of an answer means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

LONGEST_PATH = 1000
"""Characters of a word that may be a path."""
_DECORATION = "`'\"*,;:()[]{}<>|! \t\r"
_PLACE = re.compile(r"(\.\w{1,8})[:#(?][^\s,;|/]*$")
"""A path's extension and a place in the file behind it: `a.py:12`, `a.py#L5`, `a.py::test`, `a.py(12)`."""
_CONTAINER = "/testbed/"
_PREFIXES = ("", "./", "/", "a/", "b/", _CONTAINER)
_ABSOLUTE = re.compile(r"/|~|\$|\.\./|<|[A-Za-z]:/|[a-z]+://")
_PATH_LIKE = re.compile(r"[^\s:]*(?:/[^\s:/]*\.\w{1,8}|\.(?:py|pyi|pyx|rst|txt|md|cfg|toml|ini|json|ya?ml|html|c|h))")


def undecorated(word: str) -> str:
    """Remove quotes, brackets and punctuation around a word."""
    return word.strip(_DECORATION).rstrip(".")


def is_path_like(word: str) -> bool:
    """Whether an undecorated word looks like a path."""
    return len(word) <= LONGEST_PATH and _PATH_LIKE.match(word) is not None


class KnownPaths:
    """The paths of a repository, for words that mean one of them."""

    def __init__(self, paths: Set[str]) -> None:
        self._paths = paths
        self._top_folders: frozenset[str] | None = None

    def find(self, word: str) -> str | None:
        """Return the path that a word means, or None.

        The word may be decorated, with a place in the file behind the path; a path of Windows or of a diff; in the
        container's folder, or in any other folder outside of the repository.
        """
        if len(word) > LONGEST_PATH:
            return None
        if word in self._paths:
            return word
        return next(filter(None, map(self._find_form, _forms(word))), None)

    def _find_form(self, form: str) -> str | None:
        for prefix in _PREFIXES:
            if form.startswith(prefix) and form[len(prefix) :] in self._paths:
                return form[len(prefix) :]
        return self._find_end(form) if _ABSOLUTE.match(form) and not form.startswith(_CONTAINER) else None

    def _find_end(self, absolute: str) -> str | None:
        """Return the longest known path that an absolute path ends with.

        A file of the top folder counts only if no folder before it is one of the repository: `/x/pkg/setup.py` is not
        the repository's `setup.py`.
        """
        parts = absolute.split("/") if " " not in absolute else []
        for first in range(1, len(parts)):
            path = "/".join(parts[first:])
            if path in self._paths:
                return path if first < len(parts) - 1 or not self._is_in_top_folder(parts[:first]) else None
        return None

    def _is_in_top_folder(self, folders: list[str]) -> bool:
        if self._top_folders is None:
            self._top_folders = frozenset(path.partition("/")[0] for path in self._paths if "/" in path)
        return not self._top_folders.isdisjoint(folders)


def _forms(word: str) -> Iterator[str]:
    """Yield a word without decoration, then without the place in the file."""
    bare = word.strip(_DECORATION).rstrip(".?").replace("\\", "/")
    yield bare
    place = _PLACE.search(bare)
    yield bare[: place.end(1)] if place else bare.rpartition(":")[0]
