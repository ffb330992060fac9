"""What a chosen row must hold: read where it can be, else refused by its name before anything is run."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError
from swerl_eval.official.rows import count_tests
from swerl_eval.official.specification import eval_script
from swerl_eval.sources.choice import Choice
from swerl_eval.sources.datasets import DatasetSource, open_dataset
from swerl_eval.sources.repositories import Repositories
from swerl_eval.sources.rows import normalized

SCRIPT = "#!/bin/bash\nset -uxo pipefail\n: '>>>>> Start Test Output'\npytest\n: '>>>>> End Test Output'\n"


def row(instance_id: Any = "o__n-1", **changed: Any) -> dict[str, Any]:
    return {
        "instance_id": instance_id,
        "repo": "o/n",
        "base_commit": "c" * 40,
        "problem_statement": "It fails.",
        "patch": "gold",
        "test_patch": "tests",
        "FAIL_TO_PASS": ["a"],
        "PASS_TO_PASS": ["b", "c"],
        "version": "1.0",
        "image": "registry/image:latest",
        "eval_script": SCRIPT,
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        **changed,
    }


def opened(folder: Path, rows: list[dict[str, Any]], *instances: str) -> DatasetSource:
    file = folder / "d.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return open_dataset(str(file), "test", Choice(instances=instances), Repositories(folder / "cache"))


def complaint(folder: Path, rows: list[dict[str, Any]], *instances: str) -> str:
    with pytest.raises(InputError) as caught:
        opened(folder, rows, *instances)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("text", [str, json.dumps, lambda names: str(tuple(names))], ids=["literal", "JSON", "tuple"])
def test_lists_that_stand_as_text_are_lists_for_whatever_comes_after(tmp_path: Path, text: Any):
    names = ["t.py::test_it's", 't.py::test["x"]', "t.py::test_café"]
    oracle = opened(tmp_path, [row(FAIL_TO_PASS=text(names), PASS_TO_PASS=text([]))]).oracle("o__n-1")
    assert (oracle.row["FAIL_TO_PASS"], oracle.row["PASS_TO_PASS"]) == (names, [])
    assert count_tests(oracle.row) == 3
    assert eval_script(oracle.row).startswith("#!/bin/bash\n")


@settings(deadline=None)
@given(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.one_of(st.text(), st.integers()))))
def test_whatever_stands_for_a_list_is_a_list_of_names_or_refused_by_the_row_s_name(value: Any):
    texts = [value, repr(value), "[" * 3000, "(" * 300 + "1", "'x' * 10"]
    for each in texts:
        try:
            (found,) = normalized([row(PASS_TO_PASS=each)], "d", [7])
        except InputError as error:
            assert str(error).startswith("d, row 7 (o__n-1)")
            continue
        assert found["PASS_TO_PASS"] == (ast.literal_eval(each) if isinstance(each, str) else each)


REMEDY = "; correct the row, or leave it out with --instances"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"PASS_TO_PASS": ""}, "PASS_TO_PASS must be a list of names of tests, found ''"),
        ({"PASS_TO_PASS": "a, b"}, "PASS_TO_PASS must be a list of names of tests, found 'a, b'"),
        ({"PASS_TO_PASS": [1]}, "PASS_TO_PASS must be a list of names of tests, found [1]"),
        ({"FAIL_TO_PASS": '{"a": 1}'}, "FAIL_TO_PASS must be a list of names of tests, found '{\"a\": 1}'"),
        ({"eval_script": " \n\n"}, "its eval script is empty"),
        ({"eval_script": ""}, "its eval script is empty"),
        (
            {"eval_script": SCRIPT.replace("\n", "\r\n")},
            "the lines of its eval script end in CR, with which bash runs none of them; save it with LF line ends",
        ),
        (
            {"eval_script": SCRIPT.replace("\n", "\r")},
            "the lines of its eval script end in CR, with which bash runs none of them; save it with LF line ends",
        ),
        ({"eval_script": 7}, "eval_script must be a text, found int"),
        (
            {"log_parser": "parse_log_pytest_v9"},
            "swebench 5.0.2 has no log parser 'parse_log_pytest_v9' (did you mean parse_log_pytest_v2?); "
            "a later one may",
        ),
        (
            {"eval_type": "PASS_AND_FAIL_X"},
            "swebench 5.0.2 has no eval type 'PASS_AND_FAIL_X'; a later one may",
        ),
        ({"hints_text": "\udce9"}, "hints_text holds a lone surrogate, which no file can hold"),
    ],
)
def test_a_row_that_nothing_can_grade_is_refused_by_its_name_with_reason_and_remedy(
    tmp_path: Path, changed: dict[str, Any], reason: str
):
    rows = [row("o__n-0"), row(**changed), row("o__n-2")]
    assert complaint(tmp_path, rows) == f"d.jsonl, row 2 (o__n-1): {reason}{REMEDY}"
    assert len(opened(tmp_path, rows, "o__n-0", "o__n-2").instances()) == 2


@pytest.mark.parametrize("bad", [{}, {"instance_id": 7}, {"instance_id": "../x"}, row(image=""), row("o__n-1")])
def test_a_broken_row_elsewhere_does_not_end_a_run_that_does_not_want_it(tmp_path: Path, bad: dict[str, Any]):
    rows = [row("o__n-0"), bad, row("o__n-1"), row("o__n-2")]
    assert [each.instance_id for each in opened(tmp_path, rows, "o__n-0", "o__n-2").instances()] == ["o__n-0", "o__n-2"]
    assert complaint(tmp_path, rows).startswith("d.jsonl, row ")


def test_a_cr_within_the_test_patch_of_a_script_is_left_alone(tmp_path: Path):
    script = SCRIPT.replace(": '>>>>> Start", "git apply - <<'EOF'\n+a line\r\nEOF\n: '>>>>> Start")
    assert opened(tmp_path, [row(eval_script=script)]).oracle("o__n-1").row["eval_script"] == script


@pytest.mark.parametrize("name", ["demo__c++-1", "démo__inkwell-1", "e\u0301te__n-1", "日本__n-1", "x" * 200])
def test_ids_with_plus_signs_or_letters_beyond_ascii_are_like_others(tmp_path: Path, name: str):
    assert opened(tmp_path, [row(name)]).instances()[0].instance_id == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 201, f"{'x' * 40}… has 201 bytes, and folders are named after it: at most 200"),
        ("é" * 101, f"{'é' * 40}… has 202 bytes, and folders are named after it: at most 200"),
        ("../x", "'../x' cannot name a folder; use letters, digits, . _ + -"),
        ("a b", "'a b' cannot name a folder; use letters, digits, . _ + -"),
        ("a\x00b", "'a\\x00b' cannot name a folder; use letters, digits, . _ + -"),
    ],
)
def test_an_id_that_cannot_name_a_folder_is_said_at_the_start(tmp_path: Path, name: str, reason: str):
    assert complaint(tmp_path, [row(name)]) == f"d.jsonl, row 1: {reason}"


def old(**more: Any) -> dict[str, Any]:
    """A row with the columns of before swebench 5, but for environment_setup_commit."""
    lacking = {"image", "eval_script", "log_parser", "eval_type"}
    return {key: value for key, value in row(hints_text="", created_at="").items() if key not in lacking} | more


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (old(), "this looks like a row of SWE-Gym, "),
        (old(environment_setup_commit="c"), "rows of before swebench 5 have no eval_script, "),
        (old(install_config={"python": "3.9"}, meta={}), "this is a row of SWE-rebench, which swebench 5 does not"),
        (
            {"instance_id": "o__n.abc.func_1", "patch": "", "FAIL_TO_PASS": [], "image_name": "i", "repo": "o/n"},
            "this is a row of SWE-smith, which swebench 5 does not grade: swesmith.harness.eval evaluates them",
        ),
        (
            {"instance_id": "instance_o__n-1", "before_repo_set_cmd": "", "fail_to_pass": "[]", "dockerhub_tag": "t"},
            "this is a row of SWE-bench Pro, which swebench 5 does not",
        ),
        (
            {"org": "o", "repo": "n", "number": 1, "fix_patch": "", "test_patch": "", "instance_id": "o__n-1"},
            "this is a row of Multi-SWE-bench, which swebench 5 does not",
        ),
        (
            {"repo_name": "n", "docker_image": "i", "parsed_commit_content": "{}", "expected_output_json": "{}"},
            "this is a row of R2E-Gym, which swebench 5 does not",
        ),
    ],
    ids=["SWE-Gym", "old", "SWE-rebench", "SWE-smith", "Pro", "Multi-SWE-bench", "R2E-Gym"],
)
def test_rows_of_other_benchmarks_are_refused_with_a_remedy_that_fits_them(
    tmp_path: Path, other: dict[str, Any], said: str
):
    assert f"; {said}" in complaint(tmp_path, [other])
