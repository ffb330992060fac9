"""A job's output, cut at the lines that carry its token (`core.scripts`). Fed in pieces, so that its size is no matter.

What stands before the first such line belongs to the section "". The line end right before a token line is the token
line's own: it is printed with one, so that it starts a line whatever the tests printed last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Take = Callable[[bytes], None]


@dataclass
class Sections:
    """Hands each section's bytes to whoever takes them; sections that nobody takes are dropped."""

    token: bytes
    takers: dict[str, Take]
    """By the word of the token line that opens the section."""
    marks: dict[str, str] = field(default_factory=dict)
    """What stood behind the word of each token line. The first of a word counts."""
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
            word, _, rest = line[len(self.token) + 1 :].decode("utf-8", "replace").strip().partition(" ")
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
