"""The similarity of two texts, exactly as difflib gives it, without difflib's cost.

Ratcliff and Obershelp's measure: take the longest substring that both texts have, then do the same to its left and to
its right; twice the matched letters over all letters is the ratio. For each of these substrings
`difflib.SequenceMatcher(None, a, b, autojunk=False)` walks every pair of equal letters, which is quadratic in the
length, and more with many of them: minutes for two diffs of 100 KB.

Two searches for the same substrings do it here. The first asks `str.find` for windows that are one letter longer than
the best match so far; it wins by far on texts that are alike, or short. Repetitive texts defeat it, so it works on a
budget; what is left when that is spent goes to `suffixes.sweep`, which needs numpy and has a bound.
"""

from __future__ import annotations

from collections.abc import Callable

Rect = tuple[int, int, int, int]
"""A part of each text, to be matched with each other: start and end in the first, start and end in the second."""
Block = tuple[int, int, int]
"""A match: start in the first text, start in the second, length."""
Extend = Callable[[Block, Rect], Block]
"""Makes a match longer within its rectangle."""

# One `str.find` costs about as much as scanning this many letters (0.2 µs at 1 to 4 letters a nanosecond).
CALL = 200
# The budget in letters scanned: alike patches need 16 a letter (median of 623), at most 261; `sweep` costs about
# 2 µs a letter and 1 ms to begin with, so that giving up costs no more than having started there.
BUDGET_PER_LETTER = 500
BUDGET = 1_000_000


def ratio(a: str, b: str) -> float:
    """Similarity of two texts in [0, 1]; two empty texts are alike.

    Equal to `difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()` in every bit.
    """
    if a == b:
        return 1.0
    matched = sum(size for _, _, size in matching_blocks(a, b))
    return 2.0 * matched / (len(a) + len(b))


def matching_blocks(a: str, b: str, extend: Extend | None = None) -> list[Block]:
    """The longest match of the whole texts, then of what lies left of it, right of it, and so on; in no fixed order.

    Among equally long matches the one that starts first in `a` is taken, then the one that starts first in `b`, as
    difflib does. `extend` may widen each match by letters that cannot begin one; what it adds is not matched again.
    """
    blocks: list[Block] = []
    rects: list[Rect] = [(0, len(a), 0, len(b))]
    budget = BUDGET + BUDGET_PER_LETTER * (len(a) + len(b))
    while rects:
        rect = rects.pop()
        block, budget = _longest_match(a, b, rect, budget)
        if budget < 0:
            from swerl_eval.core.reward.suffixes import sweep  # numpy is loaded only when it is needed

            return blocks + sweep(a, b, [*rects, rect], extend)
        if not block[2]:
            continue
        if extend:
            block = extend(block, rect)
        blocks.append(block)
        rects.extend(part for part in parts_beside(rect, block) if part[0] < part[1] and part[2] < part[3])
    return blocks


def parts_beside(rect: Rect, block: Block) -> tuple[Rect, Rect]:
    """What a match leaves of its rectangle: the part before it in both texts, and the part after it."""
    (a_start, a_end, b_start, b_end), (i, j, size) = rect, block
    return (a_start, i, b_start, j), (i + size, a_end, j + size, b_end)


def _longest_match(a: str, b: str, rect: Rect, budget: int) -> tuple[Block, int]:
    """The longest match within a rectangle, and what is left of the budget (less than 0: given up).

    The search walks `a` and looks for a window one letter longer than the best so far, so the first one found is the
    one that starts first. All windows that start at i, i+1, ..., i+step-1 share the letters from i+step-1 to the end of
    the one that starts at i. If `b` does not have those, no such window matches and `step` positions are done with at
    once; if it has them, the step is halved until it is one window, which then matches.
    """
    a_start, a_end, b_start, b_end = rect
    cost = CALL + b_end - b_start
    find = b.find
    best_i, best_j, best = a_start, b_start, 0
    i, step, longest_step = a_start, 1, 1
    while i + best < a_end:
        budget -= cost
        if budget < 0:
            break
        j = find(a[i + step - 1 : i + best + 1], b_start, b_end)
        if j < 0:
            i += step
            step = step * 2 if step * 2 < longest_step else longest_step  # min() would cost a tenth of the search
        elif step > 1:
            step //= 2
        else:
            # find gives the first j; a longer window at this i can only match at this j or a later one
            best_i, best_j = i, j
            best += 1
            best += common_prefix(a, b, (i + best, a_end, j + best, b_end))
            longest_step = best // 2 + 1
    return (best_i, best_j, best), budget


def common_prefix(a: str, b: str, rect: Rect) -> int:
    """With how many equal letters the two parts begin."""
    i, a_end, j, b_end = rect
    start, step = i, 16
    while step:
        if i + step <= a_end and j + step <= b_end and a[i : i + step] == b[j : j + step]:
            i += step
            j += step
            step *= 2
        else:
            step //= 2
    return i - start


def common_suffix(a: str, b: str, rect: Rect) -> int:
    """With how many equal letters the two parts end."""
    a_start, i, b_start, j = rect
    end, step = i, 16
    while step:
        if i - step >= a_start and j - step >= b_start and a[i - step : i] == b[j - step : j]:
            i -= step
            j -= step
            step *= 2
        else:
            step //= 2
    return end - i
