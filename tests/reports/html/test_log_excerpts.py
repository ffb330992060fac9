"""swerl_eval.reports.html.log_excerpts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.reports.html.log_excerpts import MOST_CHARACTERS, MOST_LINES, excerpts

PYTEST = """\
collected 3 items

=================================== FAILURES ===================================
______________________ TestSlugs.test_given_twice[before] ______________________

self = <tests.test_a.TestSlugs object>

>       assert 2 == 3
E       assert 2 == 3
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

tests/test_a.py:63: AssertionError
----------------------------- Captured stdout call -----------------------------
a line
______________________ TestSlugs.test_given_twice[after] _______________________
other
____________________ ERROR at setup of TestSlugs.test_setup ____________________
no fixture
==================================== PASSES ====================================
______________________ TestSlugs.test_given_twice[before] ______________________
of another file
=========================== short test summary info ============================
FAILED tests/test_a.py::TestSlugs::test_given_twice[before] - assert 2 == 3
FAILED tests/test_a.py::TestSlugs::test_given_twice[before2] - assert 2 == 3
FAILED tests/test_a.py::test_only_named - KeyError
"""

DJANGO = """\
test_a (app.tests.Case) ... FAIL
test_b (app.tests.Case) ... ok

======================================================================
FAIL: test_a (app.tests.Case) (lang='de')
The docstring of it.
----------------------------------------------------------------------
Traceback (most recent call last):
AssertionError: 1 != 2

======================================================================
ERROR: test_c (app.tests.Case.test_c)
----------------------------------------------------------------------
KeyError: 3

======================================================================
ERROR: setUpClass (app.other.Late)
----------------------------------------------------------------------
OSError: no database

======================================================================
ERROR: app.broken (unittest.loader._FailedTest)
----------------------------------------------------------------------
ImportError: app.broken

----------------------------------------------------------------------
Ran 5 tests in 0.1s
FAILED (failures=1, errors=3)
"""

SYMPY = """\
test_pow F
test_mul ok
________________________________________________________________________________
______________ sympy/core/tests/test_arit.py:test_pow ___________
Traceback (most recent call last):
  File "/testbed/sympy/core/tests/test_arit.py", line 5, in test_pow
