"""What both searches for common substrings work with: rectangles, matches, and how far a match can be widened."""

from __future__ import annotations

from collections.abc import Callable

Rect = tuple[int, int, int, int]
"""A part of each text, to be matched with each other: start and end in the first, start and end in the second."""
Match = tuple[int, int, int]
"""Two equal substrings: start in the first text, start in the second, length."""
Widen = Callable[[Match, Rect], Match]
"""Makes a match longer within its rectangle."""


def parts_beside(rect: Rect, match: Match) -> tuple[Rect, Rect]:
    """Return what a match leaves of its rectangle: the part before it in both texts, and the part after it."""
    (a_start, a_end, b_start, b_end), (i, j, size) = rect, match
    return (a_start, i, b_start, j), (i + size, a_end, j + size, b_end)


def common_prefix(a: str, b: str, rect: Rect) -> int:
    """Return how many equal characters the two parts begin with."""
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
    """Return how many equal characters the two parts end with."""
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
