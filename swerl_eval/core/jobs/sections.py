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


def weight(piece: bytes) -> int:
    """Size of a piece for whoever reads it line by line: its bytes, and `LINE_WEIGHT` for each line."""
    return len(piece) + LINE_WEIGHT * piece.count(b"\n")


@dataclass
class Bounded:
    """Passes on the beginning and the end of an output, and leaves out the middle of one that is too large.

    It leaves out whole pieces: a line that comes in one piece is never torn.
    """

    write: Take
    most: int
    """Weight of the beginning and the end together. An output that weighs no more is passed on whole."""
    tail: int
    """Of this, for the end."""
    tail_weight: Callable[[bytes], int] = weight
    """Weight of a piece of the end."""
    _head_weight: int = 0
    _tail: deque[tuple[bytes, int]] = field(default_factory=deque)
    """Pieces and their weights."""
    _tail_weight: int = 0
    _dropped: int = 0

    def take(self, piece: bytes) -> None:
        """Take the next bytes; a line comes in one piece unless it is overlong."""
        if not self._tail and not self._dropped:
            new_weight = self._head_weight + weight(piece)
            if new_weight <= self.most - self.tail:
                self._head_weight = new_weight
                self.write(piece)
                return
        piece_weight = self.tail_weight(piece)
        self._tail_weight += piece_weight
        if len(piece) <= self.tail >> 16 and self._tail and len(self._tail[-1][0]) <= self.tail >> 10:
            # tiny pieces are joined: each one alone takes far more memory than its bytes
            last, last_weight = self._tail.pop()
            piece, piece_weight = last + piece, last_weight + piece_weight
        self._tail.append((piece, piece_weight))
        while self._head_weight + self._tail_weight > self.most:
            left_out, its_weight = self._tail.popleft()
            self._tail_weight -= its_weight
            self._dropped += len(left_out)

    def end(self) -> bool:
        """Pass on the end of the output and start over; returns whether something was left out."""
        left_out = self._dropped > 0
        if left_out:
            self.write(b"\n[swerl-eval: %d bytes of output left out here]\n" % self._dropped)
        for piece, _ in self._tail:
            self.write(piece)
        self._tail.clear()
        self._head_weight = self._tail_weight = self._dropped = 0
        return left_out
