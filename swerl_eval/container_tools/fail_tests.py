"""Make the test functions of some files fail at their first line.

    python fail_tests.py MESSAGE FILE...

A function or method whose name begins with `test`, at the top of a module or in a class, gets a `raise` in front of its
first statement (a docstring stays first). Files that are not there, or that this Python cannot read, are left alone.
For Python 3.5 and later.
"""

import ast
import re
import sys
import tokenize
from typing import Iterator, List, Tuple, Union

TestFunction = Union[ast.FunctionDef, ast.AsyncFunctionDef]


def functions(node: ast.AST) -> Iterator[TestFunction]:
    """Test functions of a module or class, not those inside of other functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if child.name.startswith("test"):
                yield child
        else:
            for found in functions(child):
                yield found


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is nothing but a string."""
    value = getattr(node, "value", None)
    text = getattr(value, {"Str": "s", "Constant": "value"}.get(type(value).__name__, ""), None)
    return isinstance(node, ast.Expr) and isinstance(text, str)


def place_of(function: TestFunction, lines: List[bytes]) -> Tuple[int, int]:
    """Line (from 1) and column, in bytes, in front of which the `raise` goes: the first statement after a docstring."""
    body = function.body
    first = body[1] if is_docstring(body[0]) and len(body) > 1 else body[0]
    number, column = first.lineno, first.col_offset
    if column < 0:  # before Python 3.8 a string of several lines has the place of its end
        number -= getattr(getattr(first, "value", None), "s", "").count("\n") if is_docstring(first) else 0
        column = len(lines[number - 1]) - len(lines[number - 1].lstrip())
    return min([number] + [each.lineno for each in getattr(first, "decorator_list", [])]), column


def made_to_fail(source: str, message: str) -> Tuple[str, int]:
    """The source with its tests failing, and how many they are."""
    statement = ("raise AssertionError(%r)" % message).encode("utf-8")
    # lines as Python counts them: a form feed, say, ends none
    lines = [line.encode("utf-8") for line in re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", source)]
    found = list(functions(ast.parse(source)))
    for function in sorted(found, key=lambda each: -each.lineno):
        number, column = place_of(function, lines)
        line = lines[number - 1]
        if line[:column].strip():  # on the line of its def: only simple statements can stand there
            lines[number - 1] = line[:column] + statement + b"; " + line[column:]
        else:
            lines.insert(number - 1, line[:column] + statement + (b"\r\n" if line.endswith(b"\r\n") else b"\n"))
    return b"".join(lines).decode("utf-8"), len(found)


def main(message: str, paths: List[str]) -> None:
    """Change the files in place."""
    total = 0
    for path in paths:
        try:
            with tokenize.open(path) as file:
                encoding = file.encoding
            with open(path, encoding=encoding, newline="") as file:
                source = file.read()
            text, count = made_to_fail(source, message)
            compile(text, path, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            print("%s: left as it is (%s)" % (path, error))
            continue
        with open(path, "w", encoding=encoding, newline="") as file:
            file.write(text)
        total += count
    print("%d tests made to fail" % total)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
