"""The kinds of parameters: what they match, and how to read and write them."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from waypost.errors import PatternError


class Converter:
    """The base of all kinds of parameters."""

    regex = "[^/]+"

    def to_python(self, text: str) -> Any:
        """Turn the matched part of a path into the value for the handler."""
        return unquote(text)

    def to_url(self, value: Any) -> str:
        """Turn a value into the part of a path that stands for it."""
        return str(value)


class StringConverter(Converter):
    """One path segment."""


class IntConverter(Converter):
    """A number without a sign."""

    regex = "[0-9]+"

    def to_python(self, text: str) -> int:
        return int(text)

    def to_url(self, value: Any) -> str:
        number = int(value)
        if number < 0:
            raise ValueError(f"{number} is negative")
        return str(number)


class SlugConverter(Converter):
    """Lower-case words with hyphens between them."""

    regex = "[a-z0-9]+(?:-[a-z0-9]+)*"


class PathConverter(Converter):
    """The rest of a path, slashes included."""

    regex = ".+"


_CONVERTERS: dict[str, Converter] = {
    "str": StringConverter(),
    "int": IntConverter(),
    "slug": SlugConverter(),
    "path": PathConverter(),
}


def get_converter(kind: str) -> Converter:
    """Look up a kind of parameter."""
    try:
        return _CONVERTERS[kind]
    except KeyError:
        known = ", ".join(sorted(_CONVERTERS))
        raise PatternError(f"unknown kind {kind!r}; known are {known}") from None
