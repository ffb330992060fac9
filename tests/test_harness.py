from __future__ import annotations

import subprocess
import sys
from enum import EnumMeta
from types import FunctionType

import pytest
import swebench.types
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.harness import _Statuses, harness

Specification = swebench.types.TestSpec

BROUGHT_ALONG = ("datasets", "modal", "pandas", "docker")
CHECK = """
import sys
from swerl_eval.harness import harness
parts = harness()
print(sorted(set({brought!r}) & set(sys.modules)))
assert not [name for name in sys.modules if name.startswith("swebench.harness")]
assert parts.utils.TestSpec is __import__("swebench.types", fromlist=["TestSpec"]).TestSpec
assert parts.grading.PARSER_REGISTRY is parts.log_parsers.PARSER_REGISTRY
import swebench.harness.utils as whole, datasets, swebench.harness
assert whole is not parts.utils and whole.load_dataset is datasets.load_dataset
assert swebench.harness.grading.get_eval_report.__code__ == parts.grading.get_eval_report.__code__
"""


def test_the_parts_come_without_the_rest_and_a_later_import_of_swebench_is_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(brought=BROUGHT_ALONG)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_a_harness_that_is_there_already_is_used_as_it_is() -> None:
    imports = "import swebench.harness as whole; from swerl_eval.harness import harness"
    check = f"{imports}; assert harness().utils is whole.utils"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "PASSED ", "FAILED ", "ERROR ", "SKIPPED ", "XFAIL ", "PASSED", "passed ", " PASSED "]),
        st.sampled_from(["t.py::a", "t.py::b[/x/y]", "[1] t.py:3: no", "t.py::c - why", "a b", "test_x", ""]),
        st.sampled_from(["", " PASSED", " ... ok", " FAILED", " ok", " E", " - AssertionError"]),
    ).map("".join),
    max_size=30,
).map("\n".join)


def _outcome(parser: FunctionType, log: str, spec: Specification) -> object:
    try:
        return parser(log, spec)
    except ValueError as error:  # two parsers know a few instances by name, and no others
        return str(error)


@pytest.mark.parametrize("name", sorted(harness().log_parsers.PARSER_REGISTRY))
def test_a_parser_with_the_quicker_statuses_reads_every_log_as_swebenchs_own(name: str) -> None:
    parser = harness().log_parsers.PARSER_REGISTRY[name]
    statuses = harness().constants.TestStatus
    assert isinstance(statuses, EnumMeta)  # swebench's own; only what the parsers call by that name is another
    official, quick = (
        FunctionType(parser.__code__, {**parser.__globals__, "TestStatus": names}, name, parser.__defaults__)
        for names in (statuses, _Statuses(list(statuses)))
    )
    spec = Specification("a__b-1", "", [], "a/b", "1", [], [])

    @given(log=LINES)
    def check(log: str) -> None:
        assert _outcome(quick, log, spec) == _outcome(official, log, spec)

    check()


def test_the_parsers_of_our_own_copy_are_the_quick_ones() -> None:
    check = (
        "from swerl_eval.harness import harness, _Statuses\n"
        "found = {type(p.__globals__.get('TestStatus')) for p in harness().log_parsers.PARSER_REGISTRY.values()}\n"
        "assert found == {_Statuses}, found\n"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
