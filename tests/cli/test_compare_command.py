"""`swerl-eval compare` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swerl_eval.cli.app import app
from swerl_eval.core.errors import UsageError
from tests.reports.comparison_runs import NAMES, made

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
BASE = "RRuu" * 3


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made(tmp_path / "monday", BASE)
    made(tmp_path / "tuesday", "RRRu" + BASE[4:])
    made(tmp_path / "newer", BASE, versions={"swebench": "5.1.0"})
    return tmp_path


def compare(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_runs_are_found_below_the_results_and_printed_as_text(results: Path) -> None:
    text = compare("monday", "tuesday", "--results", results)
    assert text.startswith("Comparison of monday and tuesday over 12 instances\n\nOfficial verdict\n")
    assert "Gained, by tuesday alone: 1: astropy__astropy-2\n" in text
    assert compare(results / "monday", results / "tuesday") == text


def test_json_has_everything_and_is_the_same_each_time(results: Path) -> None:
    arguments = ("monday", "tuesday", "--results", results, "--format", "json")
    document = json.loads(compare(*arguments))
    assert (document["schema_version"], document["instances"], document["resamples"]) == (1, 12, 10_000)
    (pair,) = document["comparisons"]
    assert pair["official"]["neither"] == sorted([NAMES[3], *(name for name in NAMES[4:] if name[-1] in "23")])
    assert compare(*arguments) == compare(*arguments)
    other_seed = json.loads(compare(*arguments, "--seed", 5))
    assert (document["seed"], other_seed["seed"]) == (0, 5)
    assert other_seed["comparisons"][0]["official"]["p"] == pair["official"]["p"]


def test_markdown_has_tables_and_code_spans(results: Path) -> None:
    text = compare("monday", "tuesday", "newer", "--results", results, "--anyway", "--format", "markdown")
    assert text.startswith("### Comparison of `monday`, `tuesday`, `newer` over 12 instances\n\n- NOT MEASURED")
    assert "- DIFFERENT harness version: `swebench 5.0.2` in `monday` and `swebench 5.1.0` in `newer`\n" in text
    assert "\n| `tuesday` | 7/12 | 58.3 % | 32.0 to 80.7 | +8.3 (+1 -0) | 1.0000 | +8.3 (+1 -0) | 1.0000 |\n" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("monday", "newer"), "harness version: swebench 5.0.2 in monday and swebench 5.1.0 in newer; evaluate them"),
        (("monday",), "there is nothing to compare with"),
        (("monday", "tuesday", "--format", "pdf"), "--format pdf: choose text, json, markdown, html"),
        (("monday", "wednesday"), "'wednesday' is neither a run folder, here or below"),
    ],
)
def test_what_cannot_be_compared_ends_with_code_2_and_one_line(
    arguments: tuple[str, ...], problem: str, results: Path
) -> None:
    command = [PROGRAM, "compare", *arguments, "--results", str(results)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_page_is_printed_or_written_to_a_file(results: Path, tmp_path: Path) -> None:
    page = compare("monday", "tuesday", "--results", results, "--format", "html")
    assert page.startswith("<!doctype html>")
    file = tmp_path / "compared.html"
    assert compare("monday", "tuesday", "--results", results, "--format", "html", "-o", file) == ""
    assert file.read_text() == page


def test_any_format_can_be_written_to_a_file(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "compared.md"
    compare("monday", "tuesday", "--results", results, "--format", "markdown", "-o", file)
    assert file.read_text().startswith("### Comparison of `monday` and `tuesday`")


def test_a_file_that_cannot_be_written_is_named(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/c.html: No such file or directory; choose another --output"):
        compare("monday", "tuesday", "--results", results, "-o", tmp_path / "nowhere" / "c.html")
