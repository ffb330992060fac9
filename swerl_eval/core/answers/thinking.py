"""Splits an answer into its thinking and the rest, to show them apart. `solution` says what counts."""

from __future__ import annotations

from swerl_eval.core.answers.marks import CLOSES, OPENS, marks_in
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.types import Completion


def split_thinking(completion: Completion, *, thinking: bool) -> tuple[str, str]:
    """Return the thinking of an answer and the rest of its text; the solution is never in the thinking.

    Args:
        completion: The answer.
        thinking: Whether the run asks for thinking, as for `solution_of`.
    """
    text = completion.text
    if completion.reasoning:
        return completion.reasoning, text
    solution = solution_of(completion, thinking=thinking)
    if solution is None:
        return text, ""
    marks = list(marks_in(text[: text.rfind(solution)] if solution else text))
    closing = next((mark for mark in reversed(marks) if mark.kind == CLOSES), None)
    if closing is None:
        return "", text
    first = marks[0]
    start = first.end if first.kind == OPENS and not text[: first.start].strip() else 0
    return text[start : closing.start].strip(), text[closing.end :].lstrip("\n")
