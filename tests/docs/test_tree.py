"""The folder tree of CONTRIBUTING.md is the one that is there."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import ROOT, blocks

PACKAGE = ROOT / "swerl_eval"
FOLDERS = {0: ROOT, 2: PACKAGE, 4: PACKAGE / "core"}
"""What a line's indentation says its names are in."""


def listed() -> list[Path]:
    """The folders and files that the tree names."""
    tree = next(block for block in blocks(ROOT / "CONTRIBUTING.md", "text") if block.startswith("swerl_eval/"))
    paths: list[Path] = []
    for line in tree.splitlines():
        folder = FOLDERS[len(line) - len(line.lstrip())]
        for name in line.split():
            if not name.endswith(("/", ".py")):
                break
            paths.append(folder / name)
    return paths


def test_all_that_is_listed_exists() -> None:
    assert [path for path in listed() if not path.exists()] == []


def test_every_room_and_module_of_the_package_is_listed() -> None:
    rooms = [path.parent for path in PACKAGE.glob("*/__init__.py")]
    modules = [path for path in PACKAGE.glob("*.py") if not path.name.startswith("_")]
    assert sorted({*rooms, *modules} - set(listed())) == []
