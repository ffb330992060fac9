"""Names of tests read from an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from swerl_eval.core.answers.fences import blocks
from swerl_eval.core.answers.listings import INVISIBLE, goes_on, json_strings, leads


def parse_names(answer: str, names: Iterable[str]) -> frozenset[str]:
    """Those of some names that an answer lists, each whole: names of tests hold blanks, commas and brackets.

    Within fenced blocks where there are any, since an empty one says that there are none; else anywhere. A name counts
    at the beginning of a line, after a bullet or a label, and after another one; not in a remark.
    """
    text = answer.translate(INVISIBLE)
    known = sorted({name for name in names if name.strip()}, key=lambda name: (-len(name), name))
    if not known:
        return frozenset()
    # the longest first, so that `test_x[1]` is not read as `test_x`
    name = re.compile(r"(?<![\w./\[])(?:" + "|".join(map(re.escape, known)) + r")(?![\w\[/]|[.:-]+\w)")
    bodies = [text[block.start : block.end] for block in blocks(text)] or [text]
    # JSON writes the quotes and backslashes of a name otherwise
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
