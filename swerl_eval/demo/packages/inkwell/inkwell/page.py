"""Put a rendered text into a complete page."""

from __future__ import annotations

import string
from importlib import resources

from inkwell.blocks import parse
from inkwell.escape import escape_text
from inkwell.inline import plain_text
from inkwell.nodes import Document
from inkwell.render import render_document
from inkwell.toc import build_toc, render_toc

DEFAULT_TITLE = "Untitled"


def load_template(name: str = "page.html") -> string.Template:
    """Read one of the templates that come with the package."""
    path = resources.files("inkwell") / "templates" / name
    return string.Template(path.read_text(encoding="utf-8"))


def document_title(document: Document) -> str:
    """The words of the first heading, or a stand-in."""
    headings = document.headings()
    return plain_text(headings[0].text) if headings else DEFAULT_TITLE


def render_page(source: str, title: str | None = None, with_toc: bool = False) -> str:
    """Render a text to a whole HTML page."""
    document = parse(source)
    if title is None:
        title = document_title(document)
    toc = render_toc(build_toc(document)) if with_toc else ""
    return load_template().substitute(
        title=escape_text(title),
        toc=toc,
        body=render_document(document),
    )
