"""Files as their readers see them: without a byte order mark, decoded by the coding that a Python source declares.

A snapshot gives bytes as UTF-8 with surrogate escapes, and diffs are made of that. `legible` turns such a text into
what is shown to a model and searched; `stored` is the way back. For plain UTF-8 both change nothing.

The declaration counts in both directions, so an edit that changes it changes the bytes of the whole file. A file that
cannot be read by its own declaration is left as it is.
"""

from __future__ import annotations

import codecs
import re

BOM = "\ufeff"
_DECLARATION = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""PEP 263. In the first line, or in the second one after a blank line or a comment."""
_NO_CODE_BEFORE = re.compile(rb"[ \t\f]*(?:#.*)?\r?")
_QUADRATIC = frozenset({"punycode", "idna"})
"""Codecs whose time grows with the square of the text. No source is written in them, but an answer can declare them."""


def declared_coding(data: bytes) -> str:
    """The codec that a source declares, by Python's name for it; `utf-8` without a declaration, "" for none known."""
    first, _, rest = data.partition(b"\n")
    declaration = _DECLARATION.match(first.removeprefix(codecs.BOM_UTF8))
    if declaration is None and _NO_CODE_BEFORE.fullmatch(first.removeprefix(codecs.BOM_UTF8)):
        declaration = _DECLARATION.match(rest.partition(b"\n")[0])
    if declaration is None:
        return "utf-8"
    try:
        name = codecs.lookup(declaration[1].decode("ascii")).name
    except (LookupError, UnicodeError):
        return ""
    return "" if name in _QUADRATIC else name.removesuffix("-sig")


def legible(text: str) -> str:
    """A snapshot's text as a model is to see it and to repeat it."""
    bare = text.removeprefix(BOM)
    decoded = None if bare != text else _decoded(text)
    return bare if decoded is None else decoded


def stored(text: str, original: str | None) -> str:
    """An edited text in the snapshot's form; `original` is what the snapshot gave, None for a new file.

    Raises `UnicodeEncodeError` for a character that the file's coding cannot carry.
    """
    coding = declared_coding(text.encode("utf-8", "surrogateescape"))
    if original is not None and original.startswith(BOM):
        return BOM + text
    if coding in {"utf-8", ""} or (original is not None and _decoded(original) is None):
        return text
    return text.encode(coding).decode("utf-8", "surrogateescape")


def _decoded(text: str) -> str | None:
    """A snapshot's text by its declared coding; None where that does not read it."""
    data = text.encode("utf-8", "surrogateescape")
    coding = declared_coding(data)
    if coding == "utf-8":
        return text
    try:
        decoded = data.decode(coding)
        return decoded if decoded.encode(coding) == data else None
    except (LookupError, UnicodeError):
        return None
