"""Applies edits to file texts: whole lines, everywhere they occur, in linear time and within a bound."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from swerl_eval.core.edits import DIVIDER, EditError
from swerl_eval.core.types import Edit, Rejection

MAX_FILE_CHARACTERS = 2**22
"""How long a file may become, here and in the reward. An edit whose search matches nearly everywhere multiplies a file,
and a few of them fill any memory."""
MAX_PASSES = 64
"""Bounds the work for one answer: the texts that its edits search may have this many times the limit in all. That is
over ten seconds' work, or 500 edits of a file of half a megabyte."""


def longest_text(original: str, limit: int = MAX_FILE_CHARACTERS) -> int:
    """Return how long a file may become: the limit, or twice its size where it is large already."""
    return max(limit, 2 * len(original))


def apply_edits(texts: Mapping[str, str], edits: Sequence[Edit], limit: int = MAX_FILE_CHARACTERS) -> dict[str, str]:
    """Apply edits in order, and return the new texts of the files that they change.

    - An edit matches whole lines, everywhere they occur.
    - LF edits match lines that end in CRLF; the new lines end in CRLF then.
    - The last line keeps its line end, or the lack of one; but after an unended line is deleted, the file ends in one.
    - An edit that repeats an earlier one or changes nothing is skipped.

    Args:
        texts: The files shown to the model, by path.
        edits: Of one answer.
        limit: Characters that a file may grow to (`longest_text`).

    Raises:
        EditError: An edit cannot be applied, or none changes anything.
    """
    changed: dict[str, str] = {}
    no_change, searched = "", 0
    for number, edit in _without_repeats(edits):
        where = f"edit {number} ({edit.path})"
        current = changed.get(edit.path, texts.get(edit.path))
        searched += len(current or "")
        if searched > MAX_PASSES * limit:
            raise EditError(Rejection.TOO_LONG, f"{where}: too many edits of a long file")
        if current is not None:
            edit = resolve_divider(edit, current)
        if edit.search == edit.replace:
            no_change = no_change or f"{where}: search and replacement are the same"
        elif current is None:
            changed[edit.path] = _new_file(edit, where)
        else:
            longest = longest_text(texts.get(edit.path, ""), limit)
            changed[edit.path] = _edited(current, edit, where, longest)
    if no_change and not changed:
        raise EditError(Rejection.NO_CHANGE, no_change)
    return changed


def resolve_divider(edit: Edit, text: str) -> Edit:
    """Split an edit whose block holds several divider lines at the one that fits its file.

    The search may hold such a line (an RST heading, a merge conflict), and so may the replacement. The split with the
    longest search that is in the file counts. If no search is, the first divider counts, as in the published format.
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

    # A longer search begins with the shorter ones: if it is in the file, so are they.
    divider = dividers[max(bisect_left(dividers, True, key=misses) - 1, 0)]
    return Edit(edit.path, body[:divider], body[divider + 1 :])


def _without_repeats(edits: Sequence[Edit]) -> Iterator[tuple[int, Edit]]:
    """Yield different edits with their numbers, from 1. A model may repeat itself without end."""
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
        # nothing to search for: only an empty file can be meant
        if text.strip():
            raise EditError(Rejection.NO_MATCH, f"{where}: the search is empty and the file is not")
        return "\n".join(edit.replace).removesuffix("\n") + "\n"
    joined = _joined(_lines(text))
    search, replace = edit.search, edit.replace
    # Surplus blank lines before the divider are left out; the published reward's rule ("starts at a line") allows it.
    blanks = len(search) - len(_without_blank_end(search))
    surplus = bisect_left(range(blanks + 1), True, key=lambda n: _joined(search[: len(search) - n]) in joined)
    if surplus > blanks:
        raise EditError(Rejection.NO_MATCH, f"{where}: the search text is not in the file")
    search = search[: len(search) - surplus]
    replace = replace[: max(len(_without_blank_end(replace)), len(replace) - surplus)]
    matches = _matches(joined, _joined(search))
    if len(text) + len(matches) * (len(_joined(replace)) - len(_joined(search))) > longest:
        raise EditError(Rejection.TOO_LONG, f"{where}: makes the file longer than {longest} characters")
    return _replaced(text, matches, len(search), replace)


def _replaced(text: str, matches: list[int], size: int, replace: tuple[str, ...]) -> str:
    """Replace the `size` lines at each of the line numbers `matches`."""
    old = text.split("\n")
    unended = old.pop()  # the text after the last line end
    last = len(old)
    new: list[str] = []
    position = 0
    for start in matches:
        new += old[position:start]
        # an unended last line does not show how lines end here; the line before it does
        sample = old[start] if start < last else old[start - 1] if start else ""
        new += [f"{line}\r" for line in replace] if sample.endswith("\r") else replace
        position = start + size
    if position <= last:
        return "\n".join([*new, *old[position:], unended])
    if not replace:
        return "\n".join([*new, ""])
    new[-1] = replace[-1] + "\r" * unended.endswith("\r")
    return "\n".join(new)


def _lines(text: str) -> list[str]:
    """Split a text into lines without their ends: LF, CRLF, and a stray CR at the end of the text."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def _joined(lines: Sequence[str]) -> str:
    """Join lines into a text in which `str.find` can search whole lines, in linear time."""
    return "\n" + "".join(f"{line}\n" for line in lines)


def _without_blank_end(lines: Sequence[str]) -> Sequence[str]:
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    return lines[:end]


def _matches(joined: str, search: str) -> list[int]:
    """Return the first line numbers of matches that do not overlap; both texts are `_joined` lines."""
    starts: list[int] = []
    line = counted = 0
    at = joined.find(search)
    while at >= 0:
        line += joined.count("\n", counted, at)
        counted = at
        starts.append(line)
        at = joined.find(search, at + len(search) - 1)
    return starts
