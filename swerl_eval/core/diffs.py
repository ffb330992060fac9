"""Unified diffs: makes them from texts, reads them, and reduces them to the normal form that votes are counted by."""

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
    """Return one file's diff as git prints and applies it; empty when nothing changes.

    Bytes that are not UTF-8 are surrogates in the texts (as `Snapshot.read` gives them) and in the diff.

    Args:
        before: None for a new file.
    """
    if before == after:
        return ""
    # pygit2 1.21 does not keep its input alive, and reads it again for `data`: both buffers have to live until then
    old = None if before is None else before.encode("utf-8", "surrogateescape")
    new = after.encode("utf-8", "surrogateescape")
    patch = pygit2.Patch.create_from(old, new, old_as_path=path, new_as_path=path, context_lines=context_lines)
    data: bytes = patch.data
    del old, new
    return data.decode("utf-8", "surrogateescape")


def unified_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return one diff of all files of `after`; a path that `before` lacks is a new file."""
    return "".join(file_diff(path, before.get(path), after[path]) for path in sorted(after))


def normal_form(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a change without comments, docstrings and layout: equal for candidates that share votes.

    Where a change only adds whole functions, their place does not count either (SWE-RL after Agentless: context lines
    are dropped). Empty for a change of comments and layout alone.
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
    """Return the SHA-256 of the normal form, or of the plain diff where that is empty (a change of comments alone)."""
    form = normal_form(before, after) or unified_diff(before, after)
    return hashlib.sha256(form.encode("utf-8", "surrogateescape")).hexdigest()


def _without_trailing_blanks(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.split("\n"))


def _hunks(diff: str) -> str:
    start = diff.find("\n@@ ")
    return diff[start + 1 :] if start >= 0 else ""


def _functions_only(hunks: str) -> str:
    """Return the added lines if every hunk only adds lines and begins with a definition; else nothing."""
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
    """Return the paths that a unified diff changes, adds or removes, in order; none if it is unreadable.

    A renamed file counts by its old path.
    """
    try:
        files = PatchSet(patch)
    except (UnidiffParseError, UnboundLocalError, ValueError, IndexError):
        # unidiff 1.0 raises other errors for some malformed hunks
        return ()
    paths = []
    for file in files:
        name = file.source_file if file.source_file != _DEV_NULL else file.target_file
        name = unquoted(name)
        paths.append(name[2:] if name.startswith(("a/", "b/")) else name)
    return tuple(dict.fromkeys(paths))


def unquoted(name: str) -> str:
    """Return the path itself where git wrote it as a C string, for its special characters."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    try:
        return name[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeError:
        return name


def apply_patch(texts: Mapping[str, str], patch: str) -> dict[str, str]:
    """Return the new texts of the files that a unified diff changes. Its hunks must fit, if need be on other lines.

    A removed file becomes empty. A renamed file has its text under the new path, and an empty one under the old path.
    Binary files are left out.

    Raises:
        ValueError: A hunk does not fit, or the diff cannot be read.
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
    """Find some lines, nearest to a place: the line numbers of some gold patches are off, and git allows that."""
    for distance in range(len(lines) + 1):
        for start in (place - distance, place + distance):
            if 0 <= start <= len(lines) - len(wanted) and lines[start : start + len(wanted)] == wanted:
                return start
    return None


def _sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    """Return a hunk's old and new lines, each with its line end unless the diff says that it has none."""
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
    """Whether only blank lines and trailing blanks change, in every file."""

    return all(path in before and _nonblank(before[path]) == _nonblank(text) for path, text in after.items())


def _nonblank(text: str) -> list[str]:
    return [line.rstrip() for line in text.split("\n") if line.strip()]


def sha256(text: str) -> str:
    """Return the hex digest of a text, the key of patches and prompts."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
