"""Codings of text: files as their readers see them, and texts that UTF-8 can carry.

A snapshot gives bytes as UTF-8 with surrogate escapes, and diffs are made of that. `legible` turns such a text into
what is shown to a model and searched: without a byte order mark, decoded by the coding that a Python source declares.
`stored` is the way back. For plain UTF-8 both change nothing.

The declaration counts in both directions, so an edit that changes it changes the bytes of the whole file. A file that
cannot be read by its own declaration is left as it is.
"""

from __future__ import annotations

import codecs
import re

BOM = "\ufeff"
_DECLARATION = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""A declaration by PEP 263: in the first line, or in the second one after a blank line or a comment."""
_NO_CODE_BEFORE = re.compile(rb"[ \t\f]*(?:#.*)?\r?")
_QUADRATIC = frozenset({"punycode", "idna"})
"""Codecs that take quadratic time. No source is written in them, but an answer can declare them."""


def declared_coding(data: bytes) -> str:
    """Return Python's name of the declared codec: `utf-8` without a declaration, "" for an unknown codec."""
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
    """Return a snapshot's text as a model is shown it and repeats it."""
    bare = text.removeprefix(BOM)
    decoded = None if bare != text else _decoded(text)
    return bare if decoded is None else decoded


def stored(text: str, original: str | None) -> str:
    """Return an edited text in the snapshot's form.

    Args:
        text: The text after the edit, as `legible` gives it.
        original: The snapshot's text before the edit; None for a new file.

    Raises:
        UnicodeEncodeError: The file's coding lacks a character of the text.
    """
    coding = declared_coding(text.encode("utf-8", "surrogateescape"))
    if original is not None and original.startswith(BOM):
        return BOM + text
    if coding in {"utf-8", ""} or (original is not None and _decoded(original) is None):
        return text
    return text.encode(coding).decode("utf-8", "surrogateescape")


def _decoded(text: str) -> str | None:
    """Decode a snapshot's text by its declared coding; None where that fails or cannot be reversed."""
    data = text.encode("utf-8", "surrogateescape")
    coding = declared_coding(data)
    if coding == "utf-8":
        return text
    try:
        decoded = data.decode(coding)
        return decoded if decoded.encode(coding) == data else None
    except (LookupError, UnicodeError):
        return None


def sendable(text: str) -> str:
    """Replace what UTF-8 cannot carry by `?`: lone surrogates, from bytes of a repository or a model's tokens."""
    return sendable_bytes(text).decode("utf-8")


def sendable_bytes(text: str) -> bytes:
    """Encode a text as UTF-8, with `?` for lone surrogates."""
    return text.encode("utf-8", "replace")
