"""Paths and names of tests read from answers, in whichever layout a model writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.answers.listings import MOST_IGNORED, parse_paths
from swerl_eval.core.answers.named_tests import parse_names
from tests.core.answers.growth import grows_in_proportion

# -- paths in a fenced list

KNOWN = frozenset({"pkg/a.py", "pkg/b.py", "setup.py", "my file.py"})


def fenced(*lines: str) -> str:
    return "```\n" + "\n".join(lines) + "\n```"


@pytest.mark.parametrize(
    "line",
    [
        "pkg/a.py",
        "  pkg/a.py  ",
        "./pkg/a.py",
        "/pkg/a.py",
        "a/pkg/a.py",
        "b/pkg/a.py",
        "`pkg/a.py`",
        "'pkg/a.py'",
        '"pkg/a.py",',
        "- pkg/a.py",
        "* `pkg/a.py`",
        "• pkg/a.py",
        "1. pkg/a.py",
        "2) pkg/a.py",
        "**pkg/a.py**",
        "pkg/a.py: holds the bug",
        "pkg/a.py - holds the bug",
        "`pkg/a.py` (the cause)",
        "pkg/a.py\r",
    ],
)
def test_decorations_of_a_path_are_taken_off(line: str):
    assert parse_paths(fenced(line), KNOWN, 5) == (["pkg/a.py"], [])


def test_a_path_with_a_blank_is_read_whole():
    assert parse_paths(fenced("my file.py"), KNOWN, 5) == (["my file.py"], [])


def test_paths_come_in_the_order_answered_each_once():
    assert parse_paths(fenced("setup.py", "pkg/a.py", "./setup.py"), KNOWN, 5) == (["setup.py", "pkg/a.py"], [])


def test_no_more_than_the_limit_are_taken():
    assert parse_paths(fenced("setup.py", "pkg/a.py", "pkg/b.py"), KNOWN, 2) == (["setup.py", "pkg/a.py"], [])


def test_what_does_not_exist_is_told_apart():
    assert parse_paths(fenced("pkg/a.py", "pkg/none.py"), KNOWN, 5) == (["pkg/a.py"], ["pkg/none.py"])


def test_the_last_fenced_list_with_a_known_file_counts():
    answer = f"{fenced('pkg/a.py')}\nOn second thought:\n{fenced('pkg/b.py', 'setup.py')}\n{fenced('no/such.py')}"
    assert parse_paths(answer, KNOWN, 5) == (["pkg/b.py", "setup.py"], [])


def test_a_single_path_after_a_longer_list_takes_its_place():
    answer = f"{fenced('pkg/a.py', 'setup.py')}\nOn second thought:\n{fenced('pkg/b.py')}"
    assert parse_paths(answer, KNOWN, 5) == (["pkg/b.py"], [])


def test_fences_that_hold_one_path_each_are_one_list_whatever_stands_between_them():
    answer = f"First:\n{fenced('pkg/b.py')}\nThen:\n{fenced('no/such.py')}\nand\n{fenced('pkg/a.py:12')}"
    assert parse_paths(answer, KNOWN, 5) == (["pkg/b.py", "pkg/a.py"], ["no/such.py"])


def test_a_block_that_is_not_closed_is_read():
    assert parse_paths("```\npkg/a.py\npkg/b.py", KNOWN, 5) == (["pkg/a.py", "pkg/b.py"], [])


def test_an_answer_without_fence_is_read_as_a_whole():
    assert parse_paths("The files:\npkg/a.py\npkg/none.py\n", KNOWN, 5) == (["pkg/a.py"], ["pkg/none.py"])


def test_where_nothing_exists_the_last_block_is_what_was_missed():
    assert parse_paths(f"Perhaps:\n{fenced('x.py', 'y.py')}", KNOWN, 5) == ([], ["x.py", "y.py"])


def test_an_empty_answer_names_nothing():
    assert parse_paths("", KNOWN, 5) == ([], [])


def test_a_long_line_that_is_no_path_is_remembered_in_part():
    assert parse_paths("x" * 1000, KNOWN, 5) == ([], ["x" * 200])


# -- other layouts


LAYOUTS: dict[str, Callable[[Sequence[str]], str]] = {
    "plain lines": "\n".join,
    "a fenced list": lambda paths: fenced(*paths),
    "tildes": lambda paths: "~~~text\n" + "\n".join(paths) + "\n~~~",
    "an indented fence": lambda paths: "1. These:\n\n   " + fenced(*paths).replace("\n", "\n   "),
    "headings": lambda paths: "\n".join(f"### {path}\nwhy it has to change\n" for path in paths),
    "numbered headings with code": lambda paths: "\n".join(
        f"### {number}. `{path}`\n```python\nimport os\nos.remove(x)\n```" for number, path in enumerate(paths, 1)
    ),
    "File:": lambda paths: "\n".join(f"File: {path}" for path in paths),
    "a bold label": lambda paths: "\n".join(f"- **File {n}:** `{path}` (why)" for n, path in enumerate(paths)),
    "line numbers": lambda paths: fenced(*(f"{path}:{12 * n}" for n, path in enumerate(paths, 1))),
    "line ranges": lambda paths: "\n".join(f"{path}#L{n}-L{n + 9}" for n, path in enumerate(paths, 1)),
    "places in code": lambda paths: "\n".join(f"{path}::Query.run" for path in paths),
    "below /testbed": lambda paths: fenced(*(f"/testbed/{path}" for path in paths)),
    "below another folder": lambda paths: fenced(*(f"/home/me/checkout/{path}" for path in paths)),
    "addresses": lambda paths: "\n".join(f"<https://github.com/o/n/blob/main/{path}#L3>" for path in paths),
    "backslashes": lambda paths: fenced(*(path.replace("/", "\\") for path in paths)),
    "JSON": lambda paths: f"```json\n{json.dumps(paths)}\n```",
    "JSON without a fence": lambda paths: json.dumps({"files": paths}, indent=1),
    "JSON objects": lambda paths: json.dumps([{"file": path, "reason": "it is called by main.py"} for path in paths]),
    "a Python list": lambda paths: "```python\nfiles = [\n" + "".join(f"    {path!r},\n" for path in paths) + "]\n```",
    "a Python list on a line": lambda paths: f"files = {list(paths)!r}",
    "commas in a fence": lambda paths: fenced(", ".join(paths)),
    "commas after a label": lambda paths: f"Files: {', '.join(paths)}.",
    "commas after remarks": lambda paths: ", ".join(f"`{path}` (holds it)" for path in paths),
    "a fence each": lambda paths: "\nand\n".join(fenced(path) for path in paths),
    "prose": lambda paths: "The bug is in " + " and possibly in ".join(f"`{path}`" for path in paths) + ".",
    "prose in quotes": lambda paths: "I'd say that it's in " + ", maybe in ".join(f"'{path}'" for path in paths) + ".",
    "a table": lambda paths: "| File | Why |\n|---|---|\n" + "".join(f"| `{path}` | it is old |\n" for path in paths),
    "a table with ranks": lambda paths: "\n".join(f"| {n} | High | {path} | x |" for n, path in enumerate(paths)),
    "links": lambda paths: "\n".join(f"- [{path}]({path})" for path in paths),
    "links with words": lambda paths: "\n".join(f"* [the module]({path}): why" for path in paths),
    "zero width": lambda paths: "\n".join(f"\u200b{path}\u2060" for path in paths),
    "bullets": lambda paths: "\n".join(f"- {path}: why" for path in paths),
    "numbers": lambda paths: "\n".join(f"{n}. **{path}** \u2014 why" for n, path in enumerate(paths, 1)),
    "a checklist": lambda paths: "\n".join(f"- [x] {path}" for path in paths),
    "a quote": lambda paths: "\n".join(f"> {path}" for path in paths),
    "a diff's head": lambda paths: "\n".join(f"--- a/{path}\n+++ b/{path}" for path in paths),
    "CRLF": lambda paths: fenced(*paths).replace("\n", "\r\n"),
}
NAMES = st.from_regex(r"[a-z_][a-z0-9_.+-]{0,8}", fullmatch=True)
PATHS = st.builds(
    lambda folders, name, end: "/".join([*folders, name + end]),
    st.lists(NAMES, min_size=1, max_size=3),
    NAMES,
    st.sampled_from([".py", ".py", ".pyx", ".cfg"]),
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_files_are_read_in_the_order_answered_from_every_layout(layout: str):
    answer = LAYOUTS[layout](["pkg/b.py", "pkg/a.py"])
    assert parse_paths(answer, KNOWN | {"main.py"}, 5)[0] == ["pkg/b.py", "pkg/a.py"]


@settings(deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=6, unique=True), st.sampled_from(sorted(LAYOUTS)), st.integers(1, 7))
def test_any_list_of_known_paths_is_read_back_from_any_layout(paths: list[str], layout: str, limit: int):
    found, _ = parse_paths(LAYOUTS[layout](paths), frozenset(paths) | {"setup.py"}, limit)
    assert found == paths[:limit]


def test_a_file_that_is_mentioned_as_rejected_does_not_come_before_the_list():
    assert parse_paths(f"It is not in `setup.py`.\n{fenced('pkg/a.py')}\nnor `pkg/b.py`", KNOWN, 5)[0] == ["pkg/a.py"]
    unfenced = "I looked at `setup.py`, but it is in:\n- pkg/b.py\n- pkg/a.py"
    assert parse_paths(unfenced, KNOWN, 5)[0] == ["pkg/b.py", "pkg/a.py", "setup.py"]
    assert parse_paths(unfenced, KNOWN, 2)[0] == ["pkg/b.py", "pkg/a.py"]


def test_a_remark_on_a_listed_path_names_no_further_one():
    assert parse_paths("- pkg/a.py: calls into pkg/b.py, which is fine", KNOWN, 5)[0] == ["pkg/a.py"]


def test_files_that_code_in_a_fence_names_do_not_take_the_place_of_the_list():
    code = "```python\n# pkg/b.py\nwith open('setup.py') as file:\n    text = file.read()\n```"
    assert parse_paths(f"{fenced('pkg/a.py')}\nThe bug:\n{code}", KNOWN, 5)[0] == ["pkg/a.py"]
    assert parse_paths(f"### pkg/a.py\n{code}", KNOWN, 5)[0] == ["pkg/a.py"]


def test_an_absolute_path_below_a_folder_of_the_repository_is_no_file_of_the_top():
    assert parse_paths("/home/me/pkg/setup.py", KNOWN, 5) == ([], ["/home/me/pkg/setup.py"])
    assert parse_paths("/home/me/n/setup.py", KNOWN, 5) == (["setup.py"], [])
    assert parse_paths("/testbed/deep/pkg/a.py", KNOWN, 5) == ([], ["/testbed/deep/pkg/a.py"])


def test_what_was_named_and_does_not_exist_is_recorded_within_a_bound():
    lines = [f"pkg/none{number}.py" for number in range(1000)]
    assert parse_paths(fenced("pkg/a.py", *lines), KNOWN, 5) == (["pkg/a.py"], lines[:MOST_IGNORED])
    assert parse_paths("\n".join(f"word {n}" for n in range(1000)), KNOWN, 5)[1] == [
        f"word {n}" for n in range(MOST_IGNORED)
    ]


PIECES = st.sampled_from(
    [
        "```",
        "```text",
        "\n",
        "\n",
        "pkg/a.py",
        "./",
        "- ",
        "`",
        " ",
        "none.py",
        "\r",
        "\u2028",
        "1.",
        "/testbed/",
        ":12",
        ",",
        "|",
        "[",
        "{",
        '"',
        "'",
        "~~~",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)), st.integers(1, 3))
def test_any_answer_gives_known_paths_each_once_within_the_limit(answer: str, limit: int):
    found, ignored = parse_paths(answer, KNOWN, limit)
    assert set(found) <= KNOWN
    assert len(found) == len(set(found)) <= limit
    assert all(line.strip() for line in ignored)


HOSTILE = ["```\n", "`", "'", '"', "[", "(", "/", "x/", " a", "pkg/a.py, ", "- ", "| ", "~~~\n", "#", ".py:", "\n"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_answer_takes_time_in_proportion_to_its_length(piece: str):
    def work(text: str) -> None:
        parse_paths(text, KNOWN, 5)
        parse_names(text, ["pkg/a.py::test_x", "test_y"])

    assert grows_in_proportion(work, piece)


# -- names of tests

TESTS = [
    "a.py::test_x",
    "a.py::test_x[a b, c]",
    'a.py::test_x["q\\n"]',
    "a.py::test_y",
    "test_z (app.tests.Case)",
    "a.py::test_x2",
]


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ("```\na.py::test_x\na.py::test_y\n```", {0, 3}),
        ("a.py::test_x\na.py::test_y", {0, 3}),
        ("```\n- `a.py::test_x[a b, c]`: it checks the old order\n* a.py::test_y - unlike a.py::test_x\n```", {1, 3}),
        (f"```json\n{json.dumps(TESTS[:3])}\n```", {0, 1, 2}),
        ("a.py::test_x[a b, c], a.py::test_y and test_z (app.tests.Case)", {1, 3, 4}),
        ("1. **a.py::test_x2** FAILED\n2) test_z (app.tests.Case)", {4, 5}),
        ("Tests: a.py::test_x", {0}),
        ("| a.py::test_x | why |", {0}),
        ("None: `a.py::test_x` keeps passing, so does a.py::test_y.", set()),
        ("None of them; that a.py::test_x fails is wrong.", set()),
        ("```\n```\na.py::test_x stays as it is", set()),
        ("a.py::test_x22\na.py::test_x[other]\npkg/a.py::test_y\na.py::test_y.more", set()),
        ("", set()),
    ],
)
def test_the_names_of_tests_are_read_whole_from_lists(answer: str, listed: set[int]):
    assert parse_names(answer, TESTS) == {TESTS[number] for number in listed}


@settings(deadline=None)
@given(
    st.lists(st.from_regex(r"test_[a-z]{1,5}(\[[a-z0-9 ,.=-]{1,8}\])?", fullmatch=True), min_size=1, unique=True),
    st.sampled_from(["{}", "- {}", "`{}`", "* `{}` (why)", "1. {}: why", "**{}**"]),
    st.data(),
)
def test_any_names_are_read_back_from_any_list(names: list[str], form: str, data: st.DataObject):
    wanted = data.draw(st.lists(st.sampled_from(names), unique=True))
    assert parse_names(fenced(*map(form.format, wanted)), names) == set(wanted)


@given(st.text())
def test_no_answer_names_a_test_that_there_is_not(answer: str):
    assert parse_names(answer, TESTS) <= set(TESTS)
    assert parse_names(answer, []) == frozenset()
