"""What tells a list from prose: the text before its first entry, the text between two entries, and JSON."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
"""Characters without a width, as a table for `str.translate` that removes them."""
_BULLET = re.compile(r"\s*(?:(?:[-*+•>]|#{1,6}|\[[ xX]\]|\(?\d{1,3}[.)])\s+)*")
_WORDS = re.compile(r"[^\W\d_]+")
_NEGATIONS = frozenset({"no", "none", "not", "never", "neither", "nor"})
_CONJUNCTION = re.compile(r"\b(?:and|or|plus)$")
_OPENING = "*_`\"'[({<| \t"
"""What may stand right before an entry."""
_LONGEST_PREFIX = 1000
_MOST_LABEL_WORDS = 4


def has_words(text: str) -> bool:
    """Whether a text holds any letters."""
    return _WORDS.search(text) is not None


def bullet_end(line: str) -> int:
    """Return where the text after a line's bullets, heading marks and numbers begins."""
    bullet = _BULLET.match(line)
    return bullet.end() if bullet else 0


def leads(prefix: str, *, code: bool) -> bool:
    """Whether the text before an entry on its line is a bullet, a label or nothing, rather than a sentence.

    Args:
        prefix: The text before the entry.
        code: Whether the line may be code, where `#` begins a comment instead of a heading.
    """
    if len(prefix) > _LONGEST_PREFIX or (code and prefix.strip() in {"#", "//"}):
        return False
    bare = prefix[bullet_end(prefix) :].rstrip()
    words = _WORDS.findall(bare)
    return not words or (_is_label(bare) and len(words) <= _MOST_LABEL_WORDS and not _negates(words))


def _is_label(bare: str) -> bool:
    """Whether a text ends as a label does: `File:`, `|`, `->`, a dash, `files = [`, or a link's `[file](`."""
    label = bare.rstrip(_OPENING.replace("|", ""))
    bracket = bare[len(label) :].strip("*_`\"' \t")
    is_assignment = label[-1:] == "=" and bracket[:1] in {"[", "(", "{"}
    return label[-1:] in set(":|>-\u2192\u2013\u2014") or is_assignment or bare.endswith("](")


def _negates(words: list[str]) -> bool:
    return not _NEGATIONS.isdisjoint(map(str.lower, words))


def goes_on(gap: str) -> bool:
    """Whether two entries with this text between them are a list: no words but "and", or a comma after a remark."""
    before = _CONJUNCTION.sub("", gap.rstrip(_OPENING)).rstrip("`'\"*)]}> \t")
    return not has_words(before) or before.endswith((",", ";"))


def json_strings(text: str) -> Iterator[str]:
    """Yield the strings of a JSON list or object in order, keys too; nothing for any other text."""
    bare = text.strip()
    waiting: list[Any] = []
    if bare.startswith(("[", "{")):
        with contextlib.suppress(ValueError, RecursionError):
            waiting.append(json.loads(bare))
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            waiting += reversed([part for pair in item.items() for part in pair])
