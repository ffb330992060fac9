"""swebench's grading as it is called here: the same in every locale, its failures those of one instance."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import GradingError
from swerl_eval.core.types import TestPlan
from swerl_eval.demo.setup import SUITE
from swerl_eval.official import grading, specification

ROOT = Path(__file__).parents[2]
TEST = "tests/test_menu.py::test_crème_brûlée"
SCRIPT = "#!/bin/bash\n: '>>>>> Start Test Output'\npytest\n: '>>>>> End Test Output'\n"
LOG = f"+ : '>>>>> Start Test Output'\nPASSED {TEST}\n✓ done\n+ : '>>>>> End Test Output'\n"


def row(**changed: Any) -> dict[str, Any]:
    return {
        "instance_id": "o__n-1",
        "repo": "o/n",
        "version": "1",
        "image": "i",
        "FAIL_TO_PASS": [TEST],
        "PASS_TO_PASS": [],
        "eval_script": SCRIPT,
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        **changed,
    }


def graded(tmp_path: Path, log: str, **changed: Any) -> dict[str, Any]:
    (tmp_path / "test_output.txt").write_text(log, encoding="utf-8")
    return grading.grade(row(**changed), "a patch", tmp_path / "test_output.txt")


GRADES = """
import json, locale, sys
from pathlib import Path
from swerl_eval.official import grading
row = json.loads(sys.argv[1])
log = Path(sys.argv[2])
found = [grading.grade(row, "x", log), grading.graded_statuses(row, log), grading.failure_reason(log)]
print(json.dumps([locale.getpreferredencoding(False), *found]))
"""
LOCALES = ("C", "POSIX", "C.UTF-8", "xx_XX.ISO-8859-1", "xx_XX.EUC-JP")


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with locales of other encodings than this host may have."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        return folder
    for charmap in ("ISO-8859-1", "EUC-JP"):
        command = ["localedef", "-c", "-i", "en_US", "-f", charmap, str(folder / f"xx_XX.{charmap}")]
        subprocess.run(command, capture_output=True, check=False)
    return folder


@pytest.mark.parametrize("name", LOCALES)
def test_a_log_is_graded_alike_in_every_locale_of_the_host(name: str, locales: Path, tmp_path: Path) -> None:
    if name.startswith("xx") and not (locales / name).is_dir():
        pytest.skip("localedef cannot make this locale here")
    (tmp_path / "log.txt").write_bytes(LOG.encode() + b"ModuleNotFoundError\n")
    environment = {"LC_ALL": name, "LOCPATH": str(locales), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", GRADES, json.dumps(row()), str(tmp_path / "log.txt")],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    encoding, report, statuses, reason = json.loads(done.stdout)
    assert (encoding.upper() == "UTF-8") is (name == "C.UTF-8")
    assert report["resolved"] is True
    assert report["tests_status"]["FAIL_TO_PASS"] == {"success": [TEST], "failure": []}
    assert statuses == {TEST: "PASSED"}
    assert reason == ["missing_module", False]


@pytest.mark.parametrize("name", ["C", "xx_XX.ISO-8859-1", "xx_XX.EUC-JP"])
def test_the_command_reads_and_prints_alike_in_every_locale(name: str, locales: Path, tmp_path: Path) -> None:
    """The rows of a task repository, which swebench reads, and instances that the locale has no letters for."""
    if name.startswith("xx") and not (locales / name).is_dir():
        pytest.skip("localedef cannot make this locale here")
    suite = shutil.copytree(SUITE, tmp_path / "suite")
    task = suite / "tasks" / "demo__inkwell-1" / "problem_statement.md"
    task.write_text("crème brûlée ✓\n", encoding="utf-8")
    (suite / "tasks" / "demo__inkwell-1").rename(suite / "tasks" / "日本__inkwell-1")
    task = suite / "tasks" / "日本__inkwell-1" / "task.yaml"
    task.write_text(task.read_text("utf-8").replace("demo__inkwell-1", "日本__inkwell-1"), encoding="utf-8")
    other = {"LC_ALL": name, "LOCPATH": str(locales), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    options: list[str | Path]
    reports = {}
    for results, environment in (("here", {"LC_ALL": "C.UTF-8"}), ("there", other)):
        options = ["--results", tmp_path / results, "--run-id", "r", "-i", "*__inkwell-1", "-c", "sandbox=scripted"]
        done = subprocess.run(
            [Path(sys.executable).parent / "swerl-eval", "evaluate", "-p", "gold", "--dataset", suite, *options],
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert "日本__inkwell-1" in done.stdout.decode("utf-8")
        reports[results] = json.loads((tmp_path / results / "r" / "report.json").read_bytes())
    assert reports["here"] == reports["there"]


def test_a_specification_that_swebench_cannot_make_is_an_error_of_the_one_instance() -> None:
    broken = row(image_assets="{not JSON")
    asks = (
        specification.eval_script,
        specification.image_assets,
        specification.grading_inputs,
        specification.names_no_test,
    )
    for ask in asks:
        with pytest.raises(GradingError, match=r"swebench [0-9.]+ cannot make a specification of the row: JSONDecodeE"):
            ask(broken)
    with pytest.raises(GradingError, match="image_assets of the row is no object but list"):
        specification.image_assets(row(image_assets=["a.png"]))


def test_a_parser_that_raises_is_an_error_of_the_one_instance(tmp_path: Path) -> None:
    log = LOG.replace(f"PASSED {TEST}", "FAIL:")
    with pytest.raises(GradingError, match=r"swebench [0-9.]+ cannot grade test_output.txt: IndexError: "):
        graded(tmp_path, log, log_parser="parse_log_django")
    with pytest.raises(GradingError, match=r"cannot read test_output.txt: IndexError: "):
        grading.graded_statuses(row(log_parser="parse_log_django"), tmp_path / "test_output.txt")
    with pytest.raises(GradingError, match=r"cannot read the output of tests: IndexError: "):
        grading.parse_tests(TestPlan("o__n-1", "o/n", "1", (), "pytest", "parse_log_django"), "FAIL:")


NO_START = "no test results: the log has no '>>>>> Start Test Output', which the eval script should print"
NO_END = "no test results: the log has no '>>>>> End Test Output', which the eval script should print"


@pytest.mark.parametrize(
    ("log", "remark"),
    [
        ("", NO_START),
        ("ModuleNotFoundError: No module named 'x'\n", f"{NO_START}; swebench's reason: missing_module"),
        (">>>>> Start Test Output\n", NO_END),
        (">>>>> Start Test Output\n>>>>> End Test Output\n", "no test results: the log names no test"),
        (
            f"{LOG}>>>>> Test Exit Code: 1\n",
            "no test results: the test command ended with exit code 1, and the log names no failed test",
        ),
        (LOG.replace("PASSED", "FAILED"), ""),
        (f"{LOG.replace('PASSED', 'FAILED')}collected 0 items\n", "swebench's reason: no_tests_collected"),
    ],
)
def test_an_unresolved_patch_says_what_there_is_to_say_beside_its_tests(tmp_path: Path, log: str, remark: str) -> None:
    report = graded(tmp_path, log)
    assert report["resolved"] is False
    assert grading.remark_on_unresolved(report, tmp_path / "test_output.txt", tmp_path / "none.log") == remark


def test_a_row_that_names_no_test_decides_nothing() -> None:
    assert specification.names_no_test(row(FAIL_TO_PASS=[]))
    assert not specification.names_no_test(row())
    assert not specification.names_no_test(row(FAIL_TO_PASS=[], PASS_TO_PASS=[TEST]))
