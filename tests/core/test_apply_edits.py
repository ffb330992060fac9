"""What comes of applying edits to the files that they name."""

from __future__ import annotations

import contextlib
import posixpath
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.apply_edits import MAX_FILE_CHARACTERS, apply_edits, longest_text, resolve_divider
from swerl_eval.core.edits import EditError, parse_answer
from swerl_eval.core.types import Edit, Rejection


def rejection_of(texts: dict[str, str], *edits: Edit) -> Rejection:
    with pytest.raises(EditError) as caught:
        apply_edits(texts, list(edits))
    return caught.value.rejection


def applied(text: str, search: tuple[str, ...], replace: tuple[str, ...]) -> str:
    return apply_edits({"f": text}, [Edit("f", search, replace)])["f"]


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


# -- blocks with several divider lines

TITLED = "Title\n=======\n\nOld text.\n"


def test_of_several_dividers_the_one_counts_whose_search_is_in_the_file():
    # as a block is read: split at its first divider
    edit = Edit("f", ("Title",), ("", "Old text.", "=======", "Title", "=======", "", "New text."))
    assert resolve_divider(edit, TITLED) == Edit(
        "f", ("Title", "=======", "", "Old text."), ("Title", "=======", "", "New text.")
    )
    assert apply_edits({"f": TITLED}, [edit]) == {"f": "Title\n=======\n\nNew text.\n"}


def test_a_heading_in_the_new_text_alone_is_put_there():
    edit = Edit("f", ("Title",), ("Other", "=======", "More"))
    assert apply_edits({"f": "Title\nx\n"}, [edit]) == {"f": "Other\n=======\nMore\nx\n"}


def test_a_heading_in_the_searched_text_alone_can_be_taken_away():
    edit = Edit("f", ("Title",), ("", "Old text.", "=======", "New text."))
    assert apply_edits({"f": TITLED}, [edit]) == {"f": "New text.\n"}


def test_the_longest_search_that_fits_counts():
    edit = Edit("f", ("a",), ("b", "=======", "c"))
    assert apply_edits({"f": "a\n=======\nb\n"}, [edit]) == {"f": "c\n"}
    assert apply_edits({"f": "a\nb\n"}, [edit]) == {"f": "b\n=======\nc\nb\n"}


def test_merge_markers_in_the_searched_text_are_text():
    edit = Edit("f", ("<<<<<<< HEAD", "a"), ("b", ">>>>>>> there", "=======", "x = 1"))
    assert apply_edits({"f": "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> there\n"}, [edit]) == {"f": "x = 1\n"}


def test_a_search_that_begins_with_a_divider_line_is_found():
    edit = Edit("f", (), ("Title", "=======", "=======", "New"))
    assert apply_edits({"f": "=======\nTitle\n=======\n"}, [edit]) == {"f": "New\n"}
    assert apply_edits({}, [edit]) == {"f": "Title\n=======\n=======\nNew\n"}
    assert apply_edits({"f": "\n"}, [edit]) == {"f": "Title\n=======\n=======\nNew\n"}


def test_a_blank_line_too_many_is_forgiven_in_every_split():
    edit = Edit("f", ("Title",), ("", "Old text.", "", "=======", "New text.", ""))
    assert apply_edits({"f": TITLED}, [edit]) == {"f": "New text.\n"}


def test_where_no_split_fits_the_published_one_is_rejected():
    assert rejection_of({"f": "x\n"}, Edit("f", ("a",), ("b", "=======", "c"))) is Rejection.NO_MATCH
    assert rejection_of({"f": "x\n"}, Edit("f", (), ("b", "=======", "c"))) is Rejection.NO_MATCH


def test_a_block_that_the_file_splits_into_equal_halves_changes_nothing():
    edit = Edit("f", ("a",), ("b", "=======", "a", "=======", "b"))
    assert rejection_of({"f": "a\n=======\nb\n"}, edit) is Rejection.NO_CHANGE


# -- blocks that say nothing new


def test_an_equal_edit_is_applied_once_everywhere_it_matches():
    edit = Edit("f", ("x",), ("y",))
    assert apply_edits({"f": "x\nz\nx\n"}, [edit, edit]) == {"f": "y\nz\ny\n"}
    assert apply_edits({"f": "x\n"}, [Edit("f", ("x",), ("x", "x"))] * 23) == {"f": "x\nx\n"}
    assert apply_edits({}, [Edit("f", (), ("x",))] * 2) == {"f": "x\n"}


