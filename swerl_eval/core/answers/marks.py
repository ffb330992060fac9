"""Where an answer marks its parts: the published tags, and what other models write for them."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass

THINK_START = "<think>"
THINK_END = "</think>"
SOLUTION_START = "<solution>"
SOLUTION_END = "</solution>"

_TAG = r"(?:(?:seed|mm):)?(?i:think|thinking|thought|reasoning)(?::[^\s<>]{1,16})?"
SPELLINGS: tuple[tuple[str, str, str], ...] = (
    # whose, what opens the thinking, what closes it; regular expressions. First the published tags and their like:
    # DeepSeek, Qwen, GLM, Kimi K2, MiniMax (`mm:`), Seed-OSS (`seed:`), Hunyuan (a suffix), EXAONE (`thought`)
    ("tags", rf"<{_TAG}>", rf"</{_TAG}>"),
    ("Mistral", r"\[THINK\]", r"\[/THINK\]"),
    ("Kimi", r"◁think▷", r"◁/think▷"),
    ("Kimi K3", r"<\|open\|>\s?think\s?<\|sep\|>", r"<\|close\|>\s?think\s?<\|sep\|>"),
    ("Cohere", r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    ("OpenThinker", r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    ("PLaMo", r"<\|plamo:begin_think:plamo\|>", r"<\|plamo:end_think:plamo\|>"),
    ("K2", r"<ifm\|think(?:_fast|_faster)?>", r"</ifm\|think(?:_fast|_faster)?>"),
    (
        "harmony (gpt-oss)",
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<\n]{0,80}<\|message\|>",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<\n]{0,20}(?:<\|constrain\|>[^<\n]{0,20})?<\|message\|>",
    ),
    ("harmony, its special tokens left out", r"\Aanalysis(?=[A-Z])", r"assistantfinal"),
    ("Gemma 4", r"<\|channel>thought\n", r"<channel\|>"),
    # these open it with words that an answer might begin with, too
    ("Granite", r"(?!)", r"^Here(?:'s| is) my response:"),
    ("Apriel", r"(?!)", r"\[BEGIN FINAL RESPONSE\]"),
)
OPENS, CLOSES, BEGINS, ENDS = "opens", "closes", "begins", "ends"
_MARKS = re.compile(
    "|".join(
        [
            *(f"(?P<{OPENS}{number}>{opening})" for number, (_, opening, _) in enumerate(SPELLINGS)),
            *(f"(?P<{CLOSES}{number}>{closing})" for number, (_, _, closing) in enumerate(SPELLINGS)),
            f"(?P<{BEGINS}>{SOLUTION_START})",
            f"(?P<{ENDS}>{SOLUTION_END})",
        ]
    ),
    re.MULTILINE,
)
_FIRST_LETTERS = re.compile(r"[<\[◁]|assistantf|analysis|Here")
"""Where a mark may begin: looked for first, since trying every mark at every letter takes ten times as long."""
_QUOTES = re.compile(r"(?<!\w)'|'(?!\w)|\"|(?<!`)``?(?!`)")
_LONGEST_QUOTE = 200
"""Letters from one quote to the other; further apart they are two stray ones."""


@dataclass(frozen=True)
class Mark:
    """One mark, at `text[start:end]`."""

    kind: str
    """`opens` or `closes` thinking; `begins` or `ends` the solution."""
    start: int
    end: int


def marks_in(text: str) -> Iterator[Mark]:
    """All marks that are not quoted on their line."""
    found: list[Mark] = []
    for letters in _FIRST_LETTERS.finditer(text):
        match = _MARKS.match(text, letters.start())
        if match and not (found and match.start() < found[-1].end):
            found.append(Mark(str(match.lastgroup).rstrip("0123456789"), *match.span()))
    first = 0
    while first < len(found):
        line_start = text.rfind("\n", 0, found[first].start) + 1
        line_end = text.find("\n", found[first].start)
        line_end = line_end if line_end >= 0 else len(text)
        last = bisect.bisect_right(found, line_end, first, key=lambda mark: mark.start)
        quoted = list(_quoted(text, line_start, line_end))
        starts = [start for start, _ in quoted]
        for mark in found[first:last]:
            place = bisect.bisect_right(starts, mark.start) - 1
            if place < 0 or quoted[place][1] < mark.end:
                yield mark
        first = last


def _quoted(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """What stands between two quotes of one kind on a line."""
    opening: re.Match[str] | None = None
    for quote in _QUOTES.finditer(text, start, end):
        if opening is None or quote.start() - opening.start() > _LONGEST_QUOTE:
            opening = quote
        elif quote[0] == opening[0]:
            yield opening.end(), quote.start()
            opening = None
