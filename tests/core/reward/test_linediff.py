"""swerl_eval.core.reward.linediff against difflib.unified_diff, line for line."""

from __future__ import annotations

import difflib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.reward import similarity
from swerl_eval.core.reward.linediff import AUTOJUNK_LINES, LineMatcher, unified_hunks

LINE = st.sampled_from(["", "", "", "}", "return", *map(str, range(40))])


@st.composite
def versions(draw, most):
    old = draw(st.lists(LINE, max_size=most))
    new = list(old)
    for _ in range(draw(st.integers(0, 10))):
        start = draw(st.integers(0, len(new)))
        end = min(len(new), start + draw(st.integers(0, 8)))
        kind = draw(st.sampled_from(["insert", "delete", "repeat", "replace"]))
        lines = new[start:end] if kind == "repeat" else draw(st.lists(LINE, max_size=4))
        new[start : end if kind in {"delete", "replace"} else start] = [] if kind == "delete" else lines
    return old, new


LONG = st.tuples(versions(30), st.integers(1, 12), st.booleans())


def enlarged(files, copies, numbered):
    """Two files repeated, with so many lines that difflib treats frequent ones apart."""
    old, new = (
        [f"{line}{copy}" if numbered and line else line for copy in range(copies) for line in lines] for lines in files
    )
    return old, [*new, *map(str, range(AUTOJUNK_LINES))]


def by_difflib(old, new, context=3):
    return list(difflib.unified_diff(old, new, lineterm="", n=context))[2:]


@settings(max_examples=600, deadline=None)
@given(
    st.one_of(st.tuples(st.lists(LINE, max_size=30), st.lists(LINE, max_size=30)), versions(60)),
    st.integers(0, 5),
)
def test_short_files_give_difflibs_hunks(files, context):
    old, new = files
    assert unified_hunks(old, new, context) == by_difflib(old, new, context)


@settings(max_examples=150, deadline=None)
@given(LONG)
def test_long_files_give_difflibs_hunks_frequent_lines_included(case):
    old, new = enlarged(*case)
    assert unified_hunks(old, new) == by_difflib(old, new)


@settings(max_examples=300, deadline=None)
@given(st.one_of(versions(60), LONG.map(lambda case: enlarged(*case))))
def test_the_blocks_are_difflibs_and_not_only_the_hunks_made_of_them(files):
    matcher, reference = LineMatcher(*files), difflib.SequenceMatcher(None, *files)
    assert matcher.get_matching_blocks() == reference.get_matching_blocks()
    assert matcher.get_opcodes() == reference.get_opcodes()
    assert matcher.ratio() == reference.ratio()


@settings(max_examples=150, deadline=None)
@given(versions(60), st.integers(0, 2000))
def test_giving_up_the_first_search_changes_nothing(files, budget):
    saved = similarity.BUDGET, similarity.BUDGET_PER_CHARACTER
    similarity.BUDGET, similarity.BUDGET_PER_CHARACTER = budget, 0
    try:
        old, new = files[0] * 4, files[1] * 4
        assert unified_hunks(old, new) == by_difflib(old, new)
    finally:
        similarity.BUDGET, similarity.BUDGET_PER_CHARACTER = saved


def test_equal_files_give_nothing():
    assert unified_hunks(["a"], ["a"]) == unified_hunks([], []) == []


@pytest.mark.parametrize("at", [0, 1, 100, 298, 299])
def test_a_file_of_one_frequent_line_matches_at_its_start_only(at):
    old, new = ["same"] * 300, ["same"] * at + ["other"] + ["same"] * (299 - at)
    assert unified_hunks(old, new) == by_difflib(old, new)


def test_an_edit_of_every_line_does_not_take_long():
    old = [f"line {number}" for number in range(20_000)]
    new = [line for each in old for line in (each, f"# {each}")]
    start = time.thread_time()
    hunks = unified_hunks(old, new)
    assert time.thread_time() - start < 10  # 0.2 s; difflib takes most of a minute
    assert hunks[0] == "@@ -1,20000 +1,40000 @@"
    assert len(hunks) == 40_001
