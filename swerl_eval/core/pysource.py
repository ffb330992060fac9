"""Python source as far as votes and rejections need it."""

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
"""CPython 3.11 counts the depth of a tree for all threads together: two that parse at once were seen to end in
`SystemError: AST constructor recursion depth mismatch`."""

_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def parse(text: str) -> ast.Module | None:
    """The syntax tree, or None when this text does not parse, for whatever reason.

    Python reads bytes, and so does this: a byte order mark and a declared coding count. Bytes that are not UTF-8 come
    as surrogates, as `Snapshot.read` gives them.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
        if not declared_coding(data):
            return None
        with _PARSING, warnings.catch_warnings():
            # Invalid escapes in somebody else's source are none of our user's business.
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def breaks_syntax(before: str, after: str) -> bool:
    """Whether an edit made a file unreadable that was readable before."""
    return parse(after) is None and parse(before) is not None


@lru_cache(maxsize=64)
def canonical(text: str) -> str:
    """The source without comments, docstrings and layout; where it does not parse, without trailing blanks only.

    Two texts with the same canonical form behave alike, but for what reads docstrings or line numbers. The cache keeps
    the original of a file from being parsed once for each of 500 samples.
    """
    tree = parse(text)
    if tree is not None:
        return canonical_tree(tree)
    return "".join(line.rstrip() + "\n" for line in text.splitlines() if line.strip())


# -- the canonical form of a tree
#
# `ast.unparse` prints the same tree otherwise from one minor version of Python to the next (f-strings, quotes, brackets
# around tuples, escapes by the Unicode version), and recurses. This prints the tree itself: a line for each statement,
# every expression by its class and its fields. Empty fields are left out, so those that older versions lack are, too.
# Seen to be the same in 3.10 to 3.13 for all files of two standard libraries. A file that only some versions parse (the
# syntax of f-strings, `except*`, type parameters) has two forms.

_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_WORDS = {"FunctionDef": "def", "AsyncFunctionDef": "async def", "ClassDef": "class"}

_Token = str | int | ast.AST | list[Any] | tuple[ast.AST, int] | None
"""What is to be printed: a text as it stands, a number, a node, a list of these, or a statement with its depth."""


def canonical_tree(tree: ast.Module) -> str:
    """What `canonical` prints for a tree. Takes no recursion, so the depth of a tree has no say in its form."""
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
    """A statement, or a part of one that has statements of its own: one line, and its blocks below it."""
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
    """The statements of a block, without its docstring."""
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
    """The parts of an f-string. How its plain parts are cut into constants is the parser's choice, and not told on."""
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
    """A constant in ASCII: what else can be printed depends on the version of Unicode."""
    if type(value) is int:
        # hexadecimal digits have no limit on their number, and cost no square of it
        return str(value) if value.bit_length() < 64 else hex(value)
    if isinstance(value, (str, bytes)):
        return ascii(value)
    return f"Constant({value!r})"  # infinity would else look like a name
