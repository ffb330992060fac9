"""Make the test functions of some files fail at their first line.

    python fail_tests.py MESSAGE FILE...

A function or method whose name begins with `test`, at the top of a module or in a class, gets a `raise` in front of its
first statement (its docstring stays first). Files that are not there, or that this Python cannot read, are left alone.
For Python 3.5 and later.
"""

import ast
import sys
import tokenize
from typing import Iterator, List, Optional, Tuple, Union

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
    text = getattr(value, "s", None) if type(value).__name__ in ("Str", "Constant") else None
    return isinstance(node, ast.Expr) and isinstance(text, str)


def place_of(function: TestFunction) -> Tuple[int, Optional[int]]:
    """Line (from 1) and column, in bytes, where the `raise` goes; the column is None for a line of its own below."""
    body = function.body
    if is_docstring(body[0]):
        if len(body) == 1:
            return getattr(body[0], "end_lineno", body[0].lineno), None
        body = body[1:]
    first = body[0]
    lines = [first.lineno] + [each.lineno for each in getattr(first, "decorator_list", [])]
    return min(lines), first.col_offset


def made_to_fail(source: str, message: str) -> Tuple[str, int]:
    """The source with its tests failing, and how many they are."""
    statement = "raise AssertionError(%r)" % message
    lines = [line.encode("utf-8") for line in source.splitlines(True)]
    found = list(functions(ast.parse(source)))
    for function in sorted(found, key=lambda each: -each.lineno):
        number, column = place_of(function)
        line = lines[number - 1]
        end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
        if column is None:
            indent = b" " * (function.col_offset + 1)
            lines[number - 1] = line.rstrip(b"\r\n") + end + indent + statement.encode("utf-8") + end
            continue
        indent = line[: len(line) - len(line.lstrip())]
        if not line[:column].strip():
            lines.insert(number - 1, indent + statement.encode("utf-8") + end)
        else:  # on the line of its def: only simple statements can stand there
            lines[number - 1] = line[:column] + statement.encode("utf-8") + b"; " + line[column:]
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
        except (OSError, SyntaxError, ValueError) as error:
            print("%s: left as it is (%s)" % (path, error))
            continue
        with open(path, "w", encoding=encoding, newline="") as file:
            file.write(text)
        total += count
    print("%d tests made to fail" % total)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
