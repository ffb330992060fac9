"""Figures of the README stand in the tables that they link."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text("utf-8")
LINK = re.compile(r"\[([^]]+)\]\((results/\w+\.md)\)")


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


def test_every_linked_figure_is_in_its_table() -> None:
    links = LINK.findall(README)
    assert len(links) >= 8
    for text, file in links:
        table = (ROOT / file).read_text("utf-8").replace(",", "")
        assert [number for number in numbers(text) if number not in table] == [], file


def test_what_is_compared_with_is_in_the_same_table() -> None:
    rows = [row for row in README.splitlines() if row.startswith("| ") and LINK.search(row)]
    assert len(rows) >= 7
    for row in rows:
        _, file = LINK.findall(row)[0]
        compared = row.rstrip("| ").rpartition("|")[2]
        table = (ROOT / file).read_text("utf-8").replace(",", "")
        assert [number for number in numbers(compared) if number not in table] == [], row
