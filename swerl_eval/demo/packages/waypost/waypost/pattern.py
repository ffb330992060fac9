"""Patterns such as `/users/{id:int}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from waypost.converters import Converter, get_converter
from waypost.errors import PatternError, UrlError

_PARAMETER = re.compile(r"\{(?P<name>[A-Za-z_]\w*)(?::(?P<kind>\w+))?\}")


@dataclass(frozen=True)
class Parameter:
    """A named place in a pattern."""

    name: str
    converter: Converter


Part = str | Parameter


class Pattern:
    """A pattern that paths can be matched with and built from."""

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise PatternError(f"a pattern starts with a slash: {text!r}")
        self.text = text
        self._parts = list(_split(text))
        names = self.names
        if len(set(names)) != len(names):
            raise PatternError(f"a name is used twice: {text!r}")
        self._regex = re.compile(self._regex_source())

    @property
    def names(self) -> list[str]:
        """The names of the parameters, from left to right."""
        return [part.name for part in self._parts if isinstance(part, Parameter)]

    def match(self, path: str) -> dict[str, Any] | None:
        """The parameters of a path, or None if it is not of this pattern."""
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        return {
            part.name: part.converter.to_python(found[part.name])
            for part in self._parts
            if isinstance(part, Parameter)
        }

    def build(self, values: Mapping[str, Any]) -> str:
        """The path that has these parameters."""
        pieces = []
        for part in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            elif part.name in values:
                pieces.append(part.converter.to_url(values[part.name]))
            else:
                raise UrlError(f"{self.text} needs a value for {part.name}")
        return "".join(pieces)

    def _regex_source(self) -> str:
        source = ""
        for part in self._parts:
            if isinstance(part, str):
                source += part
            else:
                source += f"(?P<{part.name}>{part.converter.regex})"
        return source


def _split(text: str) -> Iterator[Part]:
    """Take a pattern apart into literal text and parameters."""
    position = 0
    for match in _PARAMETER.finditer(text):
        literal = text[position : match.start()]
        if literal:
            yield _check_literal(literal)
        yield Parameter(match["name"], get_converter(match["kind"] or "str"))
        position = match.end()
    if text[position:]:
        yield _check_literal(text[position:])


def _check_literal(literal: str) -> str:
    if "{" in literal or "}" in literal:
        raise PatternError(f"unpaired brace in {literal!r}")
    return literal
