"""A table of the unique lines of many diffs, each with its highlighting: candidates that are alike share their lines.

A line is highlighted alone, since a hunk may begin anywhere in a file. So the inner lines of a long string are
highlighted as code.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import Any

from pygments.lexer import Lexer, inherit
from pygments.lexers import get_lexer_by_name
from pygments.lexers.python import PythonLexer
from pygments.regexopt import regex_opt
from pygments.token import Name, Text, Token

from swerl_eval.core.codings import sendable
from swerl_eval.core.diffs import unquoted

MOST_CHARACTERS = 500
"""Of a line; of a longer one the beginning is shown. Some lexers take quadratic time in a line."""
MOST_LINES = 2000
"""Of one diff or script; of a longer one the beginning is shown."""

_CLASS_OF: dict[Any, str] = {
    Token.Keyword: "k",
    Token.Keyword.Constant: "kc",
    Token.Operator.Word: "k",
    Token.Literal.String: "s",
    Token.Literal.String.Escape: "se",
    Token.Literal.String.Interpol: "se",
    Token.Literal.Number: "m",
    Token.Comment: "c",
    Token.Name.Function: "nf",
    Token.Name.Class: "nc",
    Token.Name.Decorator: "nd",
    Token.Name.Builtin: "nb",
    Token.Name.Builtin.Pseudo: "",
    Token.Name.Exception: "nb",
    Token.Name.Tag: "nt",
    Token.Name.Attribute: "na",
    Token.Generic.Heading: "gh",
    Token.Generic.Subheading: "gh",
}
"""The class of a token's type, or of the nearest of its parents that has one. All others are plain."""
TOKEN_CLASSES: tuple[str, ...] = tuple(dict.fromkeys(["", *_CLASS_OF.values()]))
"""Names of the classes by number; 0 is plain."""

_LEXERS: dict[str, str] = {
    ".py": "python", ".pyi": "python", ".pyx": "cython", ".pxd": "cython",
    ".c": "c", ".h": "c", ".cpp": "cpp", ".js": "javascript", ".css": "css", ".html": "html+django", ".xml": "xml",
    ".rst": "rst", ".md": "markdown", ".json": "json", ".yml": "yaml", ".yaml": "yaml",
    ".toml": "toml", ".cfg": "ini", ".ini": "ini", ".sh": "bash",
}  # fmt: skip
"""Pygments' lexer by the end of a file's name. It knows hundreds more, and some take exponential time on hostile lines.
An answer can name any file, so others are not highlighted."""

_SPECIAL = regex_opt(sorted({*dir(builtins), *keyword.kwlist, *keyword.softkwlist}), suffix=r"\b")
_PLAIN = [(r"[\s(),.:=\[\]{}]+", Text), (rf"(?!__|{_SPECIAL})[^\W\d]\w*\b(?![\"'])", Name)]


class _QuickPythonLexer(PythonLexer):  # type: ignore[misc]
    """Finds plain tokens first, which are most of them: a line takes 40 microseconds in place of 120."""

    tokens = {"root": [*_PLAIN, inherit], "expr": [*_PLAIN, inherit]}  # noqa: RUF012 -- as Pygments declares it


_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
Line = tuple[str, tuple[int, ...]]
"""A text, and the spans that cover it from its start: length, class, length, class, ... Lengths are those of
JavaScript, in units of UTF-16. What follows the last span is plain."""


class LineTable:
    """Unique lines, numbered in the order in which they first come."""

    def __init__(self) -> None:
        self._numbers: dict[Line, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def diff(self, patch: str, most: int = MOST_LINES) -> list[int]:
        """Add the lines of a unified diff, `most` at most, and return their numbers."""
        lines, rest = _split(patch, most)
        return self._add([*_diff_lines(lines), *rest])

    def script(self, source: str, most: int = MOST_LINES) -> list[int]:
        """Add the lines of a Python source, `most` at most, and return their numbers."""
        lines, rest = _split(source, most)
        return self._add([*((line, 0, "python") for line in lines), *rest])

    def lines(self) -> list[Line]:
        """Return the lines by number."""
        return list(self._numbers)

    def _add(self, lines: list[_Unread]) -> list[int]:
        return [self._numbers.setdefault(_highlighted(*line), len(self._numbers)) for line in lines]


_Unread = tuple[str, int, str]
"""A line, the length of what stands before its code, and the lexer; "" where it has no code."""


def _split(text: str, most: int) -> tuple[list[str], list[_Unread]]:
    """Split a text at its line ends, as far as it is shown; and say in a line of its own what is not."""
    lines = text.split("\n", most)
    rest = lines.pop() if len(lines) > most else ""
    if not lines[-1]:
        lines.pop()
    more = rest.removesuffix("\n").count("\n") + 1
    return lines, [(f"… {more} more lines are not shown", 0, "")] if rest else []


def _diff_lines(lines: list[str]) -> Iterator[_Unread]:
    """Tell the code of a diff from its headers."""
    old = new = 0
    lexer = ""
    for line in lines:
        if old > 0 or new > 0:
            old -= line[:1] in {"-", " ", ""}
            new -= line[:1] in {"+", " ", ""}
            yield line, 1, "" if line.startswith("\\") else lexer
            continue
        if hunk := _HUNK.match(line):
            old, new = (1 if count is None else int(count[:9]) for count in hunk.groups())
        elif line.startswith(("--- ", "+++ ")) and not line.startswith("/dev/null", 4):
            path = unquoted(line[4:].partition("\t")[0].rstrip())
            lexer = _LEXERS.get(PurePosixPath(path).suffix.lower(), "")
        yield line, 0, ""


@lru_cache(maxsize=100_000)
def _highlighted(line: str, start: int, lexer: str) -> Line:
    """Cut a line to what is shown, and highlight it from a place on; without a lexer it is plain."""
    text = sendable(line)
    cut = text[:MOST_CHARACTERS]
    note = f" … {len(text) - len(cut)} more characters" if len(cut) < len(text) else ""
    if not lexer:
        return cut + note, ()
    spans = [start, 0] if start else []
    code = cut[start:]
    for place, token, value in _lexer(lexer).get_tokens_unprocessed(code + "\n"):
        length, number = _units(value[: len(code) - place]), _class_number(token)
        if spans[-1:] == [number]:
            spans[-2] += length
        elif length:
            spans += [length, number]
    if spans[-1:] == [0]:
        del spans[-2:]
    return cut + note, tuple(spans)


def _units(text: str) -> int:
    """Return the length of a text as JavaScript counts it, where some characters count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


@cache
def _lexer(name: str) -> Lexer:
    return _QuickPythonLexer() if name == "python" else get_lexer_by_name(name)


@cache
def _class_number(token: Any) -> int:
    while token is not None:
        if token in _CLASS_OF:
            return TOKEN_CLASSES.index(_CLASS_OF[token])
        token = token.parent
    return 0
