"""Turn a block tree into HTML."""

from __future__ import annotations

from collections.abc import Iterable

from inkwell.blocks import parse
from inkwell.escape import escape_attribute, escape_text
from inkwell.inline import plain_text, render_inline
from inkwell.nodes import (
    Block,
    CodeBlock,
    Document,
    Heading,
    ListBlock,
    Paragraph,
    Quote,
)
from inkwell.slugs import SlugRegistry


def render(source: str) -> str:
    """Render a text to an HTML fragment."""
    return render_document(parse(source))


def render_document(document: Document) -> str:
    """Render a parsed text to an HTML fragment."""
    return _Renderer().blocks(document.blocks)


class _Renderer:
    """Renders one document; it keeps the ids that are already given out."""

    def __init__(self) -> None:
        self._slugs = SlugRegistry()

    def blocks(self, blocks: Iterable[Block]) -> str:
        return "\n".join(self._block(block) for block in blocks)

    def _block(self, block: Block) -> str:
        if isinstance(block, Heading):
            return self._heading(block)
        if isinstance(block, Paragraph):
            return f"<p>{render_inline(block.text)}</p>"
        if isinstance(block, CodeBlock):
            return self._code(block)
        if isinstance(block, ListBlock):
            return self._list(block)
        if isinstance(block, Quote):
            return f"<blockquote>\n{self.blocks(block.children)}\n</blockquote>"
        return "<hr>"

    def _heading(self, block: Heading) -> str:
        anchor = self._slugs.claim(plain_text(block.text))
        tag = f"h{block.level}"
        return f'<{tag} id="{anchor}">{render_inline(block.text)}</{tag}>'

    def _code(self, block: CodeBlock) -> str:
        language = ""
        if block.language:
            language = f' class="language-{escape_attribute(block.language)}"'
        return f"<pre><code{language}>{escape_text(block.text)}\n</code></pre>"

    def _list(self, block: ListBlock) -> str:
        tag = "ol" if block.ordered else "ul"
        items = "".join(f"<li>{render_inline(item)}</li>\n" for item in block.items)
        return f"<{tag}>\n{items}</{tag}>"
