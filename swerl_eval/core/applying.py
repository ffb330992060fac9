"""From edits to new file texts: whole lines, everywhere they stand, in linear time and within a bound."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from swerl_eval.core.edits import DIVIDER, EditError
from swerl_eval.core.types import Edit, Rejection

MAX_FILE_CHARACTERS = 2**22
"""What a file may grow to, here and in the reward: an edit whose search matches nearly everywhere multiplies a file,
and a few of them fill any memory."""
MAX_PASSES = 64
"""Each edit goes through its file. The edits of one answer go through this many times the limit at most: over ten
seconds' work, or 500 edits of half a megabyte."""


def longest_text(original: str, limit: int = MAX_FILE_CHARACTERS) -> int:
    """The length that the edits of a file may not exceed: the limit, or twice its size where it is large already."""
    return max(limit, 2 * len(original))


def apply_edits(texts: Mapping[str, str], edits: Sequence[Edit], limit: int = MAX_FILE_CHARACTERS) -> dict[str, str]:
    """New texts of the files that the edits touch, one edit after another.

    `texts` are the files shown to the model. An edit matches whole lines, everywhere they stand; lines that end in CRLF
    are matched by LF edits, and what replaces them ends in CRLF. Whether the file's last line is ended does not change,
    but for an unended one that is deleted. An edit that repeats one before it or changes nothing is passed over. Raises
    `EditError` on the first edit that fails, and when none changes anything.
    """
    changed: dict[str, str] = {}
    idle, searched = "", 0
    for number, edit in _without_repeats(edits):
        where = f"edit {number} ({edit.path})"
        current = changed.get(edit.path, texts.get(edit.path))
        searched += len(current or "")
        if searched > MAX_PASSES * limit:
            raise EditError(Rejection.TOO_LONG, f"{where}: too many edits of a long file")
        if current is not None:
            edit = resolved(edit, current)
        if edit.search == edit.replace:
            idle = idle or f"{where}: search and replacement are the same"
        elif current is None:
            changed[edit.path] = _new_file(edit, where)
        else:
            longest = longest_text(texts.get(edit.path, ""), limit)
            changed[edit.path] = _edited(current, edit, where, longest)
    if idle and not changed:
        raise EditError(Rejection.NO_CHANGE, idle)
    return changed


def resolved(edit: Edit, text: str) -> Edit:
    """The edit as its file decides it, where the block holds several divider lines.

    The searched text may hold such a line (an RST heading, a merge conflict), and so may the new one. Of all splits,
    the one with the longest search that is in the file counts; the published one, at the first divider, where none is.
    """
    body = (*edit.search, DIVIDER, *edit.replace)
    first = len(edit.search)
    dividers = [first, *(at for at in range(first + 1, len(body)) if body[at].rstrip() == DIVIDER)]
    if len(dividers) == 1:
        return edit
    joined = _joined(_lines(text))

    def misses(divider: int) -> bool:
        search = _without_blank_end(body[:divider])
        return bool(search) and _joined(search) not in joined

    # A longer search holds the shorter ones: if it is in the file, so are they.
    divider = dividers[max(bisect_left(dividers, True, key=misses) - 1, 0)]
    return Edit(edit.path, body[:divider], body[divider + 1 :])


def _without_repeats(edits: Sequence[Edit]) -> Iterator[tuple[int, Edit]]:
    """Each edit with its number, from one; of equal ones the first. A model may be caught in a loop."""
    seen: set[Edit] = set()
    for number, edit in enumerate(edits, start=1):
        if edit not in seen:
            seen.add(edit)
            yield number, edit


def _new_file(edit: Edit, where: str) -> str:
    parts = edit.path.split("/")
    if "\0" in edit.path or any(part in {"", ".", "..", ".git"} for part in parts):
        raise EditError(Rejection.UNKNOWN_PATH, f"{where}: not a path within the repository")
    if any(edit.search):
        raise EditError(Rejection.UNKNOWN_PATH, f"{where}: this file was not shown to the model")
    return "\n".join(edit.replace).removesuffix("\n") + "\n"


def _edited(text: str, edit: Edit, where: str, longest: int) -> str:
    if not any(edit.search):
        # Nothing to look for: right only for a file that is empty so far.
        if text.strip():
            raise EditError(Rejection.NO_MATCH, f"{where}: the search is empty and the file is not")
        return "\n".join(edit.replace).removesuffix("\n") + "\n"
    joined = _joined(_lines(text))
    search, replace = edit.search, edit.replace
    # Blank lines too many before the divider are left out; the published reward's rule ("starts at a line") allows it.
    blanks = len(search) - len(_without_blank_end(search))
    over = bisect_left(range(blanks + 1), True, key=lambda n: _joined(search[: len(search) - n]) in joined)
    if over > blanks:
        raise EditError(Rejection.NO_MATCH, f"{where}: the search text is not in the file")
    search = search[: len(search) - over]
    replace = replace[: max(len(_without_blank_end(replace)), len(replace) - over)]
    matches = _matches(joined, _joined(search))
    if len(text) + len(matches) * (len(_joined(replace)) - len(_joined(search))) > longest:
        raise EditError(Rejection.TOO_LONG, f"{where}: makes the file longer than {longest} letters")
    return _replaced(text, matches, len(search), replace)


def _replaced(text: str, matches: list[int], size: int, replace: tuple[str, ...]) -> str:
    """A text with each run of `size` lines that begins at one of `matches` replaced."""
    old = text.split("\n")
    unended = old.pop()  # what follows the last line end
    last = len(old)
    new: list[str] = []
    done = 0
    for start in matches:
        new += old[done:start]
        # an unended last line says nothing of how lines end here: the one before it does
        before = old[start] if start < last else old[start - 1] if start else ""
        new += [f"{line}\r" for line in replace] if before.endswith("\r") else replace
        done = start + size
    if done <= last:
        return "\n".join([*new, *old[done:], unended])
    if not replace:
        return "\n".join([*new, ""])
    new[-1] = replace[-1] + "\r" * unended.endswith("\r")
    return "\n".join(new)


def _lines(text: str) -> list[str]:
    """Lines without their ends: LF, CRLF, and a stray CR at the end of the text."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def _joined(lines: Sequence[str]) -> str:
    """Lines as a text in which whole lines can be searched: in linear time, by the library of C."""
    return "\n" + "".join(f"{line}\n" for line in lines)


def _without_blank_end(lines: Sequence[str]) -> Sequence[str]:
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    return lines[:end]


def _matches(joined: str, search: str) -> list[int]:
    """First lines of the matches that do not overlap; both are `_joined` lines."""
    found: list[int] = []
    line = counted = 0
    at = joined.find(search)
    while at >= 0:
        line += joined.count("\n", counted, at)
        counted = at
        found.append(line)
        at = joined.find(search, at + len(search) - 1)
    return found
