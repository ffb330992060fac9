"""Parses Python source, and prints its canonical form, by which votes are counted."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

from swerl_eval.core.codings import declared_coding

_PARSING = threading.Lock()
"""CPython 3.11 counts the depth of a tree for all threads together: two threads that parse at once can end in
`SystemError: AST constructor recursion depth mismatch`."""

_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree, or None when the text does not parse, for whatever reason.

    Like Python, it parses bytes: a byte order mark and a declared coding count. Bytes that are not UTF-8 are surrogates
    in the text, as `Snapshot.read` gives them.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
        if not declared_coding(data):
            return None
        with _PARSING, warnings.catch_warnings():
            # warnings of invalid escapes in a repository's source do not concern the user
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def breaks_syntax(before: str, after: str) -> bool:
    """Whether a file does not parse after an edit, and did before."""
    return parse(after) is None and parse(before) is not None


@lru_cache(maxsize=64)
def canonical(text: str) -> str:
    """Return the source without comments, docstrings and layout; source that does not parse only loses blanks.

    Two texts with the same canonical form behave alike, except for code that reads docstrings or line numbers. The
    cache saves parsing the original of a file once for each of 500 samples.
    """
    tree = parse(text)
    if tree is not None:
        return canonical_tree(tree)
    return "".join(line.rstrip() + "\n" for line in text.splitlines() if line.strip())


# -- the canonical form of a tree
#
# `ast.unparse` prints one tree differently in different minor versions of Python (f-strings, quotes, brackets around
# tuples, escapes by the Unicode version), and it recurses. This prints the tree itself: a line for each statement, and
# every expression by its class and its fields. Empty fields are left out, and so are those that older versions lack.
# The form is the same in 3.10 to 3.13 for all files of two standard libraries. A file that only some versions parse
# (the syntax of f-strings, `except*`, type parameters) has two forms.

_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_WORDS = {"FunctionDef": "def", "AsyncFunctionDef": "async def", "ClassDef": "class"}

_Token = str | int | ast.AST | list[Any] | tuple[ast.AST, int] | None
"""Something to print: a finished text, a number, a node, a list of these, or a statement with its depth."""


def canonical_tree(tree: ast.Module) -> str:
    """Return the canonical form of a tree. It does not recurse, so that no tree is too deep."""
    printed: list[str] = []
    todo: list[_Token] = list(reversed(list(_block(tree, "body", 0))))
    while todo:
        token = todo.pop()
        if isinstance(token, str):
            printed.append(token)
        elif isinstance(token, ast.Name):
            printed.append(token.id)
        elif isinstance(token, ast.Constant):
            printed.append(_constant(token.value))
        elif isinstance(token, ast.AST):
            todo += reversed(list(_expression(token)))
        elif isinstance(token, tuple):
            todo += reversed(list(_statement(*token)))
        elif isinstance(token, list):
            todo += ["]", *chain.from_iterable((",", item) for item in reversed(token)), "["]
        else:
            printed.append(str(token))
    return "".join(printed).removeprefix("\n") + "\n"


def _statement(node: ast.AST, depth: int) -> Iterator[_Token]:
    """Print a statement, or a part of one that holds statements: one line, and its blocks below it."""
    name = type(node).__name__
    yield "\n" + " " * depth + _WORDS.get(name, name)
    blocks = []
    for field in node._fields:
        value = getattr(node, field, None)
        if field in _BLOCKS and type(value) is list:
            blocks.append(field)
        elif field == "name" and name in _WORDS:
            yield f" {value}"
        elif value not in (None, []) and field not in _LEFT_OUT:
            yield f" {field}="
            yield value
    for field in blocks:
        if field != "body" and getattr(node, field):
            yield "\n" + " " * depth + field
        yield from _block(node, field, depth + 1)


def _block(node: ast.AST, field: str, depth: int) -> Iterator[_Token]:
    """Print the statements of a block, without its docstring."""
    statements: list[ast.stmt] = getattr(node, field)
    if field == "body" and isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
        statements = statements[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    for statement in statements:
        yield statement, depth


def _expression(node: ast.AST) -> Iterator[_Token]:
    if isinstance(node, ast.JoinedStr):
        yield "f"
        yield _joined(node)
        return
    yield type(node).__name__ + "("
    for field in node._fields:
        value = getattr(node, field, None)
        if value not in (None, []) and field not in _LEFT_OUT:
            yield f"{field}="
            yield value
            yield ","
    yield ")"


def _joined(node: ast.JoinedStr) -> list[ast.expr]:
    """Return the parts of an f-string, with adjacent constants joined: how they are cut depends on the parser."""
    parts: list[ast.expr] = []
    for part in node.values:
        last = parts[-1] if parts else None
        if not isinstance(part, ast.Constant):
            parts.append(part)
        elif isinstance(last, ast.Constant):
            parts[-1] = ast.Constant(str(last.value) + str(part.value))
        elif part.value:
            parts.append(part)
    return parts


def _constant(value: object) -> str:
    """Print a constant in ASCII: which other characters are printable depends on the version of Unicode."""
    if type(value) is int:
        # decimal digits are limited in number, and take quadratic time
        return str(value) if value.bit_length() < 64 else hex(value)
    if isinstance(value, (str, bytes)):
        return ascii(value)
    return f"Constant({value!r})"  # infinity would look like a name
