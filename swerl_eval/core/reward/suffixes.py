"""Finds all longest matches of two texts at once, longest first: the search for texts that repeat themselves.

A rectangle (a part of each text) is settled by its longest match, which leaves two smaller rectangles. No two
rectangles overlap, neither in the first text nor in the second. So all of them are searched together: for matches of
one length, then of the next shorter length that has any. That is one pass for each length instead of one search for
each match. There are at most sqrt(2n) different lengths, since their matches use up characters.

In the sorted order of all suffixes of both texts, equal windows of a length stand side by side, and neighbours share a
prefix of at least that length. A position takes part in a pass only when some position of the other text shares that
many characters with it; its neighbours in the sorted order tell.

Two texts of 500,000 characters take 0.3 to 4 s and up to 280 MB, whatever they are: one character repeated, random
characters, equally long lines, pieces of every length (results/reward.md). It takes 4 s when nearly every match has a
length of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swerl_eval.core.reward.matches import Match, Rect, Widen, parts_beside

Ints = npt.NDArray[np.signedinteger]
Flags = npt.NDArray[np.bool_]

FREE = -1
"""Owner of a position that is in no rectangle any more."""


def sweep(a: str, b: str, rects: list[Rect], widen: Widen | None = None) -> list[Match]:
    """Return the matches of disjoint rectangles of two texts, as `similarity.matching_blocks` does, in any order."""
    shift = len(a) + 1  # one separator stands between the texts
    text = np.concatenate([_code_points(a) + 2, [1], _code_points(b) + 2, [0]])
    board = _Board(len(text), shift, widen)
    for rect in rects:
        board.add(rect)
    search = _Search(_Suffixes(text), board)
    length = search.highest()
    while pairs := search.longest(length):
        board.take(pairs)
        length = pairs.length - 1
        if search.is_worn():
            search.refresh()
            length = min(length, search.highest())
    return board.matches


def _code_points(text: str) -> Ints:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


class _Suffixes:
    """The sorted suffixes of a text whose last character is unique, by prefix doubling.

    `ranks[e][p]` numbers the windows of 2**e characters in sorted order; equal windows have equal numbers.
    """

    def __init__(self, text: Ints) -> None:
        size, width = len(text), 1
        self.ranks = [text.astype(np.int32)]
        base = max(size, int(text.max()) + 1)
        while True:
            rank = self.ranks[-1]
            key = rank * np.int64(base)
            key[:-width] += rank[width:]
            self.order = np.argsort(key).astype(np.int32)
            ordered = key[self.order]
            rank = np.empty(size, np.int32)
            rank[self.order[0]] = 0
            rank[self.order[1:]] = np.cumsum(ordered[1:] != ordered[:-1], dtype=np.int32)
            self.ranks.append(rank)
            width *= 2
            if rank[self.order[-1]] == size - 1:
                return

    def common(self, x: Ints, y: Ints) -> Ints:
        """Return how many characters the suffixes at x and at y share, for pairs of different positions."""
        shared = np.zeros(len(x), np.int32)
        for exponent in range(len(self.ranks) - 2, -1, -1):
            rank = self.ranks[exponent]
            shared += (rank[x + shared] == rank[y + shared]).astype(np.int32) << exponent
        return shared


@dataclass(frozen=True)
class _Pairs:
    """Where windows of one length match: positions in the first text, in order, each with its span of `others`."""

    length: int
    positions: list[int]
    starts: list[int]
    ends: list[int]
    others: list[int]
    """Positions in the second text; those of equal windows of one rectangle stand side by side and in order."""


class _Board:
    """Which position belongs to which rectangle. Positions are those of the joined text: the second text is shifted."""

    def __init__(self, size: int, shift: int, widen: Widen | None) -> None:
        self.shift = shift
        self.owner = np.full(size, FREE, np.int32)
        self.end = np.zeros(size, np.int32)
        """Where the rectangle of a position ends, in the text of that position."""
        self.rects: list[Rect] = []
        self.matches: list[Match] = []
        self.widen = widen

    def add(self, rect: Rect) -> None:
        """Give a rectangle its positions; one with an empty side is dropped, since nothing in it can match."""
        a_start, a_end, b_start, b_end = rect
        if a_start < a_end and b_start < b_end:
            self._give(rect, len(self.rects))
            self.end[a_start:a_end] = a_end
            self.end[b_start + self.shift : b_end + self.shift] = b_end + self.shift
            self.rects.append(rect)

    def _give(self, rect: Rect, owner: int) -> None:
        a_start, a_end, b_start, b_end = rect
        self.owner[a_start:a_end] = self.owner[b_start + self.shift : b_end + self.shift] = owner

    def take(self, pairs: _Pairs) -> None:
        """Settle all matches of one length, rectangle by rectangle in the order of the first text."""
        owners = self.owner[pairs.positions].tolist()
        at = 0
        while at < len(owners):
            rect = self.rects[owners[at]]
            after = bisect_left(pairs.positions, rect[1], at)
            self._take_in(rect, pairs, at, after)
            at = after

    def _take_in(self, rect: Rect, pairs: _Pairs, at: int, after: int) -> None:
        """Settle the first match in a rectangle, then the first one right of it, and so on.

        The part left of a match has none of this length: it would have been the first.
        """
        self._give(rect, FREE)
        while at < after:
            i = pairs.positions[at]
            other = bisect_left(pairs.others, rect[2] + self.shift, pairs.starts[at], pairs.ends[at])
            if other == pairs.ends[at]:
                at += 1
                continue
            match = (i, pairs.others[other] - self.shift, pairs.length)
            match = self.widen(match, rect) if self.widen else match
            self.matches.append(match)
            left, rect = parts_beside(rect, match)
            self.add(left)
            at = bisect_left(pairs.positions, rect[0], at + 1, after)
        self.add(rect)


class _Search:
    """The positions still to be matched, in the order of their suffixes, one rectangle after another."""

    def __init__(self, suffixes: _Suffixes, board: _Board) -> None:
        self.suffixes = suffixes
        self.board = board
        self.positions = suffixes.order
        self.refresh()

    def refresh(self) -> None:
        """Drop settled positions, and find how long a match at each of the others can be."""
        owner = self.board.owner[self.positions]
        alive = np.flatnonzero(owner != FREE)
        alive = alive[np.argsort(owner[alive], kind="stable")]
        self.positions, owner = self.positions[alive], owner[alive]
        self.shared = np.zeros(len(alive), np.int32)
        """Characters shared with the suffix before; 0 at the first of a rectangle."""
        if len(alive):
            common = self.suffixes.common(self.positions[:-1], self.positions[1:])
            self.shared[1:] = np.where(owner[1:] == owner[:-1], common, 0)
        room = self.board.end[self.positions] - self.positions
        self.bound = np.minimum(self._shared_with_other_text(), room)
        self.scanned = 0

    def _shared_with_other_text(self) -> Ints:
        second = self.positions >= self.board.shift
        after = np.append(self.shared[1:], 0)[::-1]
        nearest = []
        for others in (second, ~second):
            before = _lowest_since(others, self.shared)
            behind = _lowest_since(others[::-1], after)[::-1]
            nearest.append(np.maximum(before, behind))
        return np.where(second, nearest[1], nearest[0])

    def highest(self) -> int:
        """Return a length that no match exceeds."""
        return int(self.bound.max(initial=0))

    def is_worn(self) -> bool:
        """Whether passes have looked at so many positions that a refresh is cheap in comparison."""
        return self.scanned > 4 * len(self.positions)

    def longest(self, at_most: int) -> _Pairs | None:
        """Return the matches of the greatest length that has any, up to `at_most`."""
        high, low, step = at_most, at_most, 1
        pairs = None
        while low > 0 and not (pairs := self._matches(low)):
            high = low - 1
            low = max(low - step, min(high, 1))
            step *= 2
        while pairs and pairs.length < high:  # where a length has a match, every shorter length has one
            middle = (pairs.length + high + 1) // 2
            longer = self._matches(middle)
            if longer:
                pairs = longer
            else:
                high = middle - 1
        return pairs

    def _matches(self, length: int) -> _Pairs | None:
        chosen = np.flatnonzero(self.bound >= length)
        self.scanned += len(chosen)
        position = self.positions[chosen]
        owner = self.board.owner[position]
        usable = (owner != FREE) & (self.board.end[position] - position >= length)
        position, owner = position[usable], owner[usable]
        window = np.cumsum(self.shared < length)[chosen[usable]]
        key = owner * np.int64(len(self.positions) + 1) + window
        second = position >= self.board.shift
        others, other_keys = position[second], key[second]
        by_key = np.lexsort((others, other_keys))
        others, other_keys = others[by_key], other_keys[by_key]
        firsts, keys = position[~second], key[~second]
        starts, ends = np.searchsorted(other_keys, keys), np.searchsorted(other_keys, keys, side="right")
        hits = np.flatnonzero(ends > starts)
        if not len(hits):
            return None
        hits = hits[np.argsort(firsts[hits])]
        return _Pairs(length, firsts[hits].tolist(), starts[hits].tolist(), ends[hits].tolist(), others.tolist())


def _lowest_since(marks: Flags, values: Ints) -> Ints:
    """Return for each place the lowest value after the last marked place, up to here; 0 before the first mark."""
    if not len(values):
        return values
    # Each stretch between marks is moved below all before it, so that one running minimum serves them all.
    span = np.int64(values.max()) + 1
    offset = np.cumsum(marks) * span
    lowest = np.minimum.accumulate(np.where(marks, span - 1, values) - offset) + offset
    return np.where(offset > 0, lowest, 0)
