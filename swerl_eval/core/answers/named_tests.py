"""Reads names of tests from an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from swerl_eval.core.answers.fences import blocks
from swerl_eval.core.answers.list_lines import INVISIBLE, goes_on, json_strings, leads


def parse_names(answer: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names that an answer lists. Names of tests may hold blanks, commas and brackets.

    If the answer has fenced blocks, only these are read: an empty block means that there are none. A name counts at the
    beginning of a line, after a bullet or a label, and after another name, but not in a remark.

    Args:
        answer: The solution of an answer.
        names: The names that may be listed.
    """
    text = answer.translate(INVISIBLE)
    known = sorted({name for name in names if name.strip()}, key=lambda name: (-len(name), name))
    if not known:
        return frozenset()
    # the longest ones come first, so that `test_x[1]` is not read as `test_x`
    name = re.compile(r"(?<![\w./\[])(?:" + "|".join(map(re.escape, known)) + r")(?![\w\[/]|[.:-]+\w)")
    bodies = [text[block.start : block.end] for block in blocks(text)] or [text]
    # JSON escapes quotes and backslashes of a name
    listed = {string for body in bodies for string in json_strings(body)}.intersection(known)
    for line in (line for body in bodies for line in body.splitlines()):
        end: int | None = None
        for match in name.finditer(line):
            between = line[end : match.start()]
            if not (leads(between, code=False) if end is None else goes_on(between)):
                break
            listed.add(match[0])
            end = match.end()
    return frozenset(listed)
