"""Python source as far as votes and rejections need it."""

from __future__ import annotations

import ast
import threading
import warnings
from functools import lru_cache

_PARSING = threading.Lock()
"""CPython 3.11 counts the depth of a tree for all threads together: two that parse at once were seen to end in
`SystemError: AST constructor recursion depth mismatch`."""

_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def parse(text: str) -> ast.Module | None:
    """The syntax tree, or None when this text does not parse, for whatever reason."""
    try:
        with _PARSING, warnings.catch_warnings():
            # Invalid escapes in somebody else's source are none of our user's business.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=64)
def canonical(text: str) -> str:
    """The source without comments, docstrings and layout; where it does not parse, without trailing blanks only.

    Two texts with the same canonical form behave alike, but for what reads docstrings or line numbers. The cache keeps
    the original of a file from being parsed once for each of 500 samples.
    """
    tree = parse(text)
    if tree is not None:
        try:
            return ast.unparse(_without_docstrings(tree)) + "\n"
        except (RecursionError, ValueError):
            pass
    return "".join(line.rstrip() + "\n" for line in text.splitlines() if line.strip())


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            rest: list[ast.stmt] = node.body[1:]
            node.body = rest if rest or isinstance(node, ast.Module) else [ast.Pass()]
    return tree


def breaks_syntax(before: str, after: str) -> bool:
    """Whether an edit made a file unreadable that was readable before."""
    return parse(after) is None and parse(before) is not None
