"""What of a model's answer is the answer: after the thinking, and within `<solution>` where there is one.

The one reader for every stage. Drafts in the thinking are never read: thinking that was not closed leaves no solution.

A mark of thinking may also be a word of the answer, in a repository about language models. A mark does not count within
quotes or backquotes that both stand on its line, nor within a whole fenced block, where whole means: closed, no other
block begun within, and as many SEARCH as REPLACE markers (a draft that the model broke off is not whole). Where that is
wrong, it costs an answer, and applies no draft: of the marks that count, the last one that closes ends the thinking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from swerl_eval.core.answers.fences import FenceLine, fence_lines
from swerl_eval.core.answers.marks import (
    BEGINS,
    CLOSES,
    ENDS,
    OPENS,
    SOLUTION_END,
    SOLUTION_START,
    THINK_END,
    THINK_START,
    Mark,
    marks_in,
)
from swerl_eval.core.types import Completion

_LAST_TOKENS = ("<|end|>", "<|return|>", "<|call|>", "<|END_RESPONSE|>", "[END FINAL RESPONSE]", "<turn|>")
"""What servers leave at the end of a text whose special tokens they do not take out."""
_SEARCH, _REPLACE = re.compile(r"^<{7} SEARCH\s*$", re.MULTILINE), re.compile(r"^>{7} REPLACE\s*$", re.MULTILINE)


@dataclass
class _Walk:
    """The marks that count, found in one pass over marks and fences."""

    text: str
    marks: list[Mark] = field(default_factory=list)
    weak: Mark | None = None
    """The last closing mark that stands alone in a whole block; see `_read`."""
    _open: FenceLine | None = None
    _within: list[Mark] = field(default_factory=list)

    def mark(self, mark: Mark) -> None:
        """Take the next mark that is not quoted on its line."""
        (self.marks if self._open is None else self._within).append(mark)

    def fence(self, line: FenceLine, *, after_mark: bool = False, before_mark: bool = False) -> None:
        """Take the next line with a fence; a mark on it in front of the fence, or behind it, is no part of a block."""
        if after_mark and self._within:
            self._break_off()
            self._open = line
            return
        if self._open is not None and line.closes(self._open):
            whole = self._whole(line)
            if whole:
                self._passed_over()
            self._open = line if not whole and self._break_off() else None
        elif (line.info or not before_mark) and (self._open is None or (line.info and line.alone)):
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
        ended = any(mark.kind == CLOSES for mark in self._within)
        self._within = []
        return ended

    def _passed_over(self) -> None:
        opened = False
        for mark in self._within:
            opened = opened or mark.kind == OPENS
            if mark.kind == CLOSES and not opened and self._is_alone(mark):
                self.weak = mark
        self._within = []

    def _is_alone(self, mark: Mark) -> bool:
        line_start = self.text.rfind("\n", 0, mark.start) + 1
        line_end = self.text.find("\n", mark.end)
        rest = self.text[mark.end : line_end if line_end >= 0 else len(self.text)]
        return not self.text[line_start : mark.start].strip() and not rest.replace(SOLUTION_START, "").strip()


@dataclass(frozen=True)
class _Reading:
    """Where the parts of an answer stand."""

    marks: list[Mark]
    """Those that count, in order."""
    closing: Mark | None
    """What ends the thinking."""
    solution: tuple[int, int] | None
    """None where thinking was opened and not closed."""


def _read(text: str) -> _Reading:
    walk = _walked(text)
    marks = walk.marks
    last = next((mark for mark in reversed(marks) if mark.kind in {OPENS, CLOSES}), None)
    closing = next((mark for mark in reversed(marks) if mark.kind == CLOSES), None)
    weak = walk.weak
    if weak is not None and closing is None and (last is not None or _begins_solution(text, weak)):
        # a draft's fence that was never closed swallowed the end of the thinking
        closing = last = weak
        rest = _walked(text[weak.end :]).marks
        moved = [Mark(mark.kind, mark.start + weak.end, mark.end + weak.end) for mark in rest]
        marks = [*(mark for mark in marks if mark.start < weak.start), weak, *moved]
    start, end = closing.end if closing else 0, len(text)
    if closing is not None and last is closing and not _without_last_tokens(text[start:]).strip():
        closing, start, end = _before_last_thought(text, marks, closing) or (closing, start, end)
    elif last is not None and last.kind == OPENS:
        # with a whole block or solution before it, this is a word in a remark; else thinking that was cut
        end = next(mark.start for mark in marks if mark.kind == OPENS and mark.start >= start)
        if not _is_complete(text[start:end]):
            return _Reading(marks, closing, None)
    begins = next((mark for mark in marks if mark.kind == BEGINS and start <= mark.start < end), None)
    if begins is not None:
        start = begins.end
    ends = next((mark.start for mark in marks if mark.kind == ENDS and start <= mark.start < end), end)
    if begins is not None or text[start:ends].strip():  # the thinking may stand within the solution
        end = ends
    return _Reading(marks, closing, (start, end))


def _before_last_thought(text: str, marks: list[Mark], closing: Mark) -> tuple[Mark, int, int] | None:
    """Where nothing follows the last thought: the answer between it and the one before, if there is a whole one."""
    earlier = [mark for mark in marks if mark.start < closing.start]
    before = next((mark for mark in reversed(earlier) if mark.kind == CLOSES), None)
    if before is None:  # what stands there may be a draft, in thinking that the template opened
        return None
    since = [mark for mark in earlier if mark.start > before.start]
    opening = next((mark for mark in since if mark.kind == OPENS), None)
    end = opening.start if opening else closing.start
    kinds = {mark.kind for mark in since if mark.start < end}
    whole = {BEGINS, ENDS} <= kinds or (opening is not None and _is_complete(text[before.end : end]))
    return (before, before.end, end) if whole else None


def _walked(text: str) -> _Walk:
    walk = _Walk(text)
    position = 0
    for mark in marks_in(text):
        # what a mark stands beside on its line may be a fence of its own: "```</think>", "</think> ```python"
        for line in fence_lines(text, position, mark.start):
            walk.fence(line, after_mark=0 < line.start == position, before_mark=line.end == mark.start)
        walk.mark(mark)
        position = mark.end
    for line in fence_lines(text, position):
        walk.fence(line, after_mark=0 < line.start == position)
    walk.end()
    return walk


def _begins_solution(text: str, mark: Mark) -> bool:
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


def _respelt(text: str, marks: list[Mark]) -> str:
    tags = {OPENS: THINK_START, CLOSES: THINK_END}
    parts, position, opened = [], 0, False
    for mark in marks:
        if mark.kind in tags:
            # harmony's thinking may be several messages
            again = opened and mark.kind == OPENS and "<|channel|>" in text[mark.start : mark.end]
            parts += [text[position : mark.start], "" if again else tags[mark.kind]]
            position = mark.end
            opened = mark.kind == OPENS
    return "".join([*parts, text[position:]])
