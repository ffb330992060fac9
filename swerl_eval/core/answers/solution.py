"""Finds the solution in a model's answer: the part after the thinking, within `<solution>` if there is one.

Every stage reads answers here. Drafts in the thinking are never read.

Which marks count: a mark of thinking may also be a word of the answer, in a repository about language models. So a mark
does not count

- within quotes or backquotes that both stand on its line (`marks.marks_in`);
- within a whole fenced block. Whole means: closed, no other block opened within, and as many SEARCH as REPLACE markers
  (a draft that the model broke off is not whole). But if nothing else closes the thinking, a closing mark alone on its
  line of such a block does count: a draft's fence that was never closed hides the end of the thinking.

Where the solution is:

1. It follows the last mark that closes the thinking.
2. If nothing follows that mark, the solution is what stands between the last two thoughts, if it is whole.
3. If thinking is opened after that mark, the solution ends there. It has to be whole: then the mark is a word in a
   remark, else the thinking was cut, and there is no solution.
4. The tags `<solution>` and `</solution>` bound it further.

Where these rules are wrong, an answer is lost, but no draft is applied.
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
"""Special tokens that some servers leave at the end of a text."""
_SEARCH, _REPLACE = re.compile(r"^<{7} SEARCH\s*$", re.MULTILINE), re.compile(r"^>{7} REPLACE\s*$", re.MULTILINE)


def solution_of(completion: Completion, *, thinking: bool) -> str | None:
    """Return the part of an answer that counts, or None where the answer ended within its thinking.

    Args:
        completion: The answer.
        thinking: Whether the run asks for thinking. If so, an answer that was cut and holds no mark that closes the
            thinking is all thinking, since the chat template may have opened it. Exceptions are an answer whose server
            sent the thinking apart and some text after it, and an answer that begins with `<solution>`.
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


def split_thinking(completion: Completion, *, thinking: bool) -> tuple[str, str]:
    """Return the thinking and the text that follows it, for people: without the marks between them.

    Args:
        completion: The answer. One that ended within its thinking is all thinking.
        thinking: As for `solution_of`.
    """
    text = completion.text
    if completion.reasoning:
        return put_back(completion.reasoning)[len(THINK_START) : -len(THINK_END)], text
    reading = _read(text)
    opening = next((mark for mark in reading.marks if mark.kind == OPENS and not text[: mark.start].strip()), None)
    start = opening.end if opening else 0
    if solution_of(completion, thinking=thinking) is None:
        return text[start:], ""
    closing = reading.closing
    return (text[start : closing.start], text[closing.end :]) if closing else ("", text)


def published_form(completion: Completion) -> str:
    """Return the whole answer as the model wrote it, in the tags of the published reward.

    - Thinking that a server sent apart is put in front, and a text without `<solution>` is wrapped in it.
    - Where the chat template opened the thinking, the opening tag is put in front.
    - Marks of another spelling become the published ones.

    Nothing else is corrected: what the model did wrong stays wrong.
    """
    text = completion.text
    if completion.reasoning:
        if SOLUTION_START not in text and SOLUTION_END not in text:
            text = f"{SOLUTION_START}{text}{SOLUTION_END}"
        return f"{put_back(completion.reasoning)}\n{text}"
    reading = _read(text)
    if THINK_START not in text and THINK_END not in text:
        text = _with_published_tags(text, reading.marks)
    if THINK_START not in text and reading.closing is not None:
        text = THINK_START + text
    return text


def put_back(thinking: str) -> str:
    """Put thinking within its tags, which some servers leave on it."""
    bare = thinking.strip().removeprefix(THINK_START).removesuffix(THINK_END)
    return f"{THINK_START}{bare}{THINK_END}"


def _with_published_tags(text: str, marks: list[Mark]) -> str:
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


def _without_last_tokens(text: str) -> str:
    bare = text.rstrip()
    while token := next((token for token in _LAST_TOKENS if bare.endswith(token)), ""):
        text = bare.removesuffix(token)
        bare = text.rstrip()
    return text


# -- where the solution is


@dataclass(frozen=True)
class _Reading:
    """Where the parts of an answer are."""

    marks: list[Mark]
    """The marks that count, in order."""
    closing: Mark | None
    """The mark that ends the thinking."""
    solution: tuple[int, int] | None
    """Start and end; None where thinking was opened and not closed."""


def _read(text: str) -> _Reading:
    marks, closing, last = _thinking_marks(text)
    start, end = closing.end if closing else 0, len(text)
    if closing is not None and last is closing and not _without_last_tokens(text[start:]).strip():
        closing, start, end = _between_last_thoughts(text, marks, closing) or (closing, start, end)
    elif last is not None and last.kind == OPENS:
        end = next(mark.start for mark in marks if mark.kind == OPENS and mark.start >= start)
        if not _is_whole(text[start:end]):
            return _Reading(marks, closing, None)
    return _Reading(marks, closing, _within_tags(text, marks, start, end))


