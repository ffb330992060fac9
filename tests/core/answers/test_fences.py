"""Fenced blocks as models write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.answers.fences import blocks, without_indent


def bodies(text: str) -> list[str]:
    return [text[block.start : block.end] for block in blocks(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```\na\n```\n```python\nb\n```", ["a\n", "b\n"]),
        ("so: ```\na\n```", ["a\n"]),
        ("<solution>```python\na\n```</solution>", ["a\n"]),
        ("- ```python\n  a\n  ```\n", ["  a\n"]),
        ("> ```\n> a\n> ```\n", ["> a\n"]),
        ("~~~\n```\na\n```\n~~~", ["```\na\n```\n"]),
        ("````markdown\n```\na\n```\n````", ["```\na\n```\n"]),
        ("```python\na\n\n```python\nb\n```", ["a\n\n", "b\n"]),
        ("```\na\nb", ["a\nb"]),
        ("```", [""]),
        ("```\n```", [""]),
        ("```code``` and ``` more words here", []),
        ("a `b` ```\nc", []),
        ("no fence", []),
    ],
)
def test_the_bodies_of_blocks_are_found(text: str, found: list[str]):
    assert bodies(text) == found


def test_a_body_loses_the_indentation_of_its_fence_and_no_more():
    assert without_indent("   a\n     b\n\n c\n", 3) == "a\n  b\n\nc\n"


@given(st.lists(st.sampled_from(["```", "~~~", "````", "py", "\n", " ", "> ", "x"])).map("".join))
def test_blocks_never_overlap(text: str):
    position = 0
    for block in blocks(text):
        assert position <= block.opening.start <= block.start <= block.end <= block.after <= len(text)
        position = block.end