AssertionError
________________________________________________________________________________
_____________ sympy/core/tests/test_expr.py:test_other _____________
ValueError
=========== tests finished: 10 passed, 2 failed, in 0.50 seconds ===========
DO *NOT* COMMIT!
"""


def read(folder: Path, log: str, *tests: str) -> list[list[str]]:
    path = folder / "test_output.txt"
    path.write_text(log)
    return list(excerpts(path, tests).values())


def test_a_failure_of_pytest_is_the_block_under_its_title(tmp_path: Path):
    (lines,) = read(tmp_path, PYTEST, "tests/test_a.py::TestSlugs::test_given_twice[before]")
    assert lines == PYTEST.splitlines()[3:14]


def test_an_error_in_a_fixture_of_pytest_is_found(tmp_path: Path):
    assert read(tmp_path, PYTEST, "tests/test_a.py::TestSlugs::test_setup") == [
        ["____________________ ERROR at setup of TestSlugs.test_setup ____________________", "no fixture"]
    ]


def test_an_error_of_collection_is_shown_at_every_test_of_the_file(tmp_path: Path):
    log = "_________________ ERROR collecting tests/test_a.py _________________\nE   SyntaxError\n"
    lines = log.splitlines()
    assert read(tmp_path, log, "tests/test_a.py::x", "tests/test_a.py::A::y", "tests/b.py::x") == [lines, lines, []]


def test_a_test_without_a_block_gets_the_lines_that_name_it(tmp_path: Path):
    names = ("tests/test_a.py::test_only_named", "tests/test_a.py::test_on", "test_a.py::test_only_named")
    line = "FAILED tests/test_a.py::test_only_named - KeyError"
    assert read(tmp_path, PYTEST, *names) == [[line], [], [line]]


def test_parameters_that_are_cut_at_a_blank_are_recognised(tmp_path: Path):
    log = "____ test_x[a b-c] ____\none\n____ test_x[b b-c] ____\ntwo\n"
    assert read(tmp_path, log, "t.py::test_x[a", "t.py::test_x[b b-c]", "t.py::test_x[a]", "t.py::test_x") == [
        ["____ test_x[a b-c] ____", "one"],
        ["____ test_x[b b-c] ____", "two"],
        [],
        [],
    ]


def test_tests_that_are_named_alike_are_told_apart_by_the_file_in_the_block(tmp_path: Path):
    log = "____ test_x ____\n\ntests/a.py:5: KeyError\n____ test_x ____\n\ntests/b.py:9: OSError\n"
    assert [lines[-1] for lines in read(tmp_path, log, "tests/a.py::test_x", "tests/b.py::test_x")] == [
        "tests/a.py:5: KeyError",
        "tests/b.py:9: OSError",
    ]


def test_failures_of_unittest_end_at_the_next_rule(tmp_path: Path):
    lines = DJANGO.splitlines()
    assert read(tmp_path, DJANGO, "test_a (app.tests.Case)", "test_c (app.tests.Case)") == [lines[4:9], lines[11:14]]


def test_a_test_of_unittest_may_go_by_its_docstring(tmp_path: Path):
    assert read(tmp_path, DJANGO, "The docstring of it.") == [DJANGO.splitlines()[4:9]]


def test_an_error_of_a_class_or_an_import_is_shown_at_its_tests(tmp_path: Path):
    names = (
        "test_x (app.other.Late)",
        "test_x (app.other.Later)",
        "test_y (app.broken.Case)",
        "test_y (app.broke.Case)",
    )
    lines = DJANGO.splitlines()
    assert read(tmp_path, DJANGO, *names) == [lines[16:19], [], lines[21:24], []]


def test_the_last_block_of_unittest_ends_before_the_summary(tmp_path: Path):
    ((*_, last),) = read(tmp_path, DJANGO, "test_y (app.broken.Case)")
    assert last == "ImportError: app.broken"


def test_failures_of_sympy_are_found_with_and_without_their_file(tmp_path: Path):
    lines = SYMPY.splitlines()
    names = (
        "test_pow",
        "sympy/core/tests/test_expr.py:test_other",
        "sympy/core/tests/test_expr.py::test_pow",
        "test_mul",
    )
    assert read(tmp_path, SYMPY, *names) == [lines[3:7], lines[8:10], [], ["test_mul ok"]]


def test_of_a_long_block_the_beginning_and_the_end_are_shown(tmp_path: Path):
    log = "____ test_x ____\n" + "".join(f"{number}\n" for number in range(1000))
    (lines,) = read(tmp_path, log, "a.py::test_x")
    assert len(lines) == MOST_LINES
    assert lines[:2] + lines[14:17] + lines[-1:] == [
        "____ test_x ____",
        "0",
        "13",
        "… 942 lines left out",
        "956",
        "999",
    ]


def test_of_a_long_line_the_beginning_is_shown(tmp_path: Path):
    log = "____ test_x ____\n" + "x" * 200_000 + "\nlast\n"
    assert read(tmp_path, log, "a.py::test_x") == [["____ test_x ____", "x" * MOST_CHARACTERS + "…", "last"]]


def test_colours_and_control_characters_and_undecodable_bytes_are_taken_out(tmp_path: Path):
    path = tmp_path / "log"
    path.write_bytes(b"\x1b[31m____ test_x ____\x1b[0m\r\n\x1b[1mE  \xff\x00\x07 \xc3\xa4\x1b[0m\r\n")
    assert excerpts(path, ["a.py::test_x"]) == {"a.py::test_x": ["____ test_x ____", "E  \ufffd\ufffd\ufffd ä"]}


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path):
    assert excerpts(tmp_path / "none", ["a"]) == {"a": []}
    assert excerpts(tmp_path, ["a"]) == {"a": []}
    assert excerpts(tmp_path / "none", []) == {}


def test_many_blocks_of_one_test_stay_within_the_bound(tmp_path: Path):
    (lines,) = read(tmp_path, "____ test_x ____\nabc\n" * 1000, "a.py::test_x")
    assert len(lines) == MOST_LINES


HOSTILE = [
    "_ " + "a " * 140 + "\n",
    "=" * 20 + "\nFAIL: " + "a" * 280 + "\n",
    "____ test_x ____\n",
    "=== " + " ==" * 90 + "\n",
    "test_x test_xx" * 4000 + "\n",
    "____ test_x[" + "[" * 280 + "]\n",
]


@pytest.mark.parametrize("lines", HOSTILE)
def test_no_log_takes_long(tmp_path: Path, lines: str):
    path = tmp_path / "log"
    path.write_text(lines * (2_000_000 // len(lines)))
    began = time.process_time()
    excerpts(path, [f"tests/a.py::test_x[{number}]" for number in range(19)] + ["test_x"])
    assert time.process_time() - began < 3


_LINES = st.sampled_from([*PYTEST.splitlines(), *DJANGO.splitlines(), *SYMPY.splitlines()]) | st.text(max_size=20)
_TESTS = ["tests/test_a.py::TestSlugs::test_given_twice[after]", "test_a (app.tests.Case)", "test_pow"]
_NAMES = st.sampled_from([*_TESTS, "The docstring of it."]) | st.text(max_size=8)


@given(st.lists(_LINES, max_size=150), st.lists(_NAMES, max_size=4))
def test_every_test_gets_a_bounded_excerpt_of_lines_of_the_log(tmp_path_factory, lines: list[str], names: list[str]):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    found = excerpts(path, names)
    assert found.keys() == set(names)
    for excerpt in found.values():
        assert len(excerpt) <= MOST_LINES
        assert all(line.encode() is not None and "\n" not in line for line in excerpt)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(tmp_path_factory, log: bytes):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(log)
    assert excerpts(path, ["a"]).keys() == {"a"}
