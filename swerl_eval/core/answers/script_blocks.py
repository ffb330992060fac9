"""Which part of an answer is the reproduction script. Nothing is run here."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

from swerl_eval.core.answers.fences import FenceLine, fence_lines, without_indent
from swerl_eval.core.pysource import parse

_TOLD_BY = ("reproduced", "resolved", "Other issues")
"""In the strings of a script that prints one of the three phrases, even where it puts the phrase together."""
_MOST_FENCES = 16
"""Lines with a fence that may stand in the strings of a script."""
_MOST_BLOCKS = 64
"""Blocks of an answer that are looked at, from the last one on."""


def script_in(solution: str) -> str:
    """The last block that parses as Python and prints one of the phrases, else the solution itself where it does.

    The last, since models that write several say what is wrong with the first ones. Empty where there is none.
    """
    text = solution.replace("\r\n", "\n")
    lines = fence_lines(text)
    last, after = "", -1
    for number, opening in list(enumerate(lines))[-_MOST_BLOCKS:]:
        if opening.start < after:
            continue
        for body, end in _bodies(text, lines, number):
            script = without_indent(body, opening.indent)
            script = script if _is_script(script) else textwrap.dedent(body)
            if _is_script(script):
                last, after = script, end
                break
    if not last and _is_script(text):
        last = text
    return last.strip("\n") + "\n" if last else ""


def _bodies(text: str, lines: list[FenceLine], number: int) -> Iterator[tuple[str, int]]:
    """What a fence may hold, shortest first: up to a line that closes it, beyond one that stands in a string.

    Each with the place where the text goes on.
    """
    opening = lines[number]
    start = opening.end + 1
    for line in lines[number + 1 : number + 1 + _MOST_FENCES]:
        if line.closes(opening):
            body = text[start : line.start]
            yield body, line.end
            if _strings_are_closed(body):
                return
    yield text[start:], len(text)


def _strings_are_closed(body: str) -> bool:
    return not body.count('"""') % 2 and not body.count("'''") % 2


def _is_script(text: str) -> bool:
    if not any(word in text for word in _TOLD_BY):
        return False
    tree = parse(text)
    return tree is not None and any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and any(word in node.value for word in _TOLD_BY)
        for node in ast.walk(tree)
    )
