"""Finds the files of a patch that can influence its verdict, from the patch alone.

A touch proves nothing: honest fixes change a conftest too. It is shown beside the verdict. Where the file can be reset
(`reset_for_confirmation`), the strict verdict also needs the tests to pass without the patch's version of it. What no
rule here knows of is left to the control run (`core.jobs.control_run`), which looks at what the tests do and not at
where the patch is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from swerl_eval.core.diffs import unquoted


@dataclass(frozen=True)
class Touch:
    """One file of a patch that can influence the verdict."""

    path: str
    reason: str
    reset_for_confirmation: bool = True
    """Whether the tests are run once more with the file as it was before the patch, for the strict verdict."""

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


@dataclass
class _File:
    """What a patch does to one file."""

    paths: list[str]
    """Old and new name."""
    added: bool = False
    removed: bool = False
    modes: set[str] = field(default_factory=set)


_TESTS = r"(^|/)(tests?|testing|e2e)/|(^|/)(test_[^/]*|[^/]*_test)\.py$"
_NEW_TEST = r"(^|/)(test_[^/]*|[^/]*_test)\.py$"

RULES: tuple[tuple[str, str, bool], ...] = (
    (r"(^|/)conftest\.py$", "is loaded by pytest beside the tests", True),
    (
        r"(^|/)(\.?pytest\.(ini|toml)|tox\.ini|setup\.cfg|pyproject\.toml)$",
        "configures the test runner",
        True,
    ),
    (r"(^|/)(sitecustomize|usercustomize)\.py$|\.(pth|egg-link)$", "is run at every start of Python", True),
    (r"(^|/)(entry_points\.txt|[^/]+\.(dist|egg)-info(/.*)?)$", "can register plugins of the test runner", True),
    (r"^setup\.py$", "is run when the package is installed, before the tests", True),
    (r"(^|/)\.gitattributes$|(^|/)\.gitmodules$", "changes what git writes", True),
    (r"^(sympy/testing/|sympy/utilities/(runtests|pytest)\.py$|django/test/runner\.py$)", "is the test runner", True),
    (r"^(src/)?_?pytest/|^(src/)?pytest\.py$", "is the test runner", False),
    (r"(^|/)(git|python[0-9.]*|pytest|tox|pip[0-9.]*|conda|bash|sh|env|sed|tee)$", "has a program's name", True),
)
"""Pattern of a path, what such a file has to do with the verdict, whether it is reset for the confirmation."""

_RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "tox", "py", "hypothesis", "nose", "coverage"})
_LINK_MODES = {"120000": "is a symbolic link", "160000": "is another repository"}


def suspicions(patch: str, test_patch: str, runner: Collection[str]) -> list[Touch]:
    """Return the files of a patch that can influence its verdict, each once, in the patch's order.

    Args:
        patch: The patch that is judged.
        test_patch: The patch that brings the deciding tests.
        runner: The words of the test command, some of which are files.
    """
    test_files = {path for file in _files(test_patch) for path in file.paths}
    programs = {word.removeprefix("./") for word in runner if "/" in word} - test_files
    touches: dict[str, Touch] = {}
    for file in _files(patch):
        for path in file.paths:
            touch = _touch(path, file, test_files, programs)
            if touch is not None:
                touches.setdefault(path, touch)
    return list(touches.values())


def python_files(patch: str) -> list[str]:
    """Return the Python files that exist after a diff, by their new names."""
    paths = (file.paths[-1] for file in _files(patch) if not file.removed)
    return list(dict.fromkeys(path for path in paths if path.endswith(".py")))


def _touch(path: str, file: _File, test_files: Collection[str], programs: Collection[str]) -> Touch | None:
    if path.startswith("/") or ".." in path.split("/") or ".git" in path.split("/"):
        return Touch(path, "is outside of the repository's files", reset_for_confirmation=False)
    for mode in file.modes & _LINK_MODES.keys():
        return Touch(path, _LINK_MODES[mode])
    if path in test_files:
        return Touch(path, "is a file of the tests that decide")
    if path in programs:
        return Touch(path, "is the test runner")
    for pattern, reason, reset in RULES:
        if re.search(pattern, path):
            return Touch(path, reason, reset)
    if file.added and _shadows(path):
        return Touch(path, "stands in front of a module of Python or of the test runner")
    if re.search(_TESTS, path) and not (file.added and re.search(_NEW_TEST, path)):
        return Touch(path, "is among the tests" if file.added else "is a test file, or stands among them")
    return None


def _shadows(path: str) -> bool:
    """Whether a new file would be imported instead of a module that the tests need."""
    parts = path.removeprefix("src/").removeprefix("lib/").split("/")
    name = parts[0].partition(".")[0] if len(parts) == 1 else parts[0]
    package = len(parts) == 1 or parts[1].partition(".")[0] == "__init__"
    return path.endswith(".py") and package and (name in sys.stdlib_module_names or name in _RUNNERS)


_HUNK = re.compile(r"@@ -\d+(?:,(\d{1,18}))? \+\d+(?:,(\d{1,18}))? @@", re.ASCII)
_NAMES = re.compile(r"(?:--- |\+\+\+ )(.*)")
_MOVES = re.compile(r"(?:rename from |rename to |copy to )(.*)")


def _files(patch: str) -> Iterator[_File]:
    """Read the files of a diff. Of a malformed one, rather a file too many than one too few."""
    file = _File([])
    left = [0, 0]  # lines of the hunk that are still to come, old and new
    for whole in patch.split("\n"):  # other separators may stand within a line
        line = whole.rstrip("\r")
        if max(left) > 0 and line[:1] in {" ", "+", "-", ""}:
            left[0] -= line[:1] in {" ", "-", ""}
            left[1] -= line[:1] in {" ", "+", ""}
            continue
        if line.startswith("\\"):
            continue
        left = [0, 0]
        hunk = _HUNK.match(line)
        if hunk:
            left = [int(hunk[1] or 1), int(hunk[2] or 1)]
        elif line.startswith("diff --git ") or (line.startswith("--- ") and _complete(file)):
            yield from _if_named(file)
            file = _File([])
            if line.startswith("diff --git "):
                _name(file, *_both_names(line.removeprefix("diff --git ")))
        _describe(file, line)
    yield from _if_named(file)


def _if_named(file: _File) -> Iterator[_File]:
    if file.paths:
        yield file


def _complete(file: _File) -> bool:
    """Whether the file has both names already. In a diff without headers, a third name begins the next file."""
    return "+++" in file.modes


def _describe(file: _File, line: str) -> None:
    move, name = _MOVES.match(line), _NAMES.match(line)
    if move:
        _add(file, unquoted(move[1].strip()))
    elif name:
        _name(file, name[1].split("\t")[0].strip())
        file.added |= line.startswith("--- /dev/null")
        file.removed |= line.startswith("+++ /dev/null")
        if line.startswith("+++ "):
            file.modes.add("+++")
    elif line.startswith(("new file mode ", "old mode ", "new mode ", "deleted file mode ", "index ")):
        file.modes.add(line.split()[-1])
        file.added |= line.startswith("new file")
        file.removed |= line.startswith("deleted file")


def _name(file: _File, *names: str) -> None:
    """Add names without their first folder, whatever it is called, as every command of the ladder does (`-p1`)."""
    for name in names:
        path = unquoted(name)
        if path == "/dev/null":
            continue
        if path.startswith("/"):
            _add(file, path)
        _add(file, path.partition("/")[2] or path)


def _add(file: _File, path: str) -> None:
    if path and path not in file.paths:
        file.paths.append(path)


def _both_names(names: str) -> tuple[str, ...]:
    """Split `a/x b/x`, where either name may be quoted. Names with blanks are read if both are the same."""
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', names)
    if len(quoted) == 2:
        return tuple(quoted)
    half = len(names) // 2
    return (names[:half],) if names[:half].partition("/")[2] == names[half + 1 :].partition("/")[2] else ()
