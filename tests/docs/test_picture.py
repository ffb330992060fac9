"""The README's picture of a terminal shows what the README prints, and loads nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.docs.pages import ROOT, blocks, same_everywhere

PICTURE = ROOT / "docs/images/terminal.svg"


def drawn() -> list[str]:
    """The lines of the picture, from top to bottom."""
    lines: dict[float, str] = {}
    for text in ElementTree.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text"):
        if "clip-path" in text.attrib:  # the title has none
            place = float(text.attrib["y"])
            lines[place] = lines.get(place, "") + (text.text or "").replace("\xa0", " ")
    return [line.rstrip() for _, line in sorted(lines.items())]


def words(lines: list[str]) -> list[str]:
    return re.sub(r"[│┃╇━]", " ", " ".join(lines)).split()


def test_it_shows_the_printed_result() -> None:
    (result,) = blocks(ROOT / "README.md", "text")
    lines = [line for line in same_everywhere(drawn()) if not line.startswith(("$ ", "Test containers:"))]
    assert words(lines) == words(result.splitlines())


def test_it_names_no_folder_of_the_machine_that_made_it() -> None:
    (dataset,) = [line for line in drawn() if line.startswith("  Dataset:")]
    assert dataset.startswith("  Dataset: swerl_eval/demo/suite ")


def test_it_loads_nothing() -> None:
    text = PICTURE.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "://" not in text
