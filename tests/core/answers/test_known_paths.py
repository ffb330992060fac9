"""Which path of a repository a word means."""

from __future__ import annotations

import pytest

from swerl_eval.core.answers.known_paths import LONGEST_PATH, KnownPaths, is_path_like, undecorated

PATHS = KnownPaths(frozenset({"setup.py", "pkg/models.py", "pkg/sub/models.py"}))


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("pkg/models.py", "pkg/models.py"),
        ("`pkg/models.py`,", "pkg/models.py"),
        ("(pkg/models.py)", "pkg/models.py"),
        ("./pkg/models.py", "pkg/models.py"),
        ("b/pkg/models.py", "pkg/models.py"),
        ("pkg\\models.py", "pkg/models.py"),
        ("pkg/models.py:12", "pkg/models.py"),
        ("pkg/models.py::test_a", "pkg/models.py"),
        ("/testbed/pkg/models.py", "pkg/models.py"),
        ("/home/u/project/pkg/sub/models.py", "pkg/sub/models.py"),
        ("/home/u/project/setup.py", "setup.py"),
        ("/home/u/pkg/setup.py", None),
        ("models.py", None),
        ("", None),
    ],
)
def test_a_word_means_the_path_in_any_of_its_forms(word: str, path: str | None) -> None:
    assert PATHS.find(word) == path


def test_an_overlong_word_is_no_path() -> None:
    assert PATHS.find("/" * LONGEST_PATH + "pkg/models.py") is None
    assert not is_path_like("x" * LONGEST_PATH + ".py")


def test_a_word_looks_like_a_path_by_its_folders_or_its_extension() -> None:
    assert is_path_like(undecorated("`docs/x.foo`,"))
    assert is_path_like("README.md")
    assert not is_path_like("models")
