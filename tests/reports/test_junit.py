"""The JUnit XML of a run, read back by a reader of JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from swerl_eval.core.types import Failure
from swerl_eval.records.run_folder import open_run
from swerl_eval.reports.exports.junit import JunitExporter
from tests.reports.comparison_runs import MANIFEST
from tests.reports.exported_runs import BROKEN, EMPTY, FAILING, FIXED, STUCK, WAITING, make


def document(run: Path, destination: Path) -> Any:
    (file,) = JunitExporter().export(run, destination, {})
    assert file == destination / "junit.xml"
    return JUnitXml.fromfile(str(file))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("junit")
    whole = document(make(folder / "run"), folder / "out")
    assert whole.name == "org/model on verified"
    (found,) = whole
    return found


def test_the_suite_says_what_was_run_and_counts_the_cases(suite: Any) -> None:
    assert (suite.name, suite.timestamp) == ("run", "2026-01-01T00:00:00+00:00")
    assert (suite.tests, suite.failures, suite.errors, suite.skipped, suite.time) == (6, 2, 2, 1, 50.0)
    assert {each.name: each.value for each in suite.properties()} == {
        "model": "org/model",
        "dataset": "verified",
        "dataset_sha256": "f" * 64,
        "solve_rate": "0.1667",
        "recorded": "false",
        "patch_origin": "made",
        "version.swebench": "5.0.2",
    }


def test_an_unresolved_instance_fails_a_broken_one_is_an_error_and_one_that_was_not_run_is_skipped(suite: Any) -> None:
    results = {
        case.name: [(type(each).__name__, each.type, each.message, each.text) for each in case.result] for case in suite
    }
    assert results == {
        FIXED: [],
        FAILING: [("Failure", "unresolved", "unresolved", "FAIL_TO_PASS t.py::f2")],
        EMPTY: [("Failure", "empty_patch", "empty_patch: no valid sample", None)],
        BROKEN: [("Error", "infra_error", "infra_error: the engine is gone", None)],
        STUCK: [("Error", "missing", "missing: the clone failed", None)],
        WAITING: [("Skipped", "missing", "not evaluated yet", None)],
    }


def test_a_case_has_its_repository_its_time_and_a_strict_verdict_that_differs(suite: Any) -> None:
    cases = {case.name: case for case in suite}
    assert (cases[FIXED].classname, cases[FIXED].time, cases[WAITING].time) == ("a/a", 12.5, 0.0)
    assert cases[FIXED].system_out == "strict verdict: unresolved. `t.py::p1` passes without the change"
    assert cases[FAILING].system_out is None


def test_an_instance_without_a_handed_in_patch_is_skipped(tmp_path: Path) -> None:
    run = make(tmp_path / "run", FIXED, WAITING, patches="handed in", submitted=(FIXED,))
    (suite,) = document(run, tmp_path / "out")
    (skipped,) = [case for case in suite if case.name == WAITING]
    assert [each.message for each in skipped.result] == ["no prediction was handed in"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_gives_xml_that_can_be_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    fields: dict[str, Any] = {"instances": {"a__a-1": {"repo": text}}, "model_name": text, "versions": {text: text}}
    with open_run(folder / "run", replace(MANIFEST, **fields)) as run:
        run.failures.append(Failure("a__a-1", text))
    (suite,) = document(folder / "run", folder / "out")
    (case,) = suite
    assert case.is_error


def test_what_xml_cannot_hold_is_replaced_and_the_rest_is_kept(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", replace(MANIFEST, instances={"a__a-1": {}})) as run:
        run.failures.append(Failure("a__a-1", "\x1b[31m <b> & ]]> \x00 \ufffe ü \U0001f600"))
    (suite,) = document(tmp_path / "run", tmp_path / "out")
    (case,) = suite
    assert case.result[0].message == "missing: \ufffd[31m <b> & ]]> \ufffd \ufffd ü \U0001f600"
    assert ElementTree.parse(tmp_path / "out" / "junit.xml").getroot().tag == "testsuites"
