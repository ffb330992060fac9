"""Reads the fenced blocks of a text, as Markdown has them and as models write them, in linear time on any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<before>[^`~\n]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE)
_MARKER = re.compile(r"[\s>]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?")
"""What may stand before a fence: blanks, the `>` of a quotation, and the marker of a list item."""


@dataclass(frozen=True)
class FenceLine:
    """A line that opens or closes a fenced block."""

    start: int
    """Where the line begins in the text."""
    end: int
    """Where its line feed is, or the end of the text."""
    fence: str
    """The fence itself, such as three backquotes."""
    info: str
    """The word after it, such as `python`; empty for a tag such as `</think>`."""
    opens: bool
    """Whether it may open a block; not if a tag follows it, as in "```</think>"."""
    indent: int
    """Number of characters before the fence."""
    alone: bool
    """Whether only indentation stands before it, so that it may close a block."""

    def closes(self, opening: FenceLine) -> bool:
        """Whether this line ends the block of `opening`: the same kind of fence, as long, and nothing after it."""
        return self.alone and not self.info and self.fence.startswith(opening.fence)


@dataclass(frozen=True)
class Block:
    """One fenced block; its body is `text[start:end]`, and begins and ends with a whole line."""

    opening: FenceLine
    start: int
    end: int
    after: int
    """Where the text after the block begins."""
    closed: bool


def fence_lines(text: str, start: int = 0, end: int | None = None) -> list[FenceLine]:
    """Return all lines with a fence in `text[start:end]`, in order, with their positions in the whole text.

    Words before an opening fence are allowed, as in `The fix: ```python`.
    """
    lines = []
    for match in _FENCE.finditer(text[start:end]):
        before, info = match["before"], match["info"].strip()
        opens = not info.startswith(("<", "[", "◁"))
        info = info if opens else ""
        marker = _MARKER.fullmatch(before) is not None
        if marker or (match["fence"][0] == "`" and len(info.split()) <= 1):
            alone = not before.strip(" \t>")
            places = start + match.start(), start + match.end()
            lines.append(FenceLine(*places, match["fence"], info, opens, len(before), alone))
    return lines


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks in order; the last one may lack its end.

    A fence that names a language always opens a block. If another one is open, its end is missing.
    """
    opening: FenceLine | None = None
    for line in fence_lines(text):
        if opening is None:
            opening = line if line.opens else None
        elif line.closes(opening):
            yield Block(opening, min(opening.end + 1, line.start), line.start, line.end, closed=True)
            opening = None
        elif line.info and line.alone and line.fence[0] == opening.fence[0]:
            yield Block(opening, min(opening.end + 1, line.start), line.start, line.start, closed=False)
            opening = line
    if opening is not None:
        yield Block(opening, min(opening.end + 1, len(text)), len(text), len(text), closed=False)


def without_indent(body: str, indent: int) -> str:
    """Remove the indentation of the fence from a block's body."""
    return "\n".join(line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in body.split("\n"))
