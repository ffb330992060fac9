"""Inline markup: emphasis, code and links inside a line of text."""

from __future__ import annotations

import re

from inkwell.escape import escape_attribute, escape_text, is_safe_url

_INLINE = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*(?P<strong>[^*\s](?:[^*]*[^*\s])?)\*"
    r"|\b_(?P<emphasis>[^_\s](?:[^_]*[^_\s])?)_\b"
    r"|\[(?P<label>[^|\]]+)\|(?P<url>[^\]\s]+)\]"
)


def render_inline(text: str) -> str:
    """Turn one run of text into HTML."""
    pieces = []
    position = 0
    for match in _INLINE.finditer(text):
        pieces.append(escape_text(text[position : match.start()]))
        pieces.append(_render_match(match))
        position = match.end()
    pieces.append(escape_text(text[position:]))
    return "".join(pieces)


def plain_text(text: str) -> str:
    """The text without its inline markup, as for an id or a page title."""

    def words(match: re.Match[str]) -> str:
        return next(
            match[name]
            for name in ("code", "strong", "emphasis", "label")
            if match[name] is not None
        )

    return _INLINE.sub(words, text)


def _render_match(match: re.Match[str]) -> str:
    if match["code"] is not None:
        return f"<code>{escape_text(match['code'])}</code>"
    if match["strong"] is not None:
        return f"<strong>{render_inline(match['strong'])}</strong>"
    if match["emphasis"] is not None:
        return f"<em>{render_inline(match['emphasis'])}</em>"
    if not is_safe_url(match["url"]):
        return escape_text(match["label"])
    return f'<a href="{escape_attribute(match["url"])}">{escape_text(match["label"])}</a>'
