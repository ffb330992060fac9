"""Cuts a job's output at the lines that carry its token (`core.jobs.scripts`), in pieces, whatever its size.

What is said of words here holds for whatever `split` takes for the word of a token line.

What stands before the first such line belongs to the section "". The line end right before a token line is the token
line's own: it is printed with one, so that it starts a line whatever the tests printed last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Take = Callable[[bytes], None]
LINE_WEIGHT = 32
"""What a line counts beside its bytes: whoever reads a text line by line needs memory for each of them."""


def first_word(line: str) -> tuple[str, str]:
    """The first word of a token line, and what stands behind it."""
    word, _, rest = line.partition(" ")
    return word, rest


@dataclass
class Sections:
    """Hands each section's bytes to whoever takes them; sections that nobody takes are dropped."""

    token: bytes
    takers: dict[str, Take]
    """By the word of the token line that opens the section."""
    marks: dict[str, str] = field(default_factory=dict)
    """What stood behind the word of each token line. The first of a word counts."""
    split: Callable[[str], tuple[str, str]] = first_word
    """A token line's word, and what stands behind it."""
    _taker: Take | None = None
    _held: bytes = b""
    """A line end that may belong to a token line."""
    _at_line_start: bool = True

    def __post_init__(self) -> None:
        self._taker = self.takers.get("")

    def feed(self, line: bytes) -> None:
        """Take a line, or a piece of one that is overlong."""
        starts, self._at_line_start = self._at_line_start, line.endswith(b"\n")
        if starts and line.startswith(self.token + b" "):
            word, rest = self.split(line[len(self.token) + 1 :].decode("utf-8", "replace").strip())
            if word not in self.marks:
                self.marks[word] = rest
                self._taker, self._held = self.takers.get(word), b""
                return
        if self._taker is not None:
            end = b"\n" if line.endswith(b"\n") else b""
            self._taker(self._held + line[: len(line) - len(end)])
            self._held = end

    def end(self) -> None:
        """No more is to come."""
        if self._taker is not None:
            self._taker(self._held)
        self._held = b""


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
