"""Reads the floor of a solve rate as people write it (`41`, `41%`, `0.41`), and prints rates beside it."""

from __future__ import annotations

import re
from fractions import Fraction

from swerl_eval.core.errors import UsageError

_NUMBER = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)\s*(%?)", re.ASCII)
_MOST_DECIMALS = 6


def read_floor(text: str) -> Fraction:
    """Return a floor as an exact fraction. With `%`, or above 1, it is a percentage; below 1 it is a fraction.

    Raises:
        UsageError: It is no number, more than all, or 1, which can be read either way.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        message = f"--min-solve-rate {text}: write a percentage such as 41 or 41%, or a fraction such as 0.41"
        raise UsageError(message)
    value = Fraction(match[1])
    if value == 1 and not match[2]:
        message = f"--min-solve-rate {text} can be read as 1 % or as all: write 1% or 0.01, or 100% or 100"
        raise UsageError(message)
    floor = value / 100 if match[2] or value > 1 else value
    if floor > 1:
        message = f"--min-solve-rate {text} is more than all instances; write at most 100%"
        raise UsageError(message)
    return floor


def percent(rate: Fraction, beside: Fraction | None = None) -> str:
    """Return a rate as a percentage with one decimal, or with as many as tell it from the one that it is beside."""
    decimals = 1
    if beside is not None and rate != beside:
        while decimals < _MOST_DECIMALS and _shown(rate, decimals) == _shown(beside, decimals):
            decimals += 1
    return f"{_shown(rate, decimals)} %"


def floor_percent(floor: Fraction) -> str:
    """Return a floor as a percentage, with every decimal that it has."""
    decimals = 0
    while (100 * floor * 10**decimals).denominator != 1:
        decimals += 1
    return f"{_shown(floor, decimals)} %"


def _shown(rate: Fraction, decimals: int) -> str:
    """Return a percentage, exactly rounded to so many decimals."""
    scaled = round(100 * rate * 10**decimals)
    whole, part = divmod(scaled, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)
