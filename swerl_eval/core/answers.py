"""What of a model's answer is the answer: after the thinking, and within `<solution>` where there is one.

The one reader for every stage. Drafts in the thinking are never read: thinking that was not closed leaves no solution.

A mark of thinking may also be a word of the answer, in a repository about language models. A mark does not count within
quotes or backquotes that both stand on its line, nor within a whole fenced block, where whole means: closed, no other
block begun within, and as many SEARCH as REPLACE markers (a draft that the model broke off is not whole). Where that is
wrong, it costs an answer, and applies no draft: of the marks that count, the last one that closes ends the thinking.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from swerl_eval.core.fences import FenceLine, fence_lines
from swerl_eval.core.types import Completion

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
_OPENS, _CLOSES, _BEGINS, _ENDS = "opens", "closes", "begins", "ends"
_MARKS = re.compile(
    "|".join(
        [
            *(f"(?P<{_OPENS}{number}>{opening})" for number, (_, opening, _) in enumerate(SPELLINGS)),
            *(f"(?P<{_CLOSES}{number}>{closing})" for number, (_, _, closing) in enumerate(SPELLINGS)),
            f"(?P<{_BEGINS}>{SOLUTION_START})",
            f"(?P<{_ENDS}>{SOLUTION_END})",
        ]
    ),
    re.MULTILINE,
)
_FIRST_LETTERS = re.compile(r"[<\[◁]|assistantf|analysis|Here")
"""Where a mark may begin: looked for first, since trying every mark at every letter takes ten times as long."""
_LAST_TOKENS = ("<|end|>", "<|return|>", "<|call|>", "<|END_RESPONSE|>", "[END FINAL RESPONSE]", "<turn|>")
"""What servers leave at the end of a text whose special tokens they do not take out."""
_QUOTES = re.compile(r"(?<!\w)'|'(?!\w)|[\"`]")
_LONGEST_QUOTE = 200
"""Letters from one quote to the other; further apart they are two stray ones."""
_SEARCH, _REPLACE = re.compile(r"^<{7} SEARCH\s*$", re.MULTILINE), re.compile(r"^>{7} REPLACE\s*$", re.MULTILINE)


@dataclass(frozen=True)
class _Mark:
    kind: str
    start: int
    end: int


@dataclass
class _Walk:
    """The marks that count, found in one pass over marks and fences."""

    text: str
    marks: list[_Mark] = field(default_factory=list)
    weak: _Mark | None = None
    """The last closing mark that stands alone in a whole block; see `_read`."""
    _open: FenceLine | None = None
    _within: list[_Mark] = field(default_factory=list)

    def mark(self, mark: _Mark) -> None:
        """Take the next mark that is not quoted on its line."""
        (self.marks if self._open is None else self._within).append(mark)

    def fence(self, line: FenceLine) -> None:
        """Take the next line with a fence."""
        if self._within and self._within[-1].kind == _CLOSES and line.start <= self._within[-1].start:
            self._break_off()
            self._open = line if line.opens else None
        elif self._open is not None and line.closes(self._open):
            whole = self._whole(line)
            if whole:
                self._passed_over()
            self._open = line if not whole and self._break_off() else None
        elif line.opens and (self._open is None or (line.info and line.alone)):
            self._break_off()
            self._open = line

    def end(self) -> None:
        """No more of either: a block that is open now is not whole."""
        self._break_off()

    def _whole(self, closing: FenceLine) -> bool:
        if self._open is None or not self._within:
            return True
        start, end = self._open.end, closing.start
        return len(_SEARCH.findall(self.text, start, end)) == len(_REPLACE.findall(self.text, start, end))

    def _break_off(self) -> bool:
        """The open block was none, or its end is missing: marks within count. Says whether one ends the thinking."""
        self.marks += self._within
        ended = any(mark.kind == _CLOSES for mark in self._within)
        self._within = []
        return ended

    def _passed_over(self) -> None:
        opened = False
        for mark in self._within:
            opened = opened or mark.kind == _OPENS
            if mark.kind == _CLOSES and not opened and self._is_alone(mark):
                self.weak = mark
        self._within = []

    def _is_alone(self, mark: _Mark) -> bool:
        line_start = self.text.rfind("\n", 0, mark.start) + 1
        line_end = self.text.find("\n", mark.end)
        rest = self.text[mark.end : line_end if line_end >= 0 else len(self.text)]
        return not self.text[line_start : mark.start].strip() and not rest.replace(SOLUTION_START, "").strip()


def _marks(text: str) -> Iterator[_Mark]:
    """All marks that are not quoted on their line."""
    found: list[_Mark] = []
    for letters in _FIRST_LETTERS.finditer(text):
        match = _MARKS.match(text, letters.start())
        if match and not (found and match.start() < found[-1].end):
            found.append(_Mark(str(match.lastgroup).rstrip("0123456789"), *match.span()))
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


@dataclass(frozen=True)
class _Reading:
    """Where the parts of an answer stand."""

    marks: list[_Mark]
    """Those that count, in order."""
    closing: _Mark | None
    """What ends the thinking."""
    solution: tuple[int, int] | None
    """None where thinking was opened and not closed."""


def _read(text: str) -> _Reading:
    walk = _walked(text)
    marks = walk.marks
    last = next((mark for mark in reversed(marks) if mark.kind in {_OPENS, _CLOSES}), None)
    closing = next((mark for mark in reversed(marks) if mark.kind == _CLOSES), None)
    weak = walk.weak
    if weak is not None and closing is None and (last is not None or _begins_solution(text, weak)):
        # a draft's fence that was never closed swallowed the end of the thinking
        closing = last = weak
        rest = _walked(text[weak.end :]).marks
        moved = [_Mark(mark.kind, mark.start + weak.end, mark.end + weak.end) for mark in rest]
        marks = [*(mark for mark in marks if mark.start < weak.start), weak, *moved]
    start, end = closing.end if closing else 0, len(text)
    if last is not None and last.kind == _OPENS:
        # with a whole block or solution before it, this is a word in a remark; else thinking that was cut
        end = next(mark.start for mark in marks if mark.kind == _OPENS and mark.start >= start)
        if not _is_complete(text[start:end]):
            return _Reading(marks, closing, None)
    begins = next((mark for mark in marks if mark.kind == _BEGINS and start <= mark.start < end), None)
    if begins is not None:
        start = begins.end
        end = next((mark.start for mark in marks if mark.kind == _ENDS and start <= mark.start < end), end)
    return _Reading(marks, closing, (start, end))


def _walked(text: str) -> _Walk:
    walk = _Walk(text)
    lines = fence_lines(text)
    place = 0
    for mark in _marks(text):
        # a mark in front of a fence on its line is not within that block
        while place < len(lines) and lines[place].start + lines[place].indent < mark.start:
            walk.fence(lines[place])
            place += 1
        walk.mark(mark)
    for line in lines[place:]:
        walk.fence(line)
    walk.end()
    return walk


def _begins_solution(text: str, mark: _Mark) -> bool:
    return text[mark.end : mark.end + 100].lstrip().startswith(SOLUTION_START)


def _is_complete(text: str) -> bool:
    lines = fence_lines(text)
    return SOLUTION_END in text or any(line.closes(lines[0]) for line in lines[1:])


def solution_of(completion: Completion, *, thinking: bool) -> str | None:
    """The part of an answer that counts, or None where it ended within its thinking.

    `thinking` says whether the run asked for thinking. If so, an answer that was cut and in which nothing closes the
    thinking is all thinking: the chat template may have opened it, which the answer does not show. Not where the server
    sent the thinking apart and some text after it, nor where the answer begins with `<solution>`.
    """
    text = completion.text
    cut = completion.finish_reason == "length"
    reading = _read(text)
    if reading.solution is None:
        return None
    if completion.reasoning:
        unclosed = cut and not text.strip()
    else:
        unclosed = cut and thinking and reading.closing is None and not text.lstrip().startswith(SOLUTION_START)
    return None if unclosed else _without_last_tokens(text[slice(*reading.solution)])


def _without_last_tokens(text: str) -> str:
    bare = text.rstrip()
    while token := next((token for token in _LAST_TOKENS if bare.endswith(token)), ""):
        text = bare.removesuffix(token)
        bare = text.rstrip()
    return text


def published_form(completion: Completion) -> str:
    """The whole answer as the model wrote it, in the tags of the published reward.

    Thinking that a server sent apart is put back in front, and a text without `<solution>` is wrapped in it. Where the
    chat template opened the thinking, the opening tag is put in front. Marks of another spelling become the published
    ones. Nothing else is mended: what the model did wrong stays wrong.
    """
    text = completion.text
    if completion.reasoning:
        if SOLUTION_START not in text and SOLUTION_END not in text:
            text = f"{SOLUTION_START}{text}{SOLUTION_END}"
        return f"{put_back(completion.reasoning)}\n{text}"
    reading = _read(text)
    if THINK_START not in text and THINK_END not in text:
        text = _respelt(text, reading.marks)
    if THINK_START not in text and reading.closing is not None:
        text = THINK_START + text
    return text


def put_back(thinking: str) -> str:
    """Thinking within its tags, which some servers leave on it."""
    bare = thinking.strip().removeprefix(THINK_START).removesuffix(THINK_END)
    return f"{THINK_START}{bare}{THINK_END}"


def _respelt(text: str, marks: list[_Mark]) -> str:
    tags = {_OPENS: THINK_START, _CLOSES: THINK_END}
    parts, position, opened = [], 0, False
    for mark in marks:
        if mark.kind in tags:
            # harmony's thinking may be several messages
            again = opened and mark.kind == _OPENS and "<|channel|>" in text[mark.start : mark.end]
            parts += [text[position : mark.start], "" if again else tags[mark.kind]]
            position = mark.end
            opened = mark.kind == _OPENS
    return "".join([*parts, text[position:]])
