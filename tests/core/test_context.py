"""What a prompt shows: the tree, the paths read from an answer, the files within the budget."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.context import is_test_path, join_files, source_paths, tree_text, within_budget

# -- which files


@pytest.mark.parametrize(
    "path",
    [
        "tests/a.py",
        "pkg/tests/deep/a.py",
        "testing/a.py",
        "test_a.py",
        "pkg/test_a.py",
        "pkg/a_test.py",
        "conftest.py",
        "pkg/tests.py",
    ],
)
def test_paths_of_tests_are_known_by_their_names(path: str):
    assert is_test_path(path)


@pytest.mark.parametrize("path", ["pkg/a.py", "pkg/test.py", "contest.py", "attest/a.py", "pkg/latest_a.py"])
def test_other_paths_are_not_taken_for_tests(path: str):
    assert not is_test_path(path)


def test_localization_chooses_from_python_files_that_are_no_tests():
    paths = ["a.py", "README.md", "tests/test_a.py", "a.pyx", "pkg/b.py"]
    assert source_paths(paths, "owner/name") == ["a.py", "pkg/b.py"]


def test_where_tests_are_the_product_they_are_shown():
    assert source_paths(["testing/a.py", "a.txt"], "pytest-dev/pytest") == ["testing/a.py"]


# -- the tree

FILES = ["setup.py", "pkg/b.py", "pkg/a.py", "pkg/sub/c.py", "docs/conf.py"]


def test_the_tree_is_an_indented_sorted_list_of_folders_and_files():
    assert tree_text(FILES) == ("docs/\n    conf.py\npkg/\n    a.py\n    b.py\n    sub/\n        c.py\nsetup.py")


def test_the_indent_can_be_chosen():
    assert tree_text(["a/b/c.py"], indent=2) == "a/\n  b/\n    c.py"


def test_no_files_are_an_empty_tree():
    assert tree_text([]) == ""


def test_the_order_of_the_paths_does_not_count():
    assert tree_text(FILES[::-1]) == tree_text(FILES)
    assert tree_text(FILES[::-1], rng=random.Random(5)) == tree_text(FILES, rng=random.Random(5))


def test_a_seed_decides_the_order_of_siblings():
    trees = [tree_text(FILES, rng=random.Random(seed)) for seed in range(20)]
    assert trees == [tree_text(FILES, rng=random.Random(seed)) for seed in range(20)]
    assert len(set(trees)) > 5


def paths_of(tree: str, indent: int) -> list[str]:
    """The paths that a tree shows, read back."""
    folders: list[str] = []
    found = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // indent
        folders = [*folders[:depth], line.strip()]
        if not line.endswith("/"):
            found.append("".join(folders))
    return found


@settings(deadline=None)
@given(
    st.sets(st.from_regex(r"([ab]/){0,3}[c-e]\.py", fullmatch=True), max_size=12),
    st.sampled_from([2, 4]),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_a_tree_shows_exactly_its_paths(paths: set[str], indent: int, seed: int | None):
    tree = tree_text(paths, indent, None if seed is None else random.Random(seed))
    shown = paths_of(tree, indent)
    assert len(shown) == len(paths)
    assert set(shown) == paths


# -- the budget

SIZES = {"a": 50, "b": 60, "c": 40, "d": 10, "huge": 1000}


@pytest.mark.parametrize(
    ("files", "budget", "shown", "skipped"),
    [
        (["a", "b", "c"], 150, ("a", "b", "c"), ()),
        (["a", "b", "c"], 149, ("a", "b"), ("c",)),
        (["a", "b", "c"], 100, ("a", "c"), ("b",)),
        (["a", "huge", "b", "c", "d"], 110, ("a", "b"), ("huge", "c", "d")),
        (["huge", "d"], 110, ("huge",), ("d",)),
        ([], 10, (), ()),
    ],
    ids=["all fit", "the last overflows", "a later one fits", "only to the brim", "the first always", "none"],
)
def test_files_are_taken_in_order_while_they_fit(
    files: list[str], budget: int, shown: tuple[str, ...], skipped: tuple[str, ...]
):
    found = within_budget(files, SIZES.__getitem__, budget)
    assert (found.files, found.skipped) == (shown, skipped)


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 50))
def test_the_budget_holds_but_for_the_first_file_and_no_skipped_file_would_have_fitted(sizes: list[int], budget: int):
    names = [str(number) for number in range(len(sizes))]
    size = dict(zip(names, sizes, strict=True))
    found = within_budget(names, size.__getitem__, budget)
    assert sorted(found.files + found.skipped, key=int) == names
    assert found.files[0] == "0"
    assert sum(size[name] for name in found.files) <= max(budget, sizes[0])
    for name in found.skipped:
        taken_before = sum(size[taken] for taken in found.files if int(taken) < int(name))
        assert taken_before + size[name] > budget


def test_files_are_joined_whole_each_under_its_path():
    texts = {"a.py": "x = 1\n", "b.py": "y"}
    assert join_files(["b.py", "a.py"], texts.__getitem__) == "### b.py\ny\n\n### a.py\nx = 1\n"
