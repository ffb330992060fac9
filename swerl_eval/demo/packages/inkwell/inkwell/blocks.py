"""Split a text into blocks: headings, lists, quotations, code, paragraphs."""

from __future__ import annotations

import re
from collections.abc import Callable

from inkwell.nodes import (
    Block,
    CodeBlock,
    Document,
    Heading,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
)

_HEADING = re.compile(r"(?P<marks>={1,4}) +(?P<text>.+)")
_BULLET = re.compile(r"- +(?P<text>.+)")
_NUMBERED = re.compile(r"(?P<number>\d{1,9})\. +(?P<text>.+)")
_QUOTE = re.compile(r"> ?(?P<text>.*)")
_FENCE = re.compile(r"~~~ *(?P<language>[\w+-]*) *")
_RULE = re.compile(r"-{4,} *")

_Read = tuple[Block, int] | None
_Reader = Callable[[list[str], int], _Read]


def parse(text: str) -> Document:
    """Parse a whole text."""
    return Document(tuple(_parse_lines(text.splitlines())))


def _parse_lines(lines: list[str]) -> list[Block]:
    blocks: list[Block] = []
    index = 0
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        block, index = _read_block(lines, index)
        blocks.append(block)
    return blocks


def _read_block(lines: list[str], index: int) -> tuple[Block, int]:
    """Read the block that starts at a line; return it and the next index."""
    for reader in _READERS:
        found = reader(lines, index)
        if found is not None:
            return found
    return _read_paragraph(lines, index)


def _read_heading(lines: list[str], index: int) -> _Read:
    match = _HEADING.fullmatch(lines[index])
    if match is None:
        return None
    return Heading(len(match["marks"]), match["text"].strip()), index + 1


def _read_rule(lines: list[str], index: int) -> _Read:
    if _RULE.fullmatch(lines[index]) is None:
        return None
    return Rule(), index + 1


def _read_code(lines: list[str], index: int) -> _Read:
    opening = _FENCE.fullmatch(lines[index])
    if opening is None:
        return None
    index += 1
    body = []
    while index < len(lines) and lines[index].rstrip() != "~~~":
        body.append(lines[index])
        index += 1
    return CodeBlock("\n".join(body), opening["language"]), index + 1


def _read_quote(lines: list[str], index: int) -> _Read:
    inner = []
    while index < len(lines):
        match = _QUOTE.fullmatch(lines[index])
        if match is None:
            break
        inner.append(match["text"])
        index += 1
    if not inner:
        return None
    return Quote(tuple(_parse_lines(inner))), index


def _collect_items(lines: list[str], index: int, marker: re.Pattern[str]) -> tuple[list[str], int]:
    """Gather the items from a line on; an indented line continues its item."""
    items: list[str] = []
    while index < len(lines):
        line = lines[index]
        match = marker.fullmatch(line)
        if match is not None:
            items.append(match["text"].strip())
        elif items and line.startswith("  ") and line.strip():
            items[-1] += " " + line.strip()
        else:
            break
        index += 1
    return items, index


def _read_bullet_list(lines: list[str], index: int) -> _Read:
    items, index = _collect_items(lines, index, _BULLET)
    if not items:
        return None
    return ListBlock(tuple(items)), index


def _read_numbered_list(lines: list[str], index: int) -> _Read:
    items, index = _collect_items(lines, index, _NUMBERED)
    if not items:
        return None
    return ListBlock(tuple(items), ordered=True), index


def _read_paragraph(lines: list[str], index: int) -> tuple[Block, int]:
    words = [lines[index].strip()]
    index += 1
    while index < len(lines) and lines[index].strip():
        if any(reader(lines, index) is not None for reader in _READERS):
            break
        words.append(lines[index].strip())
        index += 1
    return Paragraph(" ".join(words)), index


_READERS: tuple[_Reader, ...] = (
    _read_heading,
    _read_rule,
    _read_code,
    _read_quote,
    _read_bullet_list,
    _read_numbered_list,
)
