"""Finds the marks between an answer's parts: the published tags, and what other models write instead."""

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
    # whose, what opens the thinking, what closes it (regular expressions); first the published tags and similar ones:
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
    # these open it with words that an answer may begin with, so only the end counts
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
_MARK_STARTS = re.compile(r"[<\[◁]|assistantf|analysis|Here")
"""Where a mark may begin. Trying every mark at every character would take ten times as long."""
_QUOTES = re.compile(r"(?<!\w)'|'(?!\w)|\"|(?<!`)``?(?!`)")
_LONGEST_QUOTE = 200
"""Characters from one quote to the other; quotes that are further apart are no pair."""


@dataclass(frozen=True)
class Mark:
    """One mark, at `text[start:end]`."""

    kind: str
    """`opens` or `closes` thinking; `begins` or `ends` the solution."""
    start: int
    end: int


def marks_in(text: str) -> Iterator[Mark]:
    """Yield all marks that are not quoted on their line, in order."""
    marks = _all_marks(text)
    first = 0
    while first < len(marks):
        line_start = text.rfind("\n", 0, marks[first].start) + 1
        line_end = text.find("\n", marks[first].start)
        line_end = line_end if line_end >= 0 else len(text)
        next_line = bisect.bisect_right(marks, line_end, first, key=lambda mark: mark.start)
        quotations = list(_quotations(text, line_start, line_end))
        starts = [start for start, _ in quotations]
        for mark in marks[first:next_line]:
            before = bisect.bisect_right(starts, mark.start) - 1
            if before < 0 or quotations[before][1] < mark.end:
                yield mark
        first = next_line


def _all_marks(text: str) -> list[Mark]:
    """Return all marks that do not overlap, quoted ones too."""
    marks: list[Mark] = []
    for start in _MARK_STARTS.finditer(text):
        match = _MARKS.match(text, start.start())
        if match and not (marks and match.start() < marks[-1].end):
            marks.append(Mark(str(match.lastgroup).rstrip("0123456789"), *match.span()))
    return marks


def _quotations(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the texts between two quotes of one kind start and end, on a line."""
    opening: re.Match[str] | None = None
    for quote in _QUOTES.finditer(text, start, end):
        if opening is None or quote.start() - opening.start() > _LONGEST_QUOTE:
            opening = quote
        elif quote[0] == opening[0]:
            yield opening.end(), quote.start()
            opening = None
