"""Unified diffs: made from texts, read for the files they touch, reduced to the form that votes are counted by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import pygit2
from unidiff import Hunk, PatchSet
from unidiff.constants import LINE_TYPE_NO_NEWLINE
from unidiff.errors import UnidiffParseError

from swerl_eval.core.pysource import canonical

_DEV_NULL = "/dev/null"


def file_diff(path: str, before: str | None, after: str, context_lines: int = 3) -> str:
    """One file's diff as git prints it and applies it; `before` None makes a new file. Empty when nothing changes.

    Bytes that are not UTF-8 come as surrogates (as `Snapshot.read` gives them) and leave so.
    """
    if before == after:
        return ""
    # pygit2 1.21 does not keep what it was given alive, and reads it again for `data`: hold on to both buffers
    old = None if before is None else before.encode("utf-8", "surrogateescape")
    new = after.encode("utf-8", "surrogateescape")
    patch = pygit2.Patch.create_from(old, new, old_as_path=path, new_as_path=path, context_lines=context_lines)
    data: bytes = patch.data
    del old, new
    return data.decode("utf-8", "surrogateescape")


def unified_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """One diff over all files of `after`; a path that `before` lacks is a new file."""
    return "".join(file_diff(path, before.get(path), after[path]) for path in sorted(after))


def normal_form(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What a change does, without its comments, docstrings and layout: equal for candidates that are to share votes.

    Where only lines are added and they are whole functions, the place does not count either (SWE-RL after Agentless:
    context lines are dropped). Empty for a change of comments and layout alone.
    """
    parts = []
    for path in sorted(after):
        old, new = before.get(path), after[path]
        if path.endswith(".py"):
            old, new = None if old is None else canonical(old), canonical(new)
        elif old is not None:
            old, new = _without_trailing_blanks(old), _without_trailing_blanks(new)
        body = _hunks(file_diff(path, old, new))
        if body:
            parts.append(f"{path}\n{_functions_only(body) or body}")
    return "".join(parts)


def normal_form_key(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """SHA-256 of the normal form; of the plain diff where the normal form is empty (a change of comments alone)."""
    form = normal_form(before, after) or unified_diff(before, after)
    return hashlib.sha256(form.encode("utf-8", "surrogateescape")).hexdigest()


def _without_trailing_blanks(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.split("\n"))


def _hunks(diff: str) -> str:
    start = diff.find("\n@@ ")
    return diff[start + 1 :] if start >= 0 else ""


def _functions_only(hunks: str) -> str:
    """The added lines, when every hunk only adds and begins with a definition; else nothing."""
    added: list[str] = []
    for hunk in ("\n" + hunks).split("\n@@ ")[1:]:
        lines = hunk.split("\n")[1:]
        if any(line.startswith("-") for line in lines):
            return ""
        new = [line[1:] for line in lines if line.startswith("+") and line[1:].strip()]
        if not new or not new[0].lstrip().startswith(("def ", "async def ", "@")):
            return ""
        added += new
    return "".join(line + "\n" for line in added)


def files_touched(patch: str) -> tuple[str, ...]:
    """Paths that a unified diff changes, adds or removes (for a rename: the old one), in order; none if unreadable."""
    try:
        files = PatchSet(patch)
    except (UnidiffParseError, UnboundLocalError, ValueError, IndexError):
        # unidiff 1.0 lets some malformed hunks out as other errors
        return ()
    paths = []
    for file in files:
        name = file.source_file if file.source_file != _DEV_NULL else file.target_file
        name = unquoted(name)
        paths.append(name[2:] if name.startswith(("a/", "b/")) else name)
    return tuple(dict.fromkeys(paths))


def unquoted(name: str) -> str:
    """A path as it is, where git wrote it as a C string for its special characters."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    try:
        return name[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeError:
        return name


def apply_patch(texts: Mapping[str, str], patch: str) -> dict[str, str]:
    """New texts of the files that a unified diff changes; its hunks must fit, if need be on other lines.

    A removed file becomes empty, a renamed one stands under its new path and the old one becomes empty; binary files
    are left out. Raises `ValueError` when a hunk does not fit or the diff cannot be read.
    """
    changed: dict[str, str] = {}
    try:
        files = PatchSet(patch)
    except (UnidiffParseError, UnboundLocalError, IndexError) as error:
        message = f"not a readable diff: {error}"
        raise ValueError(message) from error
    for file in files:
        if file.is_binary_file:
            continue
        source, target = (name.partition("/")[2] for name in (file.source_file, file.target_file))
        text = _patched(texts.get(source, ""), file, source)
        if file.is_rename:
            changed[source] = ""
        changed[source if file.is_removed_file else target] = text
    return changed


def _patched(text: str, hunks: Iterable[Hunk], path: str) -> str:
    lines = text.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])
    offset = 0
    for hunk in hunks:
        before, after = _sides(hunk)
        # a hunk without old lines stands after the line that it names
        named = hunk.source_start - 1 + (hunk.source_length == 0)
        start = _nearest(lines, before, named + offset)
        if start is None:
            message = f"{path}: the hunk at line {hunk.source_start} does not fit"
            raise ValueError(message)
        lines[start : start + len(before)] = after
        offset = start - named + len(after) - len(before)
    return "".join(lines)


def _nearest(lines: list[str], wanted: list[str], place: int) -> int | None:
    """Where some lines stand, nearest to a place: line numbers of some gold patches are off, and git allows that."""
    for distance in range(len(lines) + 1):
        for start in (place - distance, place + distance):
            if 0 <= start <= len(lines) - len(wanted) and lines[start : start + len(wanted)] == wanted:
                return start
    return None


def _sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    """A hunk's old and new lines, each with its line end unless the diff says that it has none."""
    before: list[str] = []
    after: list[str] = []
    sides: list[list[str]] = []
    for line in hunk:
        if line.line_type == LINE_TYPE_NO_NEWLINE:
            for side in sides:
                side[-1] = side[-1].removesuffix("\n")
            continue
        sides = [before] * line.is_removed + [after] * line.is_added + [before, after] * line.is_context
        for side in sides:
            side.append(line.value)
    return before, after


def differs_in_blanks_only(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether nothing but blank lines and trailing blanks changes, in every file."""

    def essence(text: str) -> list[str]:
        return [line.rstrip() for line in text.split("\n") if line.strip()]

    return all(path in before and essence(before[path]) == essence(text) for path, text in after.items())


def sha256(text: str) -> str:
    """Hex digest of a text, as patches and prompts are keyed by."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
