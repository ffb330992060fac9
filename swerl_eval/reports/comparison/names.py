"""Names in a comparison's output. They come from files, so they are data: no markup, no control characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Mark = Callable[[str], str]
"""Turns a name into what is printed of it."""


def printable(name: str) -> str:
    """Return a name on one line, for terminals and messages: what cannot be printed is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def code(name: str) -> str:
    """Return a name as a code span of Markdown, also within a table: nothing in it is markup."""
    text = printable(name).replace("|", "\\|")  # a table would end its cell there
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if not text.strip(" ") or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def listed(names: Sequence[str], mark: Mark, most: int | None = None) -> str:
    """Return names, comma-separated; at most so many, and how many more there are."""
    shown = names if most is None else names[:most]
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return ", ".join(map(mark, shown)) + more
