"""What of an answer is the answer: every spelling of thinking, thinking that was cut, marks that are only words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.answers.marks import SPELLINGS
from swerl_eval.core.answers.solution import published_form, put_back, solution_of, split_thinking
from swerl_eval.core.types import Completion
from tests.core.answers.growth import grows_in_proportion


def read(text: str, *, finish: str = "stop", reasoning: str = "", thinking: bool = True) -> str | None:
    return solution_of(Completion(text, finish, reasoning=reasoning), thinking=thinking)


def block(search: str, replace: str, *, opening: str = "```python") -> str:
    return f"{opening}\n### a.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```"


DRAFT, FINAL = block("x = 1", "x = 99"), block("x = 1", "x = 2")
HARMONY = (
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
)
MARKS = {
    "published": ("<think>", "</think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "capitals": ("<Thinking>", "</Thinking>"),
    "EXAONE": ("<thought>", "</thought>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "MiniMax": ("<mm:think>", "</mm:think>"),
    "Hunyuan": ("<think:opensource>", "</think:opensource>"),
    "Mistral": ("[THINK]", "[/THINK]"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Kimi K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "Cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "OpenThinker": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "PLaMo": ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    "K2": ("<ifm|think_fast>", "</ifm|think_fast>"),
    "harmony": HARMONY,
    "harmony with a constraint": (HARMONY[0], "<|channel|>final <|constrain|>json<|message|>"),
    "harmony without special tokens": ("analysisWe", "assistantfinal"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
}
CLOSING_ONLY = {"Granite": "\nHere is my response:\n", "Apriel": "\n[BEGIN FINAL RESPONSE]\n"}


# -- the published form


def test_the_solution_is_what_stands_after_the_thinking_and_within_the_tags():
    assert read("<think>draft</think>\n<solution>\nfinal\n</solution> bye") == "\nfinal\n"


def test_an_answer_without_tags_is_its_own_solution():
    assert read("just text") == "just text"


def test_a_solution_that_was_cut_goes_to_the_end():
    assert read("<think>t</think><solution>half", finish="length") == "half"


def test_tags_within_the_thinking_do_not_open_the_solution():
    assert read("<think>I will write <solution>draft</solution></think><solution>final</solution>") == "final"


def test_an_answer_whose_opening_tag_was_part_of_the_prompt_is_read_after_its_thinking():
    assert read("thinking</think>final") == "final"


def test_of_two_closing_tags_of_thinking_the_last_counts():
    assert read("<think>a</think> b </think> c") == " c"


def test_a_tag_may_stand_on_the_line_of_a_fence():
    assert read(f"<think>\n{DRAFT}</think><solution>\n{FINAL}</solution>\n{DRAFT}") == f"\n{FINAL}"
    assert read(f"<think>t</think><solution>{FINAL}</solution> or\n{DRAFT}</solution>") == FINAL


def test_marks_and_fences_may_share_a_line():
    assert read(f"<think>{DRAFT}</think>{FINAL}") == FINAL
    assert read(f"<think>{DRAFT}</think><solution>{FINAL}</solution>{DRAFT}") == FINAL
    assert read(f"{DRAFT}</think>{FINAL}") == FINAL


def test_thinking_within_the_solution_is_left_out():
    assert read(f"<solution><think>{DRAFT}</think>{FINAL}</solution> bye") == FINAL
    assert read(f"<solution>\n<think>t</think>\n{FINAL}\n</solution>") == f"\n{FINAL}\n"


def test_an_answer_that_the_last_thought_follows_is_what_stands_before_it():
    assert read(f"<think>a</think>{FINAL}<think>done</think>\n") == FINAL
    assert read(f"<think>a</think><solution>{FINAL}</solution>\n</think>") == FINAL
    assert read(f"Maybe <solution>{DRAFT}</solution>\nno, <think>done</think>") == ""
    assert read(f"<think>a</think> I see. <think>{DRAFT}</think>") == ""
    assert read(f"<think>a </think> b {DRAFT}</think>") == ""


def test_drafts_in_the_thinking_are_no_part_of_the_solution():
    assert read(f"<think>\n{DRAFT}\n</think>\n<solution>\n{FINAL}\n</solution>") == f"\n{FINAL}\n"


# -- every spelling


@pytest.mark.parametrize("spelling", MARKS)
def test_thinking_is_left_out_in_every_spelling(spelling: str):
    opening, closing = MARKS[spelling]
    assert read(f"{opening}Maybe\n{DRAFT}\nno.{closing}{FINAL}") == FINAL
    assert read(f"{opening}Maybe\n{DRAFT}\nno.{closing}\n<solution>{FINAL}</solution>\n") == FINAL


@pytest.mark.parametrize("spelling", [*MARKS, *CLOSING_ONLY])
def test_thinking_that_the_template_opened_is_left_out_in_every_spelling(spelling: str):
    closing = CLOSING_ONLY.get(spelling) or MARKS[spelling][1]
    assert (read(f"Maybe\n{DRAFT}\nno.{closing}{FINAL}") or "").strip() == FINAL


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("spelling", MARKS)
def test_thinking_that_was_opened_and_not_closed_leaves_no_solution(spelling: str, thinking: bool, finish: str):
    for preface in ("", "\n"):
        if not preface or not MARKS[spelling][0].startswith("analysis"):
            assert read(f"{preface}{MARKS[spelling][0]}Maybe\n{DRAFT}", finish=finish, thinking=thinking) is None


@pytest.mark.parametrize("spelling", [name for name in MARKS if name != "harmony without special tokens"])
def test_nor_where_it_was_opened_after_a_preface(spelling: str):
    assert read(f"Sure, I'll do it.\n{MARKS[spelling][0]}Maybe\n{DRAFT}\nno.", thinking=False) is None


def test_every_spelling_of_the_table_is_tried_here():
    tried = "\n".join(mark for pair in MARKS.values() for mark in pair) + "".join(CLOSING_ONLY.values())
    assert len(SPELLINGS) == 13
    assert read(tried) is not None


def test_harmony_may_think_in_several_messages_and_comment():
    comment = "<|end|><|start|>assistant<|channel|>commentary<|message|>I will edit."
    assert read(f"{HARMONY[0]}Maybe{comment}{HARMONY[1]}{FINAL}<|return|>") == FINAL
    assert read(f"{HARMONY[0]}Maybe{comment}\n{DRAFT}") is None


@pytest.mark.parametrize("token", ["<|end|>", "<|return|>", "<|END_RESPONSE|>", "[END FINAL RESPONSE]", "<turn|>\n"])
def test_a_special_token_at_the_end_is_left_out(token: str):
    assert read(f"{HARMONY[0]}t{HARMONY[1]}{FINAL}{token}") == FINAL


# -- cut, and what the server says


def test_with_thinking_asked_for_a_cut_answer_that_closes_none_is_all_thinking():
    assert read(f"Maybe\n{DRAFT}\nno, that", finish="length") is None
    assert read(f"Maybe\n{DRAFT}\nno, that", finish="stop") == f"Maybe\n{DRAFT}\nno, that"


def test_without_thinking_asked_for_a_cut_answer_is_read_as_it_is():
    assert read(f"{FINAL}\nand", finish="length", thinking=False) == f"{FINAL}\nand"


def test_a_cut_answer_is_read_where_the_server_sent_the_thinking_apart():
    assert read(f"{FINAL}\nand", finish="length", reasoning="hm") == f"{FINAL}\nand"
    assert read(f"<solution>{FINAL}\nand", finish="length", reasoning="hm") == f"{FINAL}\nand"
    assert read(f"no </think>{FINAL}", finish="length", reasoning="hm") == FINAL
    assert read(" ", finish="stop", reasoning="hm") == " "
    assert read("\n", finish="length", reasoning="hm", thinking=False) is None


def test_a_cut_answer_that_begins_with_its_solution_has_one():
    assert read(f"\n<solution>\n{FINAL}\nand", finish="length") == f"\n{FINAL}\nand"


# -- marks that are words of the answer

QUOTED = block(
    'text.split("</think>")[1]',
    "PATTERN = r'<think>(.*?)</think>'\nanswer = text.rpartition('</think>')[2]  # after `</think>`",
)
TEMPLATE = block('PROMPT = """', 'PROMPT = """\n<think>\nthoughts\n</think>\n<solution>\nanswer\n</solution>')
COMMENT = block("x = 1", "# what follows </think> is the answer, within <solution> if there is one\nx = 2")
MARKED = [QUOTED, TEMPLATE, COMMENT, block("</think>", "</think>\n")]


@pytest.mark.parametrize("edit", MARKED)
@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "<think>The tags: `</think>`.</think>{}",
        "hm</think>\n{}",
        "<think>t</think>\n<solution>{}</solution>",
        "hm</think>\n<solution>{}",
    ],
)
def test_marks_in_the_code_of_a_solution_do_not_eat_it(edit: str, frame: str):
    edits = f"{FINAL}\n{edit}\n{FINAL}"
    assert (read(frame.format(edits)) or "").strip() == edits


def test_marks_in_backquotes_or_quotes_are_words():
    for said in (
        "The text after `</think>` is kept.",
        'It looks for "<think>" only.',
        "Not '</think>' but `[/THINK]`.",
    ):
        assert read(f"{FINAL}\n{said}") == f"{FINAL}\n{said}"
        assert read(f"{said}\n{FINAL}") == f"{said}\n{FINAL}"
        assert read(f"<think>t</think>{FINAL}\n{said}") == f"{FINAL}\n{said}"


def test_an_apostrophe_is_no_quote():
    assert read("<think>I don't know, it's</think>what's left") == "what's left"
    assert read('<think>in "a.py"</think>["b.py"]') == '["b.py"]'


def test_an_opening_mark_in_a_remark_after_a_whole_block_opens_no_thinking():
    assert read(f"{FINAL}\nThis strips <think> as well.", thinking=False) == f"{FINAL}\nThis strips "
    assert read(f"<think>t</think>{FINAL}\nThis strips <think> as well.") == f"{FINAL}\nThis strips "


def test_a_mark_that_the_thinking_mentions_does_not_end_it():
    assert read(f"<think>It has to split at </think> like so:\n{DRAFT}\nno.</think>{FINAL}") == FINAL
    assert read(f"It has to split at </think> like so:\n{DRAFT}\nno.\n</think>\n{FINAL}") == f"\n{FINAL}"
    assert read(f"<think>Like so:\n{QUOTED}\n{TEMPLATE}\nno.</think>{FINAL}") == FINAL
    assert read(f"<think>Like so:\n{QUOTED}\n{TEMPLATE}\nno. So", finish="length") is None


BROKEN_OFF = ["```python\nx = 1", "```", "```\n### a.py\n<<<<<<< SEARCH\nx = 1", "````", DRAFT + "```", "~~~\nx"]


@pytest.mark.parametrize("draft", BROKEN_OFF)
@pytest.mark.parametrize("opening", ["```python", "```"])
@pytest.mark.parametrize("begun", ["<think>", ""])
def test_a_draft_that_was_broken_off_does_not_hide_the_end_of_the_thinking(draft: str, opening: str, begun: str):
    final = block("x = 1", "x = 2", opening=opening)
    for closing in ("</think>\n", "</think>\n<solution>\n", "hm </think> ", "```</think>\n"):
        found = read(f"{begun}{DRAFT}\nhm\n{draft}\n{closing}{final}")
        assert found is not None
        if begun or opening == "```python" or "SEARCH" in draft:
            assert found.strip() == final


# -- any text

PIECES = st.sampled_from(
    [*(mark for pair in MARKS.values() for mark in pair), "<solution>", "</solution>", "```", "```python", "~~~", "`",
     '"', "'", "\n", "\n", " ", "word", "don't", "<<<<<<< SEARCH\n", ">>>>>>> REPLACE\n", "<|end|>"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


@settings(deadline=None)
@given(TEXTS, st.booleans(), st.sampled_from(["stop", "length"]), st.sampled_from(["", "hm"]))
def test_the_solution_of_any_text_is_a_part_of_it(text: str, thinking: bool, finish: str, reasoning: str):
    found = read(text, thinking=thinking, finish=finish, reasoning=reasoning)
    assert found is None or found in text


@settings(deadline=None)
@given(TEXTS, st.sampled_from(sorted(MARKS)))
def test_whatever_was_thought_is_left_out(thoughts: str, spelling: str):
    opening, closing = MARKS[spelling]
    found = read(f"{opening}{thoughts}\n```\n```python\n{closing}\n<solution>\nfinal\n</solution>")
    assert found is None or found == "\nfinal\n"


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>\n", "`</think>", '"<think>', "```\n", "<|channel|>", "<|end|>", "'", "\n"]
)
def test_a_long_answer_takes_time_in_proportion_to_its_length(piece: str):
    def work(text: str) -> None:
        read(text)
        published_form(Completion(text))

    assert grows_in_proportion(work, piece)


# -- as the reward wants it

WHOLE = f"<think>hm</think>\n<solution>{FINAL}</solution>"


def test_an_answer_in_the_published_tags_stays_as_it_is():
    for text in (WHOLE, "no tags", "<think>never closed", "<solution>x</solution>", f"{WHOLE}</think>", ""):
        assert published_form(Completion(text)) == text


def test_thinking_that_a_server_sent_apart_is_put_back_and_the_solution_wrapped_once():
    assert published_form(Completion(f"<solution>{FINAL}</solution>", reasoning="hm")) == WHOLE
    assert published_form(Completion(FINAL, reasoning="hm")) == WHOLE
    assert published_form(Completion(f"\n{FINAL}", reasoning="<think>hm</think>")).startswith(
        "<think>hm</think>\n<solution>"
    )
    # what the model did wrong stays
    assert published_form(Completion(f"<solution>{FINAL}", reasoning="hm")) == f"<think>hm</think>\n<solution>{FINAL}"


def test_an_opening_tag_that_the_template_wrote_is_put_in_front():
    assert published_form(Completion(WHOLE.removeprefix("<think>"))) == WHOLE
    # the only closing mark is a word of the solution: no thinking at all
    assert published_form(Completion(QUOTED.replace("<think>", ""))) == QUOTED.replace("<think>", "")


@pytest.mark.parametrize("spelling", [name for name in MARKS if name != "harmony without special tokens"])
def test_other_spellings_become_the_published_tags(spelling: str):
    opening, closing = MARKS[spelling]
    assert published_form(Completion(f"{opening}hm{closing}\n<solution>{FINAL}</solution>")) == WHOLE
    assert published_form(Completion(f"hm{closing}\n<solution>{FINAL}</solution>")) == WHOLE


def test_several_messages_of_harmonys_thinking_are_one():
    text = f"{HARMONY[0]}h<|start|>assistant{HARMONY[0]}m{HARMONY[1]}\n<solution>{FINAL}</solution>"
    assert published_form(Completion(text)) == WHOLE


def test_two_thoughts_in_another_spelling_stay_two():
    assert published_form(Completion("[THINK]a[/THINK][THINK]b[/THINK]")) == "<think>a</think><think>b</think>"


def test_tags_that_a_server_left_on_the_thinking_are_not_doubled():
    assert put_back("<think>hm</think>") == put_back(" hm\n") == "<think>hm</think>"


# -- thinking and answer, for people


@pytest.mark.parametrize("spelling", MARKS)
def test_thinking_is_split_from_what_follows_it(spelling: str):
    opening, closing = MARKS[spelling]
    # here a letter of the thinking is part of what stands for the mark
    thought = "e hm" if spelling == "harmony without special tokens" else "hm"
    text = (
        f"\n{opening.removesuffix('We')}{'W' * (thought != 'hm')}{thought}{closing} so <solution>{FINAL}</solution> end"
    )
    text = text if thought == "hm" else text.lstrip()
    thoughts, answer = split_thinking(Completion(text), thinking=True)
    assert thoughts.removeprefix("W") == thought
    assert answer == f" so <solution>{FINAL}</solution> end"


def test_thinking_that_the_template_opened_is_split_too():
    assert split_thinking(Completion(f"hm</think>{FINAL}"), thinking=True) == ("hm", FINAL)


def test_an_answer_that_ended_within_its_thinking_is_all_thinking():
    assert split_thinking(Completion("<think>hm", "length"), thinking=True) == ("hm", "")
    assert split_thinking(Completion("hm", "length"), thinking=True) == ("hm", "")
    assert split_thinking(Completion("hm", "length"), thinking=False) == ("", "hm")


def test_thinking_that_the_server_sent_apart_has_no_tags():
    assert split_thinking(Completion(FINAL, reasoning="<think>hm</think>"), thinking=True) == ("hm", FINAL)


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<solution>", "</solution>", "hm", "\n", "```\n", "`"]), max_size=9
    )
)
def test_no_word_is_lost_when_thinking_is_split(parts: list[str]):
    thoughts, answer = split_thinking(Completion("".join(parts)), thinking=True)
    assert thoughts.count("hm") + answer.count("hm") == parts.count("hm")
