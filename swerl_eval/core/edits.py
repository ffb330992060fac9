"""The SEARCH/REPLACE format: from a model's answer to edits, and from edits to new file texts.

A block is

    ```python
    ### path/to/file.py
    <<<<<<< SEARCH
    lines to be found
    =======
    lines to put there
    >>>>>>> REPLACE
    ```

One scanner serves the repair stage and the reward; how lenient it is stands in `Leniences`, with three settings:
`STRICT` (the published reward), `REWARD` (ours by default) and `REPAIR`. It runs in linear time on any text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from swerl_eval.core.types import Edit, Rejection

SEARCH = "<<<<<<< SEARCH"
DIVIDER = "======="
REPLACE = ">>>>>>> REPLACE"
FENCE = "```"


@dataclass(frozen=True)
class Leniences:
    """What is accepted beyond the published format. The one list of it."""

    final_fence: bool = False
    """The closing fence of the last block may be missing (the method's circulated example is printed so)."""
    empty_bodies: bool = False
    """Markers may follow each other with no line between: nothing to search (a new file) or to put (a deletion)."""
    shared_fence: bool = False
    """Several blocks may stand in one fence, and a closing fence may be missing anywhere."""
    decoration: bool = False
    """Carriage returns, blanks after markers, and backquotes or a leading `./` around the path do not count."""


STRICT = Leniences()
REWARD = Leniences(final_fence=True)
REPAIR = Leniences(final_fence=True, empty_bodies=True, shared_fence=True, decoration=True)


class EditError(Exception):
    """An answer that gives no change; `rejection` says which kind, the message says where."""

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.rejection = rejection


def find_blocks(text: str, leniences: Leniences) -> list[Edit]:
    """All whole blocks of a text, in order. Never raises; what is not a block is passed over."""
    if leniences.decoration:
        text = text.replace("\r\n", "\n")
    if leniences.shared_fence:
        return list(_blocks_by_line(text))
    return list(_blocks_by_fence(text, leniences))


def _blocks_by_fence(text: str, leniences: Leniences) -> Iterator[Edit]:
    """The published format: one block per fence, each part on lines of its own, the nearest markers count."""
    position = 0
    while (fence := text.find(FENCE, position)) >= 0:
        line_end = text.find("\n", fence)
        if line_end < 0:
            return
        position = line_end  # another fence on this line would begin the same block
        if not text.startswith("### ", line_end + 1):
            continue
        path_end = text.find("\n", line_end + 1)
        body = path_end + 1 + len(SEARCH) + 1
        if path_end < 0 or not text.startswith(SEARCH + "\n", path_end + 1):
            continue
        path = text[line_end + 1 + len("### ") : path_end]
        divider = text.find(f"\n{DIVIDER}\n", body)
        if divider < 0:
            return  # no later block can have one either
        replacement = divider + len(DIVIDER) + 2
        end = text.find(f"\n{REPLACE}\n{FENCE}", replacement)
        if end < 0 and leniences.final_fence:
            end = _unfenced_end(text, replacement)
        if end < 0:
            return
        yield Edit(path, tuple(text[body:divider].split("\n")), tuple(text[replacement:end].split("\n")))
        position = end + len(REPLACE) + 2 + len(FENCE)


def _unfenced_end(text: str, start: int) -> int:
    """Where the last block's replacement ends when nothing but blanks follows its closing marker."""
    stripped = text.rstrip()
    end = len(stripped) - len(REPLACE) - 1
    return end if end >= start and stripped.endswith("\n" + REPLACE) else -1


def _blocks_by_line(text: str) -> Iterator[Edit]:
    """The repair stage's reading: markers by line, any number of blocks within a fence."""
    fenced, after_fence, path = False, False, None
    search: list[str] | None = None
    replace: list[str] | None = None
    for line in text.split("\n"):
        marker = line.rstrip()
        if replace is not None and search is not None:
            if marker == REPLACE:
                if path is not None:
                    yield Edit(path, tuple(search), tuple(replace))
                search = replace = None
            elif marker == SEARCH:  # the block before was never closed: it is dropped, this one may be whole
                path = _heading(replace[-1]) if replace and replace[-1].startswith("### ") else path
                search, replace = [], None
            else:
                replace.append(line)
        elif search is not None:
            if marker == DIVIDER:
                replace = []
            else:
                search.append(line)
        elif FENCE in marker:
            fenced, path = not fenced or marker != FENCE, None
        elif (fenced or after_fence) and marker.startswith("### "):
            # right after a fence that seemed to close, since the closing one before it may be missing
            fenced, path = True, _heading(marker)
        elif fenced and path is not None and marker == SEARCH:
            search = []
        after_fence = FENCE in marker


def _heading(line: str) -> str:
    return line[len("### ") :].strip().strip("`").removeprefix("./")


def parse_answer(solution: str, leniences: Leniences = REPAIR) -> list[Edit]:
    """The edits of a model's answer, of which `answers.solution_of` gives the solution.

    Raises `EditError` with `NO_EDIT` (no marker at all) or `BAD_FORMAT` (markers, but no whole block).
    """
    edits = find_blocks(solution, leniences)
    if edits:
        return edits
    present = [marker for marker in (SEARCH, REPLACE) if marker in solution]
    if present:
        raise EditError(Rejection.BAD_FORMAT, f"found {' and '.join(present)}, but no whole block in a fence")
    raise EditError(Rejection.NO_EDIT, "the answer holds no edit")


def apply_edits(texts: Mapping[str, str], edits: list[Edit]) -> dict[str, str]:
    """New texts of the files that the edits touch, one edit after another.

    `texts` are the files shown to the model. An edit matches whole lines, everywhere they stand; lines that end in CRLF
    are matched by LF edits, and what replaces them ends in CRLF. Whether the file's last line is ended does not change,
    but for an unended one that is deleted. Raises `EditError` on the first edit that fails.
    """
    changed: dict[str, str] = {}
    for number, edit in enumerate(edits, start=1):
        where = f"edit {number} ({edit.path})"
        if edit.search == edit.replace:
            raise EditError(Rejection.NO_CHANGE, f"{where}: search and replacement are the same")
        current = changed.get(edit.path, texts.get(edit.path))
        changed[edit.path] = _new_file(edit, where) if current is None else _edited(current, edit, where)
    return changed


def _new_file(edit: Edit, where: str) -> str:
    parts = edit.path.split("/")
    if "\0" in edit.path or any(part in {"", ".", "..", ".git"} for part in parts):
        raise EditError(Rejection.UNKNOWN_PATH, f"{where}: not a path within the repository")
    if any(edit.search):
        raise EditError(Rejection.UNKNOWN_PATH, f"{where}: this file was not shown to the model")
    return "\n".join(edit.replace).removesuffix("\n") + "\n"


def _edited(text: str, edit: Edit, where: str) -> str:
    if not any(edit.search):
        # Nothing to look for: right only for a file that is empty so far.
        if text.strip():
            raise EditError(Rejection.NO_MATCH, f"{where}: the search is empty and the file is not")
        return "\n".join(edit.replace).removesuffix("\n") + "\n"
    plain, ends = _lines_and_ends(text)
    search, replace = edit.search, edit.replace
    matches = _line_matches(plain, search)
    while not matches and search[-1] == "":
        # A blank line too many before the divider; the published reward's rule ("starts at a line") allows it too.
        search = search[:-1]
        replace = replace[:-1] if replace and replace[-1] == "" else replace
        matches = _line_matches(plain, search)
    if not matches:
        raise EditError(Rejection.NO_MATCH, f"{where}: the search text is not in the file")
    for start in reversed(matches):
        stop = start + len(search)
        # an unended last line says nothing of how lines end here: the one before it does
        end = next(end for end in (ends[start], ends[start - 1] if start else "", "\n") if end.endswith("\n"))
        new_ends = [end] * len(replace)
        if replace and not ends[stop - 1].endswith("\n"):
            new_ends[-1] = ends[stop - 1]
        plain[start:stop], ends[start:stop] = replace, new_ends
    return "".join(line + end for line, end in zip(plain, ends, strict=True))


def _lines_and_ends(text: str) -> tuple[list[str], list[str]]:
    """Lines without their ends, and the ends: CRLF, LF, and what follows the last LF (nothing, or a stray CR)."""
    lines = text.split("\n")
    ends = ["\r\n" if line.endswith("\r") else "\n" for line in lines[:-1]]
    plain = [line.removesuffix("\r") for line in lines]
    if not lines[-1]:
        return plain[:-1], ends
    return plain, [*ends, "\r" if lines[-1].endswith("\r") else ""]


def _line_matches(lines: list[str], search: tuple[str, ...]) -> list[int]:
    """First lines of the matches that do not overlap."""
    found: list[int] = []
    start = 0
    while start <= len(lines) - len(search):
        if lines[start] == search[0] and tuple(lines[start : start + len(search)]) == search:
            found.append(start)
            start += len(search)
        else:
            start += 1
    return found
