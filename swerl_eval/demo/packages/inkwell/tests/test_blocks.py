import pytest

from inkwell.blocks import parse
from inkwell.nodes import CodeBlock, Heading, ListBlock, Paragraph, Quote, Rule


def blocks(text):
    return list(parse(text).blocks)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_heading_levels(level):
    assert blocks("=" * level + " Title") == [Heading(level, "Title")]


def test_five_marks_are_not_a_heading():
    assert blocks("===== Title") == [Paragraph("===== Title")]


def test_paragraph_lines_are_joined():
    assert blocks("one\ntwo\n\nthree") == [Paragraph("one two"), Paragraph("three")]


def test_list_ends_paragraph():
    assert blocks("text\n- one") == [Paragraph("text"), ListBlock(("one",))]


def test_bullet_list_with_continuation():
    assert blocks("- one\n  more\n- two") == [ListBlock(("one more", "two"))]


def test_numbered_list():
    assert blocks("1. one\n2. two") == [ListBlock(("one", "two"), ordered=True)]


def test_numbered_list_after_bullets_is_a_list_of_its_own():
    assert blocks("- a\n1. b") == [ListBlock(("a",)), ListBlock(("b",), ordered=True)]


def test_code_keeps_its_lines():
    assert blocks("~~~ python\nx = 1\n\n- y\n~~~\nend") == [
        CodeBlock("x = 1\n\n- y", "python"),
        Paragraph("end"),
    ]


def test_unclosed_code_runs_to_the_end():
    assert blocks("~~~\nx") == [CodeBlock("x")]


def test_quote_holds_blocks():
    assert blocks("> = A\n> b") == [Quote((Heading(1, "A"), Paragraph("b")))]


def test_rule():
    assert blocks("----") == [Rule()]
