"""Every relative link of the documentation leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, name_of, prose

LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)", re.DOTALL)


def links(page: Path) -> list[str]:
    return [target for target in LINK.findall(prose(page)) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in set(anchors(target)), f"{name_of(page)}: {link}"


def test_every_page_of_docs_is_in_the_index() -> None:
    index = set(links(ROOT / "docs/README.md"))
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"} <= index


def test_every_decision_is_in_its_index() -> None:
    page = ROOT / "docs/DECISIONS.md"
    listed = {link.removeprefix("#") for link in links(page) if link.startswith("#")}
    assert set(anchors(page)) - {"decisions"} == listed


def test_every_decision_has_its_date_and_is_short() -> None:
    for entry in prose(ROOT / "docs/DECISIONS.md").split("\n## ")[1:]:
        title, _, body = entry.partition("\n")
        lines = [line for line in body.splitlines() if line]
        assert re.match(r"\*\d{4}-\d{2}-\d{2}\.\* \*\*Decision\.\*\*", lines[0]), title
        assert "**Alternative" in body, title
        assert len(lines) <= 12, title
