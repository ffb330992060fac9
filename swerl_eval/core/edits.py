"""Reads the SEARCH/REPLACE format: from a model's answer to edits. `core.apply_edits` applies them to file texts.

A block is

    ```python
    ### path/to/file.py
    <<<<<<< SEARCH
    lines to find
    =======
    lines to put in their place
    >>>>>>> REPLACE
    ```

The repair stage and the reward both read answers here. `Leniences` says what they accept beyond the published format;
there are three settings: `STRICT` (the published reward), `REWARD` (this package's default) and `REPAIR`. All of them
take linear time on any text.
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
    """What is accepted beyond the published format. This list is complete."""

    final_fence: bool = False
    """The closing fence of the last block may be missing (the method's circulated example is printed so)."""
    by_line: bool = False
    """The text is read line by line, by `_LineReader`. It accepts what has only one possible meaning:

    - several blocks in one fence, and a closing fence that is missing or stands on the line of the closing marker;
    - a fence of tildes or of more backquotes, and blank lines between it and the path;
    - markers that follow each other: no search (a new file), no replacement (a deletion);
    - CRLF line ends, and blanks after markers;
    - backquotes, a leading `./` and invisible characters around the path;
    - the path again behind `SEARCH`, marker words in any case or without the blank before them, and the pair ORIGINAL
      and UPDATED, as other tools print it;
    - a block that is indented as a whole (within a list), or whose markers are.

    A block that lacks a marker is skipped, and the next one is still read. Of several divider lines, the file decides
    which one counts (`apply_edits.resolve_divider`). A block that changes nothing or repeats an earlier one is skipped
    if another block changes something.
    """


STRICT = Leniences()
REWARD = Leniences(final_fence=True)
REPAIR = Leniences(final_fence=True, by_line=True)


class EditError(Exception):
    """An answer gives no change; `rejection` is the kind of reason, the message says where."""

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.rejection = rejection


def find_blocks(text: str, leniences: Leniences) -> list[Edit]:
    """Return all whole blocks of a text, in order. Never raises; what is not a block is skipped.

    A block with several divider lines is split at the first, as in the published format. `apply_edits.resolve_divider`
    finds the split that fits the file.
    """
    if leniences.by_line:
        return _LineReader(text).edits
    return list(_blocks_by_fence(text, leniences))


def _blocks_by_fence(text: str, leniences: Leniences) -> Iterator[Edit]:
    """Read the published format: one block per fence, each part on lines of its own; the nearest markers count."""
    position = 0
    while (fence := text.find(FENCE, position)) >= 0:
        line_end = text.find("\n", fence)
        if line_end < 0:
            return
        position = line_end  # another fence on this line would open the same block
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
    """Return where the last block's replacement ends if only blanks follow its closing marker; else -1."""
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
    """The text before its markers."""
    heading_indent: str
    lines: list[str] = field(default_factory=list)
    divider: int | None = None
    """Number of lines before the first divider."""

    def edit(self) -> Edit:
        """Return the whole block as an edit, split at its first divider."""
        lines, indent = self.lines, self.indent
        if indent and indent == self.heading_indent and all(line.startswith(indent) for line in lines if line.strip()):
            lines = [line[len(indent) :] for line in lines]
        return Edit(self.path, tuple(lines[: self.divider]), tuple(lines[(self.divider or 0) + 1 :]))


class _LineReader:
    """Reads a text line by line: its whole blocks (`edits`), and what is wrong with the others (`faults`)."""

    def __init__(self, text: str) -> None:
        self.edits: list[Edit] = []
        self.faults: list[str] = []
        self._fenced = False
        self._after_fence = False
        self._path: str | None = None
        self._heading_indent = ""
        self._block: _Block | None = None
        for line in text.replace("\r\n", "\n").split("\n"):
            if self._block is not None:
                self._read_in_block(self._block, line)
            else:
                self._read_outside(line)
        if self._block is not None:
            self._drop(self._block)

    def _read_outside(self, line: str) -> None:
        marker = line.rstrip()
        fence = _is_fence(marker)
        heading = _HEADING.fullmatch(marker)
        if fence:
            self._fenced, self._path = not self._fenced or marker.strip("`~ \t") != "", None
        elif heading and (self._fenced or self._after_fence):
            # a fence that seems to close may open, since the closing one before it may be missing
            self._fenced, self._path, self._heading_indent = True, _bare_path(heading[2]), heading[1]
        elif opening := _OPENING.fullmatch(marker):
            self._open(opening)
        elif _CLOSING.fullmatch(marker):
            self.faults.append(f"{marker.strip()} stands where no block is open")
        elif self._fenced and self._path and marker.lstrip().startswith("<" * 7):
            self.faults.append(f"{marker.strip()} is not the marker {SEARCH}")
        self._after_fence = fence or (self._after_fence and not marker)

    def _open(self, opening: re.Match[str]) -> None:
        repeated_path = _bare_path(opening[3])
        if not self._fenced:
            self.faults.append(f"a block stands in no fence {FENCE}")
        elif self._path is None:
            self.faults.append("a block has no line `### path` above it")
        elif repeated_path not in {"", self._path}:
            self.faults.append(f"{opening[0].strip()} names another file than the line ### {self._path}")
        else:
            closing = _CLOSING_WORDS[opening[2].upper()]
            self._block = _Block(self._path, closing, opening[1], self._heading_indent)

    def _read_in_block(self, block: _Block, line: str) -> None:
        marker = line.rstrip()
        closing = _CLOSING.fullmatch(marker)
        if closing and (closing[1], closing[2].upper()) == (block.indent, block.closing):
            self._close(block, fence=bool(closing[3]))
        elif self._opens_next_block(block, marker):
            self._drop(block)
            self._read_outside(line)
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

    def _opens_next_block(self, block: _Block, marker: str) -> bool:
        """Whether the current block was never closed, and this line opens the next one."""
        opening = _OPENING.fullmatch(marker)
        if not opening or (opening[1], _CLOSING_WORDS[opening[2].upper()]) != (block.indent, block.closing):
            return False
        heading = _HEADING.fullmatch(block.lines[-1].rstrip()) if block.lines else None
        path = _bare_path(heading[2]) if heading else block.path
        if _bare_path(opening[3]) not in {"", path} or (block.divider is None and not heading):
            return False  # part of the search or the replacement
        self._path, self._heading_indent = path, heading[1] if heading else block.heading_indent
        return True

    def _drop(self, block: _Block) -> None:
        missing = f"divider line {DIVIDER}" if block.divider is None else f"closing line {REPLACE}"
        self.faults.append(f"the block of {block.path} has no {missing}")
        self._block = None


def _is_fence(line: str) -> bool:
    """Whether a line opens or closes a fence. A line that does both is code within prose."""
    return line.lstrip().startswith("~~~") or len(_BACKQUOTES.findall(line)) % 2 == 1


def _bare_path(text: str) -> str:
    return text.strip(f"{whitespace}{_INVISIBLE}`").removeprefix("./")


def parse_answer(solution: str, leniences: Leniences = REPAIR) -> list[Edit]:
    """Read the edits of a model's answer.

    Args:
        solution: The part of the answer that counts (`answers.solution.solution_of`).
        leniences: What is accepted.

    Raises:
        EditError: With `NO_EDIT` (there is no marker) or `BAD_FORMAT` (there are markers, but no whole block).
    """
    edits = find_blocks(solution, leniences)
    if edits:
        return edits
    faults = _LineReader(solution).faults
    if faults:
        raise EditError(Rejection.BAD_FORMAT, faults[0])
    present = [marker for marker in (SEARCH, REPLACE) if marker in solution]
    if present:
        raise EditError(Rejection.BAD_FORMAT, f"found {' and '.join(present)}, but no whole block in a fence")
    raise EditError(Rejection.NO_EDIT, "the answer holds no edit")
