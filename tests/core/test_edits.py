"""SEARCH/REPLACE blocks: what is read from an answer, and what comes of applying it."""

from __future__ import annotations

import posixpath
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.edits import (
    REPAIR,
    REWARD,
    STRICT,
    EditError,
    Leniences,
    apply_edits,
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


def rejection_of(texts: dict[str, str], *edits: Edit) -> Rejection:
    with pytest.raises(EditError) as caught:
        apply_edits(texts, list(edits))
    return caught.value.rejection


def applied(text: str, search: tuple[str, ...], replace: tuple[str, ...]) -> str:
    return apply_edits({"f": text}, [Edit("f", search, replace)])["f"]


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


@pytest.mark.parametrize("heading", ["`a.py`", "./a.py", "`./a.py`", "  a.py  "])
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


def test_a_search_marker_within_the_search_is_text_to_be_found():
    text = block("a.py", "<<<<<<< SEARCH\nx\n", "y\n")
    assert [find_blocks(text, leniences) for leniences in ALL] == [[Edit("a.py", ("<<<<<<< SEARCH", "x"), ("y",))]] * 3


# -- applying


def test_an_edit_replaces_whole_lines_and_leaves_the_rest():
    assert applied("a\nb\nc\n", ("b",), ("x", "y")) == "a\nx\ny\nc\n"


def test_a_part_of_a_line_is_not_matched():
    assert rejection_of({"f": "prefix x = 1\n"}, Edit("f", ("x = 1",), ("x = 2",))) is Rejection.NO_MATCH
    assert rejection_of({"f": "x = 1  # why\n"}, Edit("f", ("x = 1",), ("x = 2",))) is Rejection.NO_MATCH


def test_indentation_counts():
    assert rejection_of({"f": "    x\n"}, Edit("f", ("x",), ("y",))) is Rejection.NO_MATCH


def test_lines_are_deleted_by_an_empty_replacement():
    assert applied("a\nb\nc\n", ("b", "c"), ()) == "a\n"
    assert applied("a\nb\n", ("a", "b"), ()) == ""


def test_a_repeated_match_is_replaced_everywhere_but_where_matches_overlap():
    assert applied("x\ny\nx\n", ("x",), ("z", "z")) == "z\nz\ny\nz\nz\n"
    assert applied("x\nx\nx\n", ("x", "x"), ("y",)) == "y\nx\n"


def test_several_edits_of_one_file_are_applied_in_order_each_on_what_the_one_before_left():
    edits = [Edit("f", ("a",), ("b",)), Edit("f", ("b",), ("c",))]
    assert apply_edits({"f": "a\nb\n"}, edits) == {"f": "c\nc\n"}


def test_several_files_are_edited_and_the_others_are_not_named():
    edits = [Edit("f", ("1",), ("2",)), Edit("g", ("1",), ("3",))]
    assert apply_edits({"f": "1\n", "g": "1\n", "h": "1\n"}, edits) == {"f": "2\n", "g": "3\n"}


def test_what_is_handed_in_is_not_changed():
    texts = {"f": "1\n"}
    apply_edits(texts, [Edit("f", ("1",), ("2",))])
    assert texts == {"f": "1\n"}


def test_crlf_lines_are_matched_by_lf_edits_and_stay_crlf():
    assert applied("a\r\nb\r\nc\r\n", ("b",), ("x", "y")) == "a\r\nx\r\ny\r\nc\r\n"


def test_in_a_file_of_mixed_line_ends_the_replaced_lines_end_as_the_first_of_them_did():
    assert applied("a\r\nb\nc\n", ("a", "b"), ("x", "y")) == "x\r\ny\r\nc\n"
    assert applied("a\nb\r\nc\n", ("a", "b"), ("x", "y")) == "x\ny\nc\n"
    assert applied("a\r\nb\nc\r\n", ("b",), ("x",)) == "a\r\nx\nc\r\n"


def test_a_file_without_final_line_end_stays_so():
    assert applied("a\nb", ("b",), ("x", "y")) == "a\nx\ny"
    assert applied("a\r\nb", ("b",), ("x", "y")) == "a\r\nx\r\ny"
    assert applied("a\r\nb", ("a", "b"), ("x", "y")) == "x\r\ny"


def test_deleting_an_unended_last_line_leaves_the_line_before_whole():
    assert applied("a\nb", ("b",), ()) == "a\n"
    assert applied("a\r\nb", ("b",), ()) == "a\r\n"


def test_a_blank_line_too_many_at_the_end_of_the_search_is_forgiven():
    assert applied("a\nb\nc\n", ("b", ""), ("x", "")) == "a\nx\nc\n"
    assert applied("a\nb\nc\n", ("b", ""), ("x",)) == "a\nx\nc\n"
    assert applied("a\nb\nc\n", ("b", "", ""), ("x", "", "")) == "a\nx\nc\n"


def test_a_blank_line_after_the_search_is_matched_where_there_is_one():
    assert applied("a\nb\n\nc\n", ("b", ""), ("x",)) == "a\nx\nc\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_too_many_at_the_end_of_the_file_neither_drops_nor_adds_a_line_end(end: str):
    text = f"a{end}b{end}"
    assert applied(text, ("b", ""), ("x", "")) == f"a{end}x{end}"
    assert applied(text, ("b", ""), ("x",)) == f"a{end}x{end}"


def test_a_new_file_ends_with_one_line_end():
    edits = [Edit("pkg/new.py", (), ("x = 1",)), Edit("other.py", ("",), ("y = 2", ""))]
    assert apply_edits({}, edits) == {"pkg/new.py": "x = 1\n", "other.py": "y = 2\n"}


def test_a_new_file_can_be_edited_further():
    edits = [Edit("new.py", (), ("x = 1",)), Edit("new.py", ("x = 1",), ("x = 2",))]
    assert apply_edits({}, edits) == {"new.py": "x = 2\n"}


def test_a_file_that_is_empty_so_far_is_filled_by_an_empty_search():
    assert applied("", (), ("x",)) == "x\n"
    assert applied("\n\n", ("",), ("x",)) == "x\n"


def test_an_empty_search_in_a_file_that_is_not_empty_matches_nothing():
    assert rejection_of({"f": "a\n\nb\n"}, Edit("f", ("",), ("x",))) is Rejection.NO_MATCH


def test_a_file_that_was_not_shown_cannot_be_searched():
    assert rejection_of({"f": "1\n"}, Edit("g", ("1",), ("2",))) is Rejection.UNKNOWN_PATH


def test_the_same_search_and_replacement_are_no_change():
    assert rejection_of({"f": "1\n"}, Edit("f", ("1",), ("1",))) is Rejection.NO_CHANGE
    assert rejection_of({}, Edit("new.py", (), ())) is Rejection.NO_CHANGE


def test_the_first_edit_that_fails_is_named():
    edits = [Edit("f", ("1",), ("2",)), Edit("f", ("1",), ("3",))]
    with pytest.raises(EditError, match=re.escape("edit 2 (f): the search text is not in the file")):
        apply_edits({"f": "1\n"}, edits)


@pytest.mark.parametrize(
    "path",
    [
        "../x.py",
        "a/../../x.py",
        "/etc/passwd",
        ".git/config",
        "sub/.git/hooks/pre-commit",
        "",
        ".",
        "./x.py",
        "a//b.py",
        "a/",
        "a\0b.py",
    ],
)
def test_a_new_file_outside_of_the_repository_is_refused(path: str):
    assert rejection_of({}, Edit(path, (), ("x",))) is Rejection.UNKNOWN_PATH


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
@given(ANSWERS, st.text())
def test_applying_any_answer_gives_texts_within_the_repository_or_an_edit_error(answer: str, text: str):
    try:
        after = apply_edits({"a.py": text}, parse_answer(answer))
    except EditError:
        return
    assert after
    for path in after:
        assert posixpath.normpath(path) == path
        assert not path.startswith(("/", "../"))


@settings(deadline=None)
@given(st.text(st.sampled_from("./ag\0"), max_size=12))
def test_a_new_path_is_refused_or_stays_within_the_repository(path: str):
    try:
        apply_edits({}, [Edit(path, (), ("x",))])
    except EditError as error:
        assert error.rejection is Rejection.UNKNOWN_PATH
        return
    assert posixpath.normpath(path) == path
    assert not path.startswith(("/", "../", ".git/"))
    assert path not in {"..", "."}
    assert "\0" not in path


@settings(deadline=None)
@given(st.data(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_an_edit_of_a_run_of_whole_lines_gives_the_text_with_the_run_replaced(
    data: st.DataObject, end: str, final_end: bool
):
    contents = data.draw(st.lists(SAFE_LINE, min_size=1, max_size=8))
    lines = [f"{number}:{content}" for number, content in enumerate(contents)]  # each stands in one place only
    if len(lines) == 1 and not final_end:
        end = "\n"  # nothing in the file says otherwise
    start = data.draw(st.integers(0, len(lines) - 1))
    stop = data.draw(st.integers(start + 1, len(lines)))
    replace = list(data.draw(LINES.filter(lambda found: list(found) != lines[start:stop])))

    expected = end.join(lines[:start] + replace + lines[stop:])
    left = len(lines) - (stop - start) + len(replace)
    if left and (final_end or (stop == len(lines) and not replace)):
        expected += end
    text = end.join(lines) + (end if final_end else "")
    assert applied(text, tuple(lines[start:stop]), tuple(replace)) == expected


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("ab"), max_size=12),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=3),
    st.lists(st.sampled_from("abc"), max_size=3),
)
def test_every_match_is_replaced_as_a_regular_expression_over_lines_would(
    lines: list[str], search: list[str], replace: list[str]
):
    text = "".join(line + "\n" for line in lines)
    pattern = re.compile("(?m)^" + "".join(line + "\n" for line in search))
    if search == replace:
        assert rejection_of({"f": text}, Edit("f", tuple(search), tuple(replace))) is Rejection.NO_CHANGE
    elif pattern.search(text):
        assert applied(text, tuple(search), tuple(replace)) == pattern.sub("".join(r + "\n" for r in replace), text)
    else:
        assert rejection_of({"f": text}, Edit("f", tuple(search), tuple(replace))) is Rejection.NO_MATCH


@settings(deadline=None)
@given(st.text(), st.text(max_size=3))
def test_a_rejected_search_never_changes_the_text(text: str, extra: str):
    absent = f"{text}{extra}\x00absent"
    search = tuple(absent.split("\n"))
    assert rejection_of({"f": text}, Edit("f", search, ("x",))) is Rejection.NO_MATCH