def test_an_edit_that_changes_nothing_is_passed_over_beside_one_that_does():
    idle, real = Edit("g", ("1",), ("1",)), Edit("f", ("1",), ("2",))
    for edits in ([idle, real], [real, idle], [idle, real, Edit("unknown", ("x",), ("x",))]):
        assert apply_edits({"f": "1\n", "g": "1\n"}, edits) == {"f": "2\n"}


def test_edits_that_all_change_nothing_are_no_change_named_by_the_first():
    with pytest.raises(EditError, match=re.escape("edit 1 (g): search and replacement are the same")):
        apply_edits({"g": "1\n"}, [Edit("g", ("1",), ("1",)), Edit("h", ("1",), ("1",))])


# -- bounds


def test_edits_that_multiply_a_file_are_rejected_before_they_fill_the_memory():
    doubling = [Edit("f", ("x",), ("x", f"y{number}", "x")) for number in range(60)]
    start = time.thread_time()
    with pytest.raises(EditError, match=re.escape("(f): makes the file longer than 4194304 characters")) as caught:
        apply_edits({"f": "x\n"}, doubling)
    assert caught.value.rejection is Rejection.TOO_LONG
    assert time.thread_time() - start < 20  # 1 s; without the bound it fills any memory


def test_a_file_that_is_long_already_may_grow_to_twice_its_size():
    assert longest_text("x") == MAX_FILE_CHARACTERS
    assert longest_text("x" * MAX_FILE_CHARACTERS) == 2 * MAX_FILE_CHARACTERS
    assert apply_edits({"f": "x\n" * 9}, [Edit("f", ("x",), ("x", "x"))], limit=20) == {"f": "x\n" * 18}
    with pytest.raises(EditError, match="longer than 36 characters"):
        apply_edits({"f": "x\n" * 9}, [Edit("f", ("x",), ("x", "x", "x"))], limit=20)


def test_many_edits_of_a_long_file_have_a_bound():
    text = "".join(f"{number}\n" for number in range(100))
    edits = [Edit("f", (str(number),), (f"x{number}",)) for number in range(100)]
    assert len(apply_edits({"f": text}, edits)["f"].split()) == 100
    with pytest.raises(EditError, match="too many edits of a long file"):
        apply_edits({"f": text}, edits, limit=100)


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("x\n" * 200_000, Edit("f", ("x",), ("y", "z"))),
        ("x\n" * 200_000, Edit("f", ("x",) * 100_000 + ("y",), ("z",))),
        ("x\ny\n" * 100_000, Edit("f", ("x", "y") * 50_000 + ("x", "x"), ("z",))),
        ("=======\n" * 100_000, Edit("f", ("=======",), ("=======",) * 150_000)),
        ("x\r\n" * 200_000, Edit("f", ("x",), ("y", "z"))),
        ("y\n" * 200_000, Edit("f", ("x", *[""] * 100_000), ("z", *[""] * 100_000))),
    ],
    ids=["matches everywhere", "nearly", "nearly, by turns", "dividers", "CRLF", "blank lines"],
)
def test_an_edit_takes_no_time_that_grows_with_the_square_of_its_file(text: str, edit: Edit):
    start = time.thread_time()
    with contextlib.suppress(EditError):
        apply_edits({"f": text}, [edit])
    assert time.thread_time() - start < 5  # 0.2 s at most


# -- properties

SAFE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12).filter(
    lambda line: line.rstrip() not in {"<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"}
)
LINES = st.lists(SAFE_LINE, max_size=5).map(tuple)
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


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "", "======="]), max_size=10),
    st.lists(st.sampled_from(["a", "b", "", "======="]), max_size=8),
)
def test_the_split_is_the_longest_whose_search_stands_in_the_file_line_by_line(lines: list[str], body: list[str]):
    def without_blank_end(search: list[str]) -> list[str]:
        while search and not search[-1]:
            search = search[:-1]
        return search

    def stands(search: list[str]) -> bool:
        return any(lines[at : at + len(search)] == search for at in range(len(lines) + 1))

    dividers = [at for at, line in enumerate(body) if line == "======="]
    if not dividers:
        return
    fitting = [at for at in dividers if stands(without_blank_end(body[:at]))]
    divider = max(fitting, default=dividers[0])
    read = Edit("f", tuple(body[: dividers[0]]), tuple(body[dividers[0] + 1 :]))
    meant = resolve_divider(read, "".join(f"{line}\n" for line in lines))
    assert meant == Edit("f", tuple(body[:divider]), tuple(body[divider + 1 :]))
