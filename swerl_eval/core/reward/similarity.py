"""The similarity of two texts, exactly as difflib gives it, without difflib's cost.

The measure is Ratcliff and Obershelp's: take the longest substring that both texts have, then do the same to its left
and to its right. The ratio is twice the number of matched characters over the number of all characters.
`difflib.SequenceMatcher(None, a, b, autojunk=False)` looks at every pair of equal characters for each of these
substrings, which is quadratic in the length at least: minutes for two diffs of 100 KB.

Two searches find the same substrings here. The quick one asks `str.find` for windows that are one character longer than
the best match so far. It is by far the faster one for texts that are alike or short, but repetitive texts defeat it, so
it has a budget. When that is spent, `suffixes.sweep` does the rest; it needs numpy and its time is bounded.
"""

from __future__ import annotations

from swerl_eval.core.reward.matches import Match, Rect, Widen, common_prefix, parts_beside

# One `str.find` costs about as much as scanning this many characters (0.2 µs at 1 to 4 characters a nanosecond).
CALL = 200
# The budget in characters scanned. Alike patches need 16 for each of theirs (median of 623), at most 261; `sweep` costs
# about 2 µs a character and 1 ms to begin with. So giving up costs no more than having started with `sweep`.
BUDGET_PER_CHARACTER = 500
BUDGET = 1_000_000


def ratio(a: str, b: str) -> float:
    """Return the similarity of two texts, from 0 to 1; two empty texts are alike.

    Equal to `difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()` in every bit.
    """
    if a == b:
        return 1.0
    matched = sum(size for _, _, size in matching_blocks(a, b))
    return 2.0 * matched / (len(a) + len(b))


def matching_blocks(a: str, b: str, widen: Widen | None = None) -> list[Match]:
    """Find the longest match of the whole texts, then of the parts left and right of it, and so on.

    Of equally long matches the one that starts first in `a` is taken, then the one that starts first in `b`, as difflib
    does.

    Args:
        widen: Makes each match longer by characters that cannot begin a match; they are not matched again.

    Returns:
        The matches, in no fixed order.
    """
    matches: list[Match] = []
    rects: list[Rect] = [(0, len(a), 0, len(b))]
    budget = BUDGET + BUDGET_PER_CHARACTER * (len(a) + len(b))
    while rects:
        rect = rects.pop()
        match, budget = _longest_match(a, b, rect, budget)
        if budget < 0:
            from swerl_eval.core.reward.suffixes import sweep  # loads numpy, which few texts need

            return matches + sweep(a, b, [*rects, rect], widen)
        if not match[2]:
            continue
        if widen:
            match = widen(match, rect)
        matches.append(match)
        rects.extend(part for part in parts_beside(rect, match) if part[0] < part[1] and part[2] < part[3])
    return matches


def _longest_match(a: str, b: str, rect: Rect, budget: int) -> tuple[Match, int]:
    """Find the longest match within a rectangle by `str.find`.

    The search walks `a` and looks for a window one character longer than the best match so far, so the first one that
    it meets is the one that starts first. All windows that start at i, i+1, ..., i+step-1 share the characters from
    i+step-1 to the end of the window at i. If `b` lacks these, none of the windows matches, and `step` positions are
    done with at once. If `b` has them, the step is halved until it is one window, which then matches.

    Returns:
        The match, and what is left of the budget; less than 0 means that the search gave up.
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
            # `find` gives the first j, so a longer window at this i can only match at this j or a later one
            best_i, best_j = i, j
            best += 1
            best += common_prefix(a, b, (i + best, a_end, j + best, b_end))
            longest_step = best // 2 + 1
    return (best_i, best_j, best), budget
