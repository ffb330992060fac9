"""Make text safe to be put into HTML."""

from __future__ import annotations

_SCHEMES = ("http", "https", "mailto")


def escape_text(text: str) -> str:
    """Escape text that stands between tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_attribute(text: str) -> str:
    """Escape text that stands in a double-quoted attribute."""
    return escape_text(text).replace('"', "&quot;")


def is_safe_url(url: str) -> bool:
    """Whether a link may point to this address: relative or of a known scheme."""
    scheme, colon, _ = url.partition(":")
    if not colon or "/" in scheme or "#" in scheme or "?" in scheme:
        return True
    return scheme.lower() in _SCHEMES
