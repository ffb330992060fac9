"""The thinking of an answer and the rest, apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.answers.thinking import split_thinking
from swerl_eval.core.types import Completion


def split(text: str, *, finish: str = "stop", reasoning: str = "") -> tuple[str, str]:
    return split_thinking(Completion(text, finish, reasoning=reasoning), thinking=True)


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("<think>", "</think>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ],
)
def test_the_marks_of_the_thinking_are_in_neither_part(opens, closes):
    assert split(f"{opens}\nwhy\n{closes}\n\n<solution>what</solution>") == ("why", "<solution>what</solution>")


def test_thinking_that_the_prompt_opened_has_a_closing_mark_alone():
    assert split("why</think>what") == ("why", "what")


def test_thinking_that_the_server_sends_apart_leaves_the_text_whole():
    assert split("<solution>what</solution>", reasoning="why") == ("why", "<solution>what</solution>")


def test_an_answer_without_thinking_is_all_rest():
    assert split("what") == ("", "what")
    assert split("") == ("", "")


def test_an_answer_that_was_cut_while_thinking_is_all_thinking():
    assert split("<think>why", finish="length") == ("<think>why", "")
    assert split("why", finish="length") == ("why", "")


def test_a_mark_within_the_solution_ends_no_thinking():
    text = '<think>why</think>\n<solution>\n```python\nEND = "</think>"\n```\n</solution>'
    assert split(text) == ("why", '<solution>\n```python\nEND = "</think>"\n```\n</solution>')


def test_words_before_the_opening_mark_are_kept_with_the_thinking():
    assert split("Well. <think>why</think>what") == ("Well. <think>why", "what")


PIECES = st.sampled_from(
    ["<think>", "</think>", "<solution>", "</solution>", "\n", "```", "a b", "`</think>`", " ", ""]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["stop", "length"]), st.booleans())
def test_the_solution_is_never_in_the_thinking(text, finish, thinking):
    completion = Completion(text, finish)
    solution = solution_of(completion, thinking=thinking)
    thought, rest = split_thinking(completion, thinking=thinking)
    assert thought in text
    assert rest in text
    assert (solution or "").strip() in rest
