"""The SEARCH/REPLACE format: from a model's answer to edits. `core.applying` makes new file texts of them.

A block is

    ```python
    ### path/to/file.py
    <<<<<<< SEARCH
    lines to be found
    =======
    lines to put there
    >>>>>>> REPLACE
    ```

The repair stage and the reward both read answers here; how leniently stands in `Leniences`, with three settings:
`STRICT` (the published reward), `REWARD` (ours by default) and `REPAIR`. All run in linear time on any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import whitespace

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
    by_line: bool = False
    """The text is read line by line, by `_LineReader`, which accepts what models write and nobody can take otherwise:

    - several blocks in one fence, and a closing fence that is missing anywhere or stands on the closing marker's line;
    - a fence of tildes or of more backquotes, and blank lines between it and the path;
    - markers that follow each other: nothing to search (a new file), nothing to put (a deletion);
    - CRLF line ends; blanks after markers;
    - backquotes, a leading `./` and invisible characters around the path;
    - the path again behind `SEARCH`; marker words in any case, or without the blank before them; the pair ORIGINAL and
      UPDATED, as other tools print it;
    - a block that is indented as a whole (within a list), or whose markers are.

    A block of which a marker is missing is passed over, and does not take the next one with it. Of several divider
    lines the one counts that the file decides on (`applying.resolved`). A block that changes nothing, or repeats one
    before it, is passed over beside one that changes something.
    """


STRICT = Leniences()
REWARD = Leniences(final_fence=True)
REPAIR = Leniences(final_fence=True, by_line=True)


class EditError(Exception):
    """An answer that gives no change; `rejection` says which kind, the message says where."""

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.rejection = rejection


def find_blocks(text: str, leniences: Leniences) -> list[Edit]:
    """All whole blocks of a text, in order. Never raises; what is not a block is passed over.

    A block with several divider lines is split at the first, as the published format has it; where another split fits
    the file, `applying.resolved` finds it.
    """
    if leniences.by_line:
        return _LineReader(text).edits
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


_HEADING = re.compile(r"([ \t]*)### (.*)")
_OPENING = re.compile(r"([ \t]*)<{7} ?(SEARCH|ORIGINAL)\b(.*)", re.IGNORECASE)
_CLOSING = re.compile(r"([ \t]*)>{7} ?(REPLACE|UPDATED)[ \t]*(`{3,}|~{3,})?", re.IGNORECASE)
_CLOSING_WORDS = {"SEARCH": "REPLACE", "ORIGINAL": "UPDATED"}
_BACKQUOTES = re.compile(r"`{3,}")
_INVISIBLE = "\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


@dataclass
class _Block:
    """A block that is being read."""

    path: str
    closing: str
    """The word of its closing marker."""
    indent: str
    """What stands before its markers."""
    heading_indent: str
    lines: list[str] = field(default_factory=list)
    divider: int | None = None
    """How many lines stand before the first divider."""

    def edit(self) -> Edit:
        """The whole block, split at its first divider."""
        lines, indent = self.lines, self.indent
        if indent and indent == self.heading_indent and all(line.startswith(indent) for line in lines if line.strip()):
            lines = [line[len(indent) :] for line in lines]
        return Edit(self.path, tuple(lines[: self.divider]), tuple(lines[(self.divider or 0) + 1 :]))


class _LineReader:
    """Reads markers by line. Holds the blocks of a text, and what is wrong with those that it passed over."""

    def __init__(self, text: str) -> None:
        self.edits: list[Edit] = []
        self.slips: list[str] = []
        self._fenced = False
        self._after_fence = False
        self._path: str | None = None
        self._heading_indent = ""
        self._block: _Block | None = None
        for line in text.replace("\r\n", "\n").split("\n"):
            if self._block is not None:
                self._within(self._block, line)
            else:
                self._between(line)
        if self._block is not None:
            self._drop(self._block)

    def _between(self, line: str) -> None:
        marker = line.rstrip()
        fence = _is_fence(marker)
        heading = _HEADING.fullmatch(marker)
        if fence:
            self._fenced, self._path = not self._fenced or marker.strip("`~ \t") != "", None
        elif heading and (self._fenced or self._after_fence):
            # right after a fence that seemed to close, since the closing one before it may be missing
            self._fenced, self._path, self._heading_indent = True, _bare_path(heading[2]), heading[1]
        elif opening := _OPENING.fullmatch(marker):
            self._open(opening)
        elif _CLOSING.fullmatch(marker):
            self.slips.append(f"{marker.strip()} stands where no block is open")
        elif self._fenced and self._path and marker.lstrip().startswith("<" * 7):
            self.slips.append(f"{marker.strip()} is not the marker {SEARCH}")
        self._after_fence = fence or (self._after_fence and not marker)

    def _open(self, opening: re.Match[str]) -> None:
        named = _bare_path(opening[3])
        if not self._fenced:
            self.slips.append(f"a block stands in no fence {FENCE}")
        elif self._path is None:
            self.slips.append("a block has no line `### path` above it")
        elif named not in {"", self._path}:
            self.slips.append(f"{opening[0].strip()} names another file than the line ### {self._path}")
        else:
            closing = _CLOSING_WORDS[opening[2].upper()]
            self._block = _Block(self._path, closing, opening[1], self._heading_indent)

    def _within(self, block: _Block, line: str) -> None:
        marker = line.rstrip()
        closing = _CLOSING.fullmatch(marker)
        if closing and (closing[1], closing[2].upper()) == (block.indent, block.closing):
            self._close(block, fence=bool(closing[3]))
        elif self._begins_anew(block, marker):
            self._drop(block)
            self._between(line)
        else:
            if block.divider is None and marker == block.indent + DIVIDER:
                block.divider = len(block.lines)
            block.lines.append(line)

    def _close(self, block: _Block, *, fence: bool) -> None:
        if block.divider is None:
            self._drop(block)
        else:
            self.edits.append(block.edit())
        self._block = None
        if fence:
            self._fenced, self._path, self._after_fence = False, None, True

    def _begins_anew(self, block: _Block, marker: str) -> bool:
        """Whether the block before this line was never closed, and another one begins here."""
        opening = _OPENING.fullmatch(marker)
        if not opening or (opening[1], _CLOSING_WORDS[opening[2].upper()]) != (block.indent, block.closing):
            return False
        heading = _HEADING.fullmatch(block.lines[-1].rstrip()) if block.lines else None
        path = _bare_path(heading[2]) if heading else block.path
        if _bare_path(opening[3]) not in {"", path} or (block.divider is None and not heading):
            return False  # a text to be found, or to be put
        self._path, self._heading_indent = path, heading[1] if heading else block.heading_indent
        return True

    def _drop(self, block: _Block) -> None:
        missing = f"divider line {DIVIDER}" if block.divider is None else f"closing line {REPLACE}"
        self.slips.append(f"the block of {block.path} has no {missing}")
        self._block = None


def _is_fence(line: str) -> bool:
    """Whether a line opens or closes a fence. One that opens and closes backquotes is code within prose."""
    return line.lstrip().startswith("~~~") or len(_BACKQUOTES.findall(line)) % 2 == 1


def _bare_path(text: str) -> str:
    return text.strip(f"{whitespace}{_INVISIBLE}`").removeprefix("./")


def parse_answer(solution: str, leniences: Leniences = REPAIR) -> list[Edit]:
    """The edits of a model's answer, of which `answers.solution_of` gives the solution.

    Raises `EditError` with `NO_EDIT` (no marker at all) or `BAD_FORMAT` (markers, but no whole block).
    """
    edits = find_blocks(solution, leniences)
    if edits:
        return edits
    slips = _LineReader(solution).slips
    if slips:
        raise EditError(Rejection.BAD_FORMAT, slips[0])
    present = [marker for marker in (SEARCH, REPLACE) if marker in solution]
    if present:
        raise EditError(Rejection.BAD_FORMAT, f"found {' and '.join(present)}, but no whole block in a fence")
    raise EditError(Rejection.NO_EDIT, "the answer holds no edit")
