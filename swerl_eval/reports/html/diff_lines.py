"""A table of the unique lines of many diffs, each with its highlighting, so that candidates that are alike take little space.

A line is highlighted alone, since a hunk begins anywhere in its file. So the inner lines of a string over several lines
are highlighted as code.
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


class _QuickPythonLexer(PythonLexer):
    """Finds plain tokens first, which are most of them: a line takes 40 microseconds in place of 120."""

    tokens = {"root": [*_PLAIN, inherit], "expr": [*_PLAIN, inherit]}  # noqa: RUF012 -- as Pygments declares it


_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
Line = tuple[str, tuple[int, ...]]
"""A text, and the spans that cover it from its start: length, class, length, class, ..."""


class LineTable:
    """Unique lines, numbered in the order in which they first come."""

    def __init__(self) -> None:
        self._numbers: dict[Line, int] = {}

    def diff(self, patch: str) -> list[int]:
        """Add the lines of a unified diff, and return their numbers."""
        return self._add(_diff_lines(patch))

    def script(self, source: str) -> list[int]:
        """Add the lines of a Python source, and return their numbers."""
        return self._add((line, 0, "python") for line in _split(source))

    def lines(self) -> list[list[Any]]:
        """Return the lines by number: text and spans."""
        return [[text, list(spans)] for text, spans in self._numbers]

    def _add(self, lines: Iterator[tuple[str, int, str]]) -> list[int]:
        return [self._numbers.setdefault(_highlighted(*line), len(self._numbers)) for line in lines]


def _split(text: str) -> list[str]:
    """Split a text at its line ends, as far as it is shown."""
    lines = text.split("\n", MOST_LINES)
    rest = lines.pop() if len(lines) > MOST_LINES else ""
    if not lines[-1]:
        lines.pop()
    if rest:
        more = rest.count("\n") + (not rest.endswith("\n"))
        lines.append(f"… {more} more lines are not shown")
    return lines


def _diff_lines(patch: str) -> Iterator[tuple[str, int, str]]:
    """Yield each line of a diff, the length of what stands before its code, and the lexer; "" where it has no code."""
    old = new = 0
    lexer = ""
    for line in _split(patch):
        if old > 0 or new > 0:
            old -= line[:1] in {"-", " ", ""}
            new -= line[:1] in {"+", " ", ""}
            yield line, 1, "" if line.startswith("\\") else lexer
            continue
        if hunk := _HUNK.match(line):
            old, new = (1 if count is None else int(count[:9]) for count in hunk.groups())
        elif line.startswith(("--- ", "+++ ")) and line[4:] != "/dev/null":
            lexer = _LEXERS.get(PurePosixPath(unquoted(line[4:].rstrip())).suffix.lower(), "")
        yield line, 0, ""


@lru_cache(maxsize=100_000)
def _highlighted(line: str, start: int, lexer: str) -> Line:
    """Cut a line to what is shown, and highlight it from a place on."""
    text = sendable(line)
    note = ""
    if len(text) > MOST_CHARACTERS:
        note = f" … {len(text) - MOST_CHARACTERS} more characters"
        text = text[:MOST_CHARACTERS]
    if not lexer:
        return text + note, ()
    spans = [start, 0] if start else []
    for _, token, value in _lexer(lexer).get_tokens_unprocessed(text[start:] + "\n"):
        number = _class_number(token)
        if spans and spans[-1] == number:
            spans[-2] += len(value)
        else:
            spans += [len(value), number]
    if spans and spans[-1] == 0:
        del spans[-2:]
    return text + note, tuple(spans)


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
