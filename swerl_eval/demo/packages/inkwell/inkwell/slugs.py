"""Ids for headings."""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD = re.compile(r"[^a-z0-9]+")


def slugify(title: str) -> str:
    """A lower-case ASCII form of a title, with hyphens between its words."""
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return _NOT_WORD.sub("-", ascii_title.lower()).strip("-") or "section"


class SlugRegistry:
    """Hands out the ids of one document."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def claim(self, title: str) -> str:
        """Return the id of the next heading that has this title."""
        slug = slugify(title)
        count = self._counts.get(slug, 0) + 1
        self._counts[slug] = count
        if count == 1:
            return slug
        return f"{slug}-{count}"
