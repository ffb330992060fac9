"""The table of contents."""

from __future__ import annotations

from dataclasses import dataclass

from inkwell.escape import escape_attribute, escape_text
from inkwell.inline import plain_text
from inkwell.nodes import Document
from inkwell.slugs import SlugRegistry


@dataclass(frozen=True)
class TocEntry:
    """One line of the table of contents."""

    level: int
    title: str
    anchor: str


def build_toc(document: Document, depth: int = 3) -> list[TocEntry]:
    """List the headings down to a level, each with the id it is rendered with."""
    slugs = SlugRegistry()
    entries = []
    for heading in document.headings():
        title = plain_text(heading.text)
        anchor = slugs.claim(title)
        if heading.level <= depth:
            entries.append(TocEntry(heading.level, title, anchor))
    return entries


def render_toc(entries: list[TocEntry]) -> str:
    """Render the table of contents, or nothing for a text without headings."""
    if not entries:
        return ""
    lines = ['<nav class="toc">', "<ul>"]
    for entry in entries:
        lines.append(
            f'<li class="level-{entry.level}">'
            f'<a href="#{escape_attribute(entry.anchor)}">{escape_text(entry.title)}</a>'
            "</li>"
        )
    lines += ["</ul>", "</nav>"]
    return "\n".join(lines)
