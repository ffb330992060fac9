"""SEARCH/REPLACE blocks: what is read from an answer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.edits import (
    REPAIR,
    REWARD,
    STRICT,
    EditError,
    Leniences,
    find_blocks,
    parse_answer,
)
from swerl_eval.core.types import Edit, Rejection

ALL = [STRICT, REWARD, REPAIR]


def block(path: str, search: str, replace: str, *, opening: str = "```python", closing: str = "```") -> str:
    """One block; `search` and `replace` are whole lines, each with its line feed."""
    return f"{opening}\n### {path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n{closing}"


PLAIN = block("a.py", "x = 1\n", "x = 2\n")
PLAIN_EDIT = Edit("a.py", ("x = 1",), ("x = 2",))


# -- what is no edit


@pytest.mark.parametrize(
    "answer",
    [
        "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n",
        "```python\n### a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n```",
        "```python\n### a.py\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```",
        "```python\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```",
    ],
    ids=["no fence", "never closed", "never opened", "no path"],
)
def test_markers_without_a_whole_block_are_a_bad_format(answer: str):
    with pytest.raises(EditError) as caught:
        parse_answer(answer)
    assert caught.value.rejection is Rejection.BAD_FORMAT


@pytest.mark.parametrize("answer", ["", "Nothing to do.", "```python\nx = 1\n```", "=======\n"])
def test_an_answer_without_markers_holds_no_edit(answer: str):
    with pytest.raises(EditError) as caught:
        parse_answer(answer)
    assert caught.value.rejection is Rejection.NO_EDIT


# -- what each leniency accepts


@pytest.mark.parametrize("leniences", ALL)
def test_a_block_of_the_published_format_is_read_in_every_leniency(leniences: Leniences):
    assert find_blocks(f"Here it is:\n\n{PLAIN}\n\nDone.", leniences) == [PLAIN_EDIT]


@pytest.mark.parametrize("leniences", ALL)
def test_blocks_in_fences_of_their_own_are_read_in_order_in_every_leniency(leniences: Leniences):
    text = PLAIN + "\n\nand\n\n" + block("b.py", "1\n2\n", "3\n", opening="```")
    assert find_blocks(text, leniences) == [PLAIN_EDIT, Edit("b.py", ("1", "2"), ("3",))]


@pytest.mark.parametrize("leniences", ALL)
def test_blank_lines_and_indentation_within_a_block_are_kept_in_every_leniency(leniences: Leniences):
    text = block("a.py", "\n    x\n\n", "\ty  \n\n\n")
    assert find_blocks(text, leniences) == [Edit("a.py", ("", "    x", ""), ("\ty  ", "", ""))]


@pytest.mark.parametrize("leniences", ALL)
def test_a_divider_within_the_replacement_is_part_of_it_in_every_leniency(leniences: Leniences):
    text = block("doc.rst", "Old\n---\n", "New\n=======\n")
    assert find_blocks(text, leniences) == [Edit("doc.rst", ("Old", "---"), ("New", "======="))]


@pytest.mark.parametrize("leniences", ALL)
def test_the_opening_fence_may_name_any_language(leniences: Leniences):
    assert find_blocks(block("a.c", "1\n", "2\n", opening="```c title=x"), leniences) == [Edit("a.c", ("1",), ("2",))]


@pytest.mark.parametrize("leniences", ALL)
@pytest.mark.parametrize("before", ["The fix: ", "  ", "1. "])
def test_the_opening_fence_need_not_begin_its_line(leniences: Leniences, before: str):
    assert find_blocks(before + PLAIN, leniences) == [PLAIN_EDIT]


@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n"])
def test_the_final_closing_fence_may_be_missing_except_in_the_published_format(tail: str):
    text = block("a.py", "x = 1\n", "x = 2\n", closing="").rstrip("\n") + tail
    assert [find_blocks(text, leniences) for leniences in ALL] == [[], [PLAIN_EDIT], [PLAIN_EDIT]]


def test_a_final_block_without_fence_that_more_text_follows_is_read_by_the_repair_stage_alone():
    text = block("a.py", "x = 1\n", "x = 2\n", closing="") + "That is all."
    assert [find_blocks(text, leniences) for leniences in ALL] == [[], [], [PLAIN_EDIT]]


@pytest.mark.parametrize("opening", ["```", "```python"])
def test_a_closing_fence_in_the_middle_may_be_missing_in_the_repair_stage(opening: str):
    first = block("a.py", "x = 1\n", "x = 2\n", opening=opening, closing="")
    text = first + "\nand\n\n" + block("b.py", "3\n", "4\n", opening=opening)
    assert find_blocks(text, REPAIR) == [PLAIN_EDIT, Edit("b.py", ("3",), ("4",))]


@pytest.mark.parametrize(
    ("search", "replace", "edit"),
    [("x\n", "", Edit("a.py", ("x",), ())), ("", "y\n", Edit("a.py", (), ("y",)))],
    ids=["deletion", "new file"],
)
def test_empty_bodies_are_read_by_the_repair_stage_alone(search: str, replace: str, edit: Edit):
    text = block("a.py", search, replace)
    assert [find_blocks(text, leniences) for leniences in ALL] == [[], [], [edit]]


def test_several_blocks_in_one_fence_share_its_path_until_another_is_named():
    text = (
        "```python\n### a.py\n"
        "<<<<<<< SEARCH\n1\n=======\n2\n>>>>>>> REPLACE\n\n"
        "<<<<<<< SEARCH\n3\n=======\n4\n>>>>>>> REPLACE\n"
        "### b.py\n"
        "<<<<<<< SEARCH\n5\n=======\n6\n>>>>>>> REPLACE\n```"
    )
    assert find_blocks(text, REPAIR) == [
        Edit("a.py", ("1",), ("2",)),
        Edit("a.py", ("3",), ("4",)),
        Edit("b.py", ("5",), ("6",)),
    ]


@pytest.mark.parametrize("leniences", [STRICT, REWARD])
def test_in_the_published_format_a_block_ends_at_a_closing_marker_that_a_fence_follows(leniences: Leniences):
    text = "```\n### a.py\n<<<<<<< SEARCH\n1\n=======\n2\n>>>>>>> REPLACE\n\n3\n>>>>>>> REPLACE\n```"
    assert find_blocks(text, leniences) == [Edit("a.py", ("1",), ("2", ">>>>>>> REPLACE", "", "3"))]


@pytest.mark.parametrize("heading", ["`a.py`", "./a.py", "`./a.py`", "  a.py  ", "\u200ba.py", "\ufeff`a.py`\u2060"])
def test_the_path_may_be_decorated_in_the_repair_stage(heading: str):
    assert find_blocks(block(heading, "x = 1\n", "x = 2\n"), REPAIR) == [PLAIN_EDIT]


def test_the_path_is_taken_as_it_stands_in_the_published_format():
    assert find_blocks(block("`./a.py`", "1\n", "2\n"), STRICT) == [Edit("`./a.py`", ("1",), ("2",))]


def test_carriage_returns_do_not_count_in_the_repair_stage_alone():
    text = PLAIN.replace("\n", "\r\n")
    assert [find_blocks(text, leniences) for leniences in ALL] == [[], [], [PLAIN_EDIT]]


def test_blanks_after_markers_do_not_count_in_the_repair_stage_alone():
    text = (
        PLAIN.replace("SEARCH\n", "SEARCH \n").replace("=======\n", "=======\t\n").replace("REPLACE\n", "REPLACE  \n")
    )
    assert [find_blocks(text, leniences) for leniences in ALL] == [[], [], [PLAIN_EDIT]]


INDENTED = "".join(f"   {line}" for line in PLAIN.splitlines(keepends=True))
SLIPS = {
    "four backquotes": PLAIN.replace("```", "````"),
    "tildes": PLAIN.replace("```", "~~~"),
    "the closing fence on the marker's line": PLAIN.replace("REPLACE\n```", "REPLACE```"),
    "a blank line below the fence": PLAIN.replace("```python\n", "```python\n\n"),
    "code in prose, then a bare fence and a blank line": "See ```x```.\n\n" + PLAIN.replace("```python\n", "```\n\n"),
    "an odd number of fences before": "```\noutput\n\n" + PLAIN,
    "the path behind the marker": PLAIN.replace("SEARCH\n", "SEARCH `a.py`\n"),
    "other words": PLAIN.replace("SEARCH", "ORIGINAL").replace("REPLACE", "UPDATED"),
    "no blank before the words": PLAIN.replace(" SEARCH", "SEARCH").replace(" REPLACE", "REPLACE"),
    "lower case": PLAIN.replace("SEARCH", "search").replace("REPLACE", "replace"),
    "indented in a list": f"1. So:\n\n{INDENTED}\n",
    "indented markers": PLAIN.replace("<<<<", "    <<<<")
    .replace("\n===", "\n    ===")
    .replace(">>>>>>> ", "    >>>>>>> "),
}


@pytest.mark.parametrize("text", SLIPS.values(), ids=SLIPS.keys())
def test_what_nobody_can_take_otherwise_is_read_by_the_repair_stage(text: str):
    assert find_blocks(text, REPAIR) == [PLAIN_EDIT]
    assert parse_answer(text) == [PLAIN_EDIT]


@pytest.mark.parametrize("opening", ["```", "```python"])
def test_headings_of_the_prose_between_blocks_do_not_count(opening: str):
    first, second = (block(path, "x = 1\n", "x = 2\n", opening=opening) for path in ("a.py", "b.py"))
    text = f"### First\n\n{first}\n\n### Then\n\n{second}\n\n### Why\n\nSo."
    assert find_blocks(text, REPAIR) == [PLAIN_EDIT, Edit("b.py", ("x = 1",), ("x = 2",))]


def test_of_a_block_that_is_indented_as_a_whole_the_lines_keep_what_they_have_beyond_it():
    text = f"- {block('a.py', 'if x:', '    y')}"
    indented = "".join(f"  {line}\n" for line in block("a.py", "if x:\n    y\n\n", "z\n").split("\n"))
    assert find_blocks(indented.replace("    \n", "\n"), REPAIR) == [Edit("a.py", ("if x:", "    y", ""), ("z",))]
    assert find_blocks(text, REPAIR) == []


def test_an_indented_divider_is_text_where_the_markers_are_not_indented():
    text = block("a.py", "    Options\n    =======\n", "    More\n    =======\n")
    assert find_blocks(text, REPAIR) == [Edit("a.py", ("    Options", "    ======="), ("    More", "    ======="))]


WRONG = {
    "no divider": (
        "```\n### a.py\n<<<<<<< SEARCH\nx = 1\n>>>>>>> REPLACE\n```",
        "the block of a.py has no divider line =======",
    ),
    "cut before the divider": ("```\n### a.py\n<<<<<<< SEARCH\nx = 1", "the block of a.py has no divider line ======="),
    "cut after the divider": (
        "```\n### a.py\n<<<<<<< SEARCH\nx = 1\n=======\n",
        "the block of a.py has no closing line >>>>>>> REPLACE",
    ),
    "no fence": (PLAIN.replace("```python\n", ""), "a block stands in no fence ```"),
    "no path": (PLAIN.replace("### a.py\n", ""), "a block has no line `### path` above it"),
    "another path behind the marker": (
        PLAIN.replace("SEARCH\n", "SEARCH b.py\n"),
        "<<<<<<< SEARCH b.py names another file than the line ### a.py",
    ),
    "another word": (PLAIN.replace("SEARCH", "HEAD"), "<<<<<<< HEAD is not the marker <<<<<<< SEARCH"),
    "closed by the other pair's word": (
        PLAIN.replace("REPLACE", "UPDATED"),
        "the block of a.py has no closing line >>>>>>> REPLACE",
    ),
    "never opened": (PLAIN.replace("<<<<<<< SEARCH\n", ""), ">>>>>>> REPLACE stands where no block is open"),
    "a marker within a line": (
        PLAIN.replace("<<<<<<<", "see <<<<<<<").replace(">>>>>>>", "see >>>>>>>"),
        "found <<<<<<< SEARCH and >>>>>>> REPLACE, but no whole block in a fence",
    ),
}


@pytest.mark.parametrize(("text", "reason"), WRONG.values(), ids=WRONG.keys())
def test_the_reason_of_a_bad_format_names_the_slip(text: str, reason: str):
    with pytest.raises(EditError) as caught:
        parse_answer(text)
    assert (caught.value.rejection, str(caught.value)) == (Rejection.BAD_FORMAT, reason)


@pytest.mark.parametrize("leniences", ALL)
def test_a_block_outside_of_any_fence_is_passed_over(leniences: Leniences):
    text = "### a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
    assert find_blocks(text, leniences) == []


@pytest.mark.parametrize("leniences", ALL)
def test_a_marker_that_is_not_a_line_of_its_own_is_no_marker(leniences: Leniences):
    assert find_blocks(PLAIN.replace("<<<<<<< SEARCH", "see <<<<<<< SEARCH"), leniences) == []


def test_a_block_that_is_never_closed_does_not_hide_the_next_one_nor_lend_it_its_path():
    unclosed = "```python\n### a.py\n<<<<<<< SEARCH\n1\n=======\n2\n```\n\n"
    assert find_blocks(unclosed + block("b.py", "3\n", "4\n"), REPAIR) == [Edit("b.py", ("3",), ("4",))]


def test_a_search_marker_within_a_replacement_begins_the_block_anew_under_the_same_path():
    text = "```\n### a.py\n<<<<<<< SEARCH\n1\n=======\n2\n<<<<<<< SEARCH\n3\n=======\n4\n>>>>>>> REPLACE\n```"
    assert find_blocks(text, REPAIR) == [Edit("a.py", ("3",), ("4",))]


def test_a_block_without_divider_does_not_hide_the_next_one():
    without = "```python\n### a.py\n<<<<<<< SEARCH\n1\n>>>>>>> REPLACE\n```\n\n"
    cut = "```python\n### a.py\n<<<<<<< SEARCH\n1\n```\n\n"
    good = block("b.py", "3\n", "4\n")
    assert find_blocks(without + good, REPAIR) == find_blocks(cut + good, REPAIR) == [Edit("b.py", ("3",), ("4",))]


def test_a_block_without_divider_within_a_fence_does_not_hide_the_next_one():
    text = PLAIN.replace("<<<<<<< SEARCH\n", "<<<<<<< SEARCH\nz\n>>>>>>> REPLACE\n<<<<<<< SEARCH\n")
    assert find_blocks(text, REPAIR) == [PLAIN_EDIT]


def test_a_search_marker_within_the_search_is_text_to_be_found():
    text = block("a.py", "<<<<<<< SEARCH\nx\n", "y\n")
    assert [find_blocks(text, leniences) for leniences in ALL] == [[Edit("a.py", ("<<<<<<< SEARCH", "x"), ("y",))]] * 3


# -- properties

SAFE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12).filter(
    lambda line: line.rstrip() not in {"<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"}
)
LINES = st.lists(SAFE_LINE, max_size=5).map(tuple)
PATH = st.from_regex(r"[a-z]{1,4}(/[a-z. -]{0,3}[a-z]){0,2}\.py", fullmatch=True)
EDITS = st.lists(st.builds(Edit, PATH, LINES, LINES), min_size=1, max_size=4)

TOKENS = st.sampled_from(
    [
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "```",
        "```python",
        "### a.py",
        "### ../b.py",
        "### ",
        "<think>",
        "</think>",
        "<solution>",
        "</solution>",
        "x = 1",
        "x = 2",
        "",
        " ",
        "\0",
        "\ud800",
    ]
)
NEAR_MISSES = st.lists(st.tuples(TOKENS, st.sampled_from(["\n", "\n", "\n", "\n", "\r\n", " \n", ""]))).map(
    lambda parts: "".join(token + end for token, end in parts)
)
ANSWERS = st.one_of(st.text(), NEAR_MISSES)


@settings(deadline=None)
@given(EDITS)
def test_edits_written_in_the_format_are_read_back(edits: list[Edit]):
    def body(lines: tuple[str, ...]) -> str:
        return "".join(line + "\n" for line in lines)

    text = "\n".join(block(edit.path, body(edit.search), body(edit.replace)) for edit in edits)
    assert find_blocks(text, REPAIR) == edits
    if all(edit.search and edit.replace and "```" not in body(edit.search + edit.replace) for edit in edits):
        assert find_blocks(text, STRICT) == edits
        assert find_blocks(text, REWARD) == edits


@settings(deadline=None)
@given(ANSWERS)
def test_any_answer_gives_edits_or_an_edit_error(answer: str):
    for leniences in ALL:
        assert all(isinstance(edit, Edit) for edit in find_blocks(answer, leniences))
    try:
        edits = parse_answer(answer)
    except EditError as error:
        assert error.rejection in {Rejection.NO_EDIT, Rejection.BAD_FORMAT}
        return
    assert edits


@settings(deadline=None)
@given(NEAR_MISSES)
def test_a_missing_final_fence_adds_at_most_one_block_to_the_published_format_s(answer: str):
    strict, lenient = find_blocks(answer, STRICT), find_blocks(answer, REWARD)
    assert lenient[: len(strict)] == strict
    assert len(lenient) <= len(strict) + 1


@settings(deadline=None)
@given(EDITS, st.data())
def test_blocks_of_which_a_line_is_missing_hide_no_other_one(edits: list[Edit], data: st.DataObject):
    texts, whole = [], []
    for edit in edits:
        text = block(edit.path, *("".join(line + "\n" for line in body) for body in (edit.search, edit.replace)))
        missing = data.draw(st.sampled_from(["", "", "=======\n", ">>>>>>> REPLACE\n", "<<<<<<< SEARCH\n", "### "]))
        texts.append(text.replace(missing, "", 1) if missing else text)
        whole += [edit] * (not missing)
    found = find_blocks("\n".join(texts), REPAIR)
    assert [edit for edit in found if edit in whole] == whole


@pytest.mark.parametrize(
    "line",
    [
        "```",
        "```python",
        "### a.py",
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "```\n### a.py\n<<<<<<< SEARCH",
        "```\n### a.py\n<<<<<<< SEARCH\n=======",
        "### a.py\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE",
        "\u200b" * 100,
        "<" * 100,
    ],
)
def test_any_text_is_read_in_linear_time(line: str):
    text = f"```\n### a.py\n<<<<<<< SEARCH\n{line}\n" + f"{line}\n" * (1_000_000 // (len(line) + 1))
    start = time.thread_time()
    for leniences in ALL:
        find_blocks(text, leniences)
    assert time.thread_time() - start < 10  # 0.5 s
