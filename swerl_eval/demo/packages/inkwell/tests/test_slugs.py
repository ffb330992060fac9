import pytest

from inkwell.blocks import parse
from inkwell.slugs import SlugRegistry, slugify
from inkwell.toc import TocEntry, build_toc, render_toc


@pytest.mark.parametrize(
    ("title", "slug"),
    [("Setup", "setup"), ("What's new?", "what-s-new"), ("Café", "cafe"), ("...", "section")],
    ids=["word", "punctuation", "accent", "empty"],
)
def test_slugify(title, slug):
    assert slugify(title) == slug


def test_same_title_is_numbered():
    slugs = SlugRegistry()
    assert [slugs.claim("Setup") for _ in range(3)] == ["setup", "setup-2", "setup-3"]


def test_registries_are_independent():
    assert SlugRegistry().claim("Setup") == SlugRegistry().claim("Setup")


def test_toc_lists_headings_with_anchors():
    document = parse("= Guide\n== Usage\n== Usage\n==== Too deep")
    assert build_toc(document) == [
        TocEntry(1, "Guide", "guide"),
        TocEntry(2, "Usage", "usage"),
        TocEntry(2, "Usage", "usage-2"),
    ]


def test_toc_markup():
    assert render_toc([TocEntry(1, "A & B", "a-b")]) == (
        '<nav class="toc">\n<ul>\n'
        '<li class="level-1"><a href="#a-b">A &amp; B</a></li>\n'
        "</ul>\n</nav>"
    )


def test_empty_toc():
    assert render_toc([]) == ""
