from __future__ import annotations

import pytest

from swerl_eval.core.diffs import unified_diff
from swerl_eval.core.types import Candidate
from swerl_eval.official.rows import test_plan as plan_of
from swerl_eval.stages.regress import files_to_run

TREE = [
    "pkg/units/system.py",
    "pkg/units/tests/test_system.py",
    "pkg/units/tests/test_other.py",
    "pkg/tests/test_system.py",
    "pkg/tests/conftest.py",
    "tests/system/tests.py",
    "tests/test_all.py",
    "docs/test_system.txt",
]


def edits(*paths: str) -> list[Candidate]:
    return [Candidate("i", n, unified_diff({path: "a\n"}, {path: "b\n"}), path) for n, path in enumerate(paths)]


def test_tests_named_after_the_edited_module_come_nearest_first() -> None:
    assert files_to_run(TREE, edits("pkg/units/system.py"), None, 9) == [
        "pkg/units/tests/test_system.py",
        "pkg/tests/test_system.py",
        "tests/system/tests.py",
    ]


def test_the_guide_comes_before_them_if_it_is_a_test_that_exists() -> None:
    assert files_to_run(TREE, edits("pkg/units/system.py"), "tests/test_all.py", 2) == [
        "tests/test_all.py",
        "pkg/units/tests/test_system.py",
    ]
    assert files_to_run(TREE, edits("pkg/units/system.py"), "tests/none.py", 1) == ["pkg/units/tests/test_system.py"]


def test_the_module_that_most_candidates_edit_comes_first() -> None:
    candidates = edits("pkg/units/other.py", "pkg/units/system.py", "pkg/units/system.py")
    assert files_to_run(TREE, candidates, None, 1) == ["pkg/units/tests/test_system.py"]


def test_where_no_test_has_the_name_those_of_the_nearest_folder_are_taken() -> None:
    assert files_to_run(TREE, edits("pkg/units/prefixes.py"), None, 9) == [
        "pkg/units/tests/test_other.py",
        "pkg/units/tests/test_system.py",
    ]


def test_a_candidate_without_a_python_file_points_to_no_test() -> None:
    assert files_to_run(TREE, edits("pkg/data.json"), None, 9) == []


EVAL = """#!/bin/bash
set -uxo pipefail
source /opt/miniconda3/bin/activate
conda activate testbed
cd /testbed
git config --global --add safe.directory /testbed
git status
git show
git -c core.fileMode=false diff 0123abc
export LANG=en_US.UTF-8
python -m pip install -e .[test] --verbose
git checkout 0123abc tests/secret_tests.py
git apply -v - <<'EOF_1'
+ a line of the test patch
EOF_1
: '>>>>> Start Test Output'
{command}
: '>>>>> End Test Output'
git checkout 0123abc tests/secret_tests.py
"""


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("pytest -rA tests/secret_tests.py pkg/test_a.py", "pytest -rA"),
        (
            "pytest -rA -vv -o console_output_style=classic --tb=no a.py",
            "pytest -rA -vv -o console_output_style=classic --tb=no",
        ),
        (
            "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1 secret.tests admin",
            "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1",
        ),
        ("tox --current-env -epy39 -v -- tests/secret_tests.py", "tox --current-env -epy39 -v --"),
        (
            "PYTHONWARNINGS='ignore::UserWarning' bin/test -C --verbose pkg/tests/test_a.py",
            "PYTHONWARNINGS='ignore::UserWarning' bin/test -C --verbose",
        ),
    ],
)
def test_a_test_plan_keeps_the_command_and_the_set_up_and_nothing_of_the_answer(command: str, kept: str) -> None:
    row = {
        "instance_id": "i",
        "repo": "o/n",
        "version": "1",
        "log_parser": "parse_log_pytest",
        "eval_script": EVAL.replace("{command}", command),
    }
    plan = plan_of(row)
    assert plan.command == kept
    assert plan.setup == (
        "source /opt/miniconda3/bin/activate",
        "conda activate testbed",
        "cd /testbed",
        "export LANG=en_US.UTF-8",
    )