def _thinking_marks(text: str) -> tuple[list[Mark], Mark | None, Mark | None]:
    """Return the marks that count, the last of them that closes thinking, and the last that opens or closes it."""
    counted = _count_marks(text)
    marks = counted.marks
    closing = next((mark for mark in reversed(marks) if mark.kind == CLOSES), None)
    last = next((mark for mark in reversed(marks) if mark.kind in {OPENS, CLOSES}), None)
    hidden = counted.hidden_closing
    if hidden is None or closing is not None or (last is None and not _solution_follows(text, hidden)):
        return marks, closing, last
    after = _count_marks(text[hidden.end :]).marks
    moved = [Mark(mark.kind, mark.start + hidden.end, mark.end + hidden.end) for mark in after]
    return [*(mark for mark in marks if mark.start < hidden.start), hidden, *moved], hidden, hidden


def _solution_follows(text: str, mark: Mark) -> bool:
    return text[mark.end : mark.end + 100].lstrip().startswith(SOLUTION_START)


def _between_last_thoughts(text: str, marks: list[Mark], closing: Mark) -> tuple[Mark, int, int] | None:
    """Return the end of the last thought but one, and the bounds of what stands between the two, if it is whole."""
    earlier = [mark for mark in marks if mark.start < closing.start]
    before = next((mark for mark in reversed(earlier) if mark.kind == CLOSES), None)
    if before is None:  # the text may be a draft, in thinking that the chat template opened
        return None
    since = [mark for mark in earlier if mark.start > before.start]
    opening = next((mark for mark in since if mark.kind == OPENS), None)
    end = opening.start if opening else closing.start
    kinds = {mark.kind for mark in since if mark.start < end}
    whole = {BEGINS, ENDS} <= kinds or (opening is not None and _is_whole(text[before.end : end]))
    return (before, before.end, end) if whole else None


def _is_whole(text: str) -> bool:
    """Whether a text holds the end of a solution or a closed block."""
    lines = fence_lines(text)
    return SOLUTION_END in text or any(line.closes(lines[0]) for line in lines[1:])


def _within_tags(text: str, marks: list[Mark], start: int, end: int) -> tuple[int, int]:
    """Narrow bounds to the text within `<solution>` and `</solution>`, as far as these are there."""
    begins = next((mark for mark in marks if mark.kind == BEGINS and start <= mark.start < end), None)
    if begins is not None:
        start = begins.end
    ends = next((mark.start for mark in marks if mark.kind == ENDS and start <= mark.start < end), end)
    if begins is None and not text[start:ends].strip():  # the thinking may stand within the solution
        return start, end
    return start, ends


# -- which marks count


@dataclass
class _CountedMarks:
    """Collects the marks that count, in one pass over marks and lines with a fence."""

    text: str
    marks: list[Mark] = field(default_factory=list)
    hidden_closing: Mark | None = None
    """The last closing mark that stands alone on its line in a whole block."""
    _opening: FenceLine | None = None
    """Of the block that is open."""
    _in_block: list[Mark] = field(default_factory=list)
    """Marks since then."""

    def add_mark(self, mark: Mark) -> None:
        """Take the next mark that is not quoted on its line."""
        (self.marks if self._opening is None else self._in_block).append(mark)

    def add_fence(self, line: FenceLine, *, after_mark: bool = False, before_mark: bool = False) -> None:
        """Take the next line with a fence, and say whether a mark stands on it, in front of the fence or behind it."""
        if after_mark and self._in_block:
            self._count_in_block()
            self._opening = line
            return
        if self._opening is not None and line.closes(self._opening):
            if self._is_whole(self._opening, line):
                self._skip_in_block()
                self._opening = None
            else:
                self._opening = line if self._count_in_block() else None
        elif (line.info or not before_mark) and (self._opening is None or (line.info and line.alone)):
            self._count_in_block()
            self._opening = line

    def finish(self) -> None:
        """Take the end of the text: a block that is open now is not whole."""
        self._count_in_block()

    def _is_whole(self, opening: FenceLine, closing: FenceLine) -> bool:
        if not self._in_block:
            return True
        start, end = opening.end, closing.start
        return len(_SEARCH.findall(self.text, start, end)) == len(_REPLACE.findall(self.text, start, end))

    def _count_in_block(self) -> bool:
        """Count the marks since the block was opened, which is not whole; return whether one ends the thinking."""
        ends_thinking = any(mark.kind == CLOSES for mark in self._in_block)
        self.marks += self._in_block
        self._in_block = []
        return ends_thinking

    def _skip_in_block(self) -> None:
        """Skip the marks of a whole block, but note one that may be the end of the thinking."""
        opened = False
        for mark in self._in_block:
            opened = opened or mark.kind == OPENS
            if mark.kind == CLOSES and not opened and self._is_alone(mark):
                self.hidden_closing = mark
        self._in_block = []

    def _is_alone(self, mark: Mark) -> bool:
        line_start = self.text.rfind("\n", 0, mark.start) + 1
        line_end = self.text.find("\n", mark.end)
        rest = self.text[mark.end : line_end if line_end >= 0 else len(self.text)]
        return not self.text[line_start : mark.start].strip() and not rest.replace(SOLUTION_START, "").strip()


def _count_marks(text: str) -> _CountedMarks:
    counted = _CountedMarks(text)
    position = 0
    for mark in marks_in(text):
        # a fence may stand beside a mark on its line: "```</think>", "</think> ```python"
        for line in fence_lines(text, position, mark.start):
            counted.add_fence(line, after_mark=0 < line.start == position, before_mark=line.end == mark.start)
        counted.add_mark(mark)
        position = mark.end
    for line in fence_lines(text, position):
        counted.add_fence(line, after_mark=0 < line.start == position)
    counted.finish()
    return counted
