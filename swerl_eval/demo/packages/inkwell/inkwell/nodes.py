"""The block tree that the parser makes and the renderer reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the largest."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text, still with its inline markup."""

    text: str


@dataclass(frozen=True)
class CodeBlock:
    """Text to be shown as it is."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class ListBlock:
    """A flat list; `start` is the number of its first item if it is ordered."""

    items: tuple[str, ...]
    ordered: bool = False
    start: int = 1


@dataclass(frozen=True)
class Quote:
    """A quotation, which holds blocks of its own."""

    children: tuple[Block, ...]


@dataclass(frozen=True)
class Rule:
    """A horizontal line."""


Block = Heading | Paragraph | CodeBlock | ListBlock | Quote | Rule


@dataclass(frozen=True)
class Document:
    """A whole parsed text."""

    blocks: tuple[Block, ...]

    def headings(self) -> list[Heading]:
        """The top-level headings, in the order of the text."""
        return [block for block in self.blocks if isinstance(block, Heading)]
