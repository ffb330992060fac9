"""All longest matches of two texts at once, longest first: the search for texts that repeat themselves.

A rectangle (a part of each text) is settled by its longest match, which leaves two smaller rectangles; none of them
overlap, neither in the first text nor in the second. So all rectangles can be searched together, for matches of one
length, then of the next shorter length that has any: a pass a length instead of a search a match. There are at most
sqrt(2n) different lengths, since their matches take letters away.

In the sorted order of all suffixes of both texts, windows of a length that are equal stand side by side, with a longest
common prefix of at least that length between neighbours. A letter takes part in a pass only when some letter of the
other text shares that many letters with it, which its neighbours in that order tell.

Two texts of 500,000 letters take 0.3 to 4 s and up to 280 MB: all-equal letters, random letters, equally long lines,
pieces of every length (results/reward.md). 4 s is what a new length for nearly every match costs.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swerl_eval.core.reward.similarity import Block, Extend, Rect, parts_beside

Ints = npt.NDArray[np.signedinteger]
Flags = npt.NDArray[np.bool_]

FREE = -1
"""Owner of a letter that is in no rectangle any more."""


def sweep(a: str, b: str, rects: list[Rect], extend: Extend | None = None) -> list[Block]:
    """Matches of disjoint rectangles of two texts, as `similarity.matching_blocks` describes them; in any order."""
    shift = len(a) + 1  # one separator stands between the texts
    text = np.concatenate([_letters(a) + 2, [1], _letters(b) + 2, [0]])
    board = _Board(len(text), shift, extend)
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
    return board.blocks


def _letters(text: str) -> Ints:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


class _Suffixes:
    """The sorted suffixes of a text whose last letter is unique, by prefix doubling.

    `ranks[e][p]` numbers the windows of 2**e letters in sorted order; equal windows have equal numbers.
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
        """How many letters the suffixes at x and at y share, for pairs of different positions."""
        shared = np.zeros(len(x), np.int32)
        for exponent in range(len(self.ranks) - 2, -1, -1):
            rank = self.ranks[exponent]
            shared += (rank[x + shared] == rank[y + shared]).astype(np.int32) << exponent
        return shared


@dataclass(frozen=True)
class _Pairs:
    """Where windows of one length match: first-text positions in order, each with its span of `others`."""

    length: int
    positions: list[int]
    starts: list[int]
    ends: list[int]
    others: list[int]
    """Second-text positions; equal windows of one rectangle side by side and in order."""


class _Board:
    """Which letter belongs to which rectangle. Positions are those of the joined text: the second text is shifted."""

    def __init__(self, size: int, shift: int, extend: Extend | None) -> None:
        self.shift = shift
        self.owner = np.full(size, FREE, np.int32)
        self.end = np.zeros(size, np.int32)
        """Where the rectangle of a letter ends in that letter's text."""
        self.rects: list[Rect] = []
        self.blocks: list[Block] = []
        self.extend = extend

    def add(self, rect: Rect) -> None:
        """Hand the letters of a rectangle to it; one with an empty side can match nothing."""
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
        """Settle all matches of a length, rectangle by rectangle in the order of the first text."""
        owners = self.owner[pairs.positions].tolist()
        at = 0
        while at < len(owners):
            rect = self.rects[owners[at]]
            after = bisect_left(pairs.positions, rect[1], at)
            self._take_in(rect, pairs, at, after)
            at = after

    def _take_in(self, rect: Rect, pairs: _Pairs, at: int, after: int) -> None:
        """The first match in a rectangle, then the first in what lies right of it, and so on.

        What lies left of a match has none of this length: it would have been the first.
        """
        self._give(rect, FREE)
        while at < after:
            i = pairs.positions[at]
            found = bisect_left(pairs.others, rect[2] + self.shift, pairs.starts[at], pairs.ends[at])
            if found == pairs.ends[at]:
                at += 1
                continue
            block = (i, pairs.others[found] - self.shift, pairs.length)
            block = self.extend(block, rect) if self.extend else block
            self.blocks.append(block)
            left, rect = parts_beside(rect, block)
            self.add(left)
            at = bisect_left(pairs.positions, rect[0], at + 1, after)
        self.add(rect)


class _Search:
    """The letters still to be matched, in the order of their suffixes, one rectangle after another."""

    def __init__(self, suffixes: _Suffixes, board: _Board) -> None:
        self.suffixes = suffixes
        self.board = board
        self.positions = suffixes.order
        self.refresh()

    def refresh(self) -> None:
        """Drop settled letters, and find how long a match may begin at each of the others."""
        owner = self.board.owner[self.positions]
        alive = np.flatnonzero(owner != FREE)
        alive = alive[np.argsort(owner[alive], kind="stable")]
        self.positions, owner = self.positions[alive], owner[alive]
        self.shared = np.zeros(len(alive), np.int32)
        """Letters shared with the suffix before, 0 at the first of a rectangle."""
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
        """A length that no match exceeds."""
        return int(self.bound.max(initial=0))

    def is_worn(self) -> bool:
        """Whether passes have looked at so many letters that a refresh is cheap against it."""
        return self.scanned > 4 * len(self.positions)

    def longest(self, at_most: int) -> _Pairs | None:
        """The matches of the greatest length that has any, up to `at_most`."""
        high, low, step = at_most, at_most, 1
        pairs = None
        while low > 0 and not (pairs := self._matches(low)):
            high = low - 1
            low = max(low - step, min(high, 1))
            step *= 2
        while pairs and pairs.length < high:  # a match of a length is one of every shorter length
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
    """For each place the lowest of the values after the last marked place up to here; 0 where none is marked yet."""
    if not len(values):
        return values
    # Each stretch between marks is lowered below all before it, so that one running minimum serves them all.
    span = np.int64(values.max()) + 1
    offset = np.cumsum(marks) * span
    lowest = np.minimum.accumulate(np.where(marks, span - 1, values) - offset) + offset
    return np.where(offset > 0, lowest, 0)
