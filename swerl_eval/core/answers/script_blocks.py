"""Finds the reproduction script in an answer. Nothing is run here."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

from swerl_eval.core.answers.fences import FenceLine, fence_lines, without_indent
from swerl_eval.core.pysource import parse

_PHRASE_PARTS = ("reproduced", "resolved", "Other issues")
"""A script that prints one of the three phrases has one of these in a string, even where it composes the phrase."""
_MOST_FENCES = 16
"""How many lines with a fence the strings of a script may hold."""
_MOST_BLOCKS = 64
"""How many blocks of an answer are tried, from the last one on."""


def script_in(solution: str) -> str:
    """Return the last block that parses as Python and prints one of the phrases, or the solution itself if it does.

    The last one counts, since models that write several say what is wrong with the earlier ones.

    Returns:
        The script, ending in a line end; empty where there is none.
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
    """Yield what a block may hold, shortest first: a closing fence may be the end, or stand in a string of the script.

    Each comes with the position where the text after the block begins.
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
    if not any(word in text for word in _PHRASE_PARTS):
        return False
    tree = parse(text)
    return tree is not None and any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and any(word in node.value for word in _PHRASE_PARTS)
        for node in ast.walk(tree)
    )
