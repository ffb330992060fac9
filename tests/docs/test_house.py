"""The page with every file in one line is that of today's files."""

from __future__ import annotations

from docs.make_house import PACKAGE, PAGE, house


def test_the_house_is_written_as_it_stands() -> None:
    assert PAGE.read_text(encoding="utf-8") == house(), "run python docs/make_house.py"


def test_every_file_says_what_it_is() -> None:
    lines = house().partition("```text")[2].splitlines()
    modules = [path for path in PACKAGE.rglob("*.py") if "packages" not in path.parts]
    assert len(lines) >= len(modules)
    assert [line for line in lines if line.endswith((".py", ".py  ")) or line.strip().endswith("/  ")] == []
