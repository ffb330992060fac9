"""Writes `docs/house.md`: the tree of the package with the first line of each file's docstring.

Run it after a file was added, moved or renamed: `.venv/bin/python docs/make_house.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "swerl_eval"
PAGE = ROOT / "docs" / "house.md"
HEAD = """# Every file in one line

The first line of each file's docstring; `python docs/make_house.py` writes this page.
[CONTRIBUTING](../CONTRIBUTING.md) has the rooms and how they depend on each other.

"""


def house() -> str:
    """Return the page."""
    return HEAD + "```text\n" + "\n".join(["swerl_eval/", *_tree(PACKAGE, 1)]) + "\n```\n"


def _tree(folder: Path, depth: int) -> Iterator[str]:
    """Yield the lines of a folder: its modules, then its folders."""
    indent = "  " * depth
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    width = max((len(path.name) for path in modules), default=0)
    for module in modules:
        yield f"{indent}{module.name:{width}}  {_first_line(module)}"
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield f"{indent}{inner.name}/  {_first_line(inner / '__init__.py')}".rstrip()
        yield from _tree(inner, depth + 1)


def _first_line(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(house(), encoding="utf-8")
