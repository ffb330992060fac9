"""Cuts a job's output into sections at its token lines (`core.jobs.scripts`), piece by piece, whatever its size.

A token line holds the token, a word, and the rest. The word names the section that follows; the output before the first
token line is the section "". The line end right before a token line belongs to the token line: the shell prints one, so
that the token starts a line whatever the tests printed last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Take = Callable[[bytes], None]
LINE_WEIGHT = 32
"""What a line counts beside its bytes: whoever reads a text line by line needs memory for each of them."""


def first_word(line: str) -> tuple[str, str]:
    """Split a token line into its first word and the rest."""
    word, _, rest = line.partition(" ")
    return word, rest


@dataclass
class Sections:
    """Hands the bytes of each section to the function that takes it; sections without one are dropped."""

    token: bytes
    takers: dict[str, Take]
    """By the word of the token line that opens the section."""
    marks: dict[str, str] = field(default_factory=dict)
    """The rest of each token line, by its word. Of several lines with one word, the first counts."""
    split: Callable[[str], tuple[str, str]] = first_word
    """Splits a token line, without the token, into its word and the rest."""
    _taker: Take | None = None
    _line_end: bytes = b""
    """The last line end, held back since it may belong to a token line."""
    _at_line_start: bool = True

    def __post_init__(self) -> None:
        self._taker = self.takers.get("")

    def feed(self, line: bytes) -> None:
        """Read the next line, or the next piece of an overlong one."""
        starts_line, self._at_line_start = self._at_line_start, line.endswith(b"\n")
        if starts_line and line.startswith(self.token + b" "):
            word, rest = self.split(line[len(self.token) + 1 :].decode("utf-8", "replace").strip())
            if word not in self.marks:
                self.marks[word] = rest
                self._taker, self._line_end = self.takers.get(word), b""
                return
        if self._taker is not None:
            body = line.removesuffix(b"\n")
            self._taker(self._line_end + body)
            self._line_end = line[len(body) :]

    def end(self) -> None:
        """Finish the last section."""
        if self._taker is not None:
            self._taker(self._line_end)
        self._line_end = b""


@dataclass
class Bounded:
    """Hands on the beginning and the end of what it takes, by weight; of too much the middle is left out."""

    write: Take
    most: int
    """Bytes and `LINE_WEIGHT` for each line, of the beginning and the end together."""
    tail: int
    """Of these, for the end."""
    _weight: int = 0
    _tail: deque[bytes] = field(default_factory=deque)
    _tail_weight: int = 0
    _dropped: int = 0

    def take(self, piece: bytes) -> None:
        """The next bytes; a line comes in one piece unless it is overlong."""
        weight = _weight(piece)
        if not self._tail and self._weight + weight <= self.most - self.tail:
            self._weight += weight
            self.write(piece)
            return
        self._tail.append(piece)
        self._tail_weight += weight
        while self._tail_weight > self.tail:
            gone = self._tail.popleft()
            self._tail_weight -= _weight(gone)
            self._dropped += len(gone)

    def end(self) -> bool:
        """Hand on the end of what was taken, and begin anew; says whether something was left out."""
        left_out = self._dropped > 0
        if left_out:
            self.write(b"\n[swerl-eval: %d bytes of output left out here]\n" % self._dropped)
        for piece in self._tail:
            self.write(piece)
        self._tail.clear()
        self._weight = self._tail_weight = self._dropped = 0
        return left_out


def _weight(piece: bytes) -> int:
    return len(piece) + LINE_WEIGHT * piece.count(b"\n")
