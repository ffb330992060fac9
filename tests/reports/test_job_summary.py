"""The summary for a CI's page, read by a parser of Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from swerl_eval.core.types import Failure
from swerl_eval.records.run_folder import open_run
from swerl_eval.reports.exports.job_summary import MOST_BYTES, MarkdownExporter
from tests.reports.comparison_runs import CONFIG, MANIFEST, made
from tests.reports.exported_runs import BROKEN, EMPTY, FAILING, FIXED, STUCK, WAITING, make


def summary(run: Path, destination: Path) -> str:
    (file,) = MarkdownExporter().export(run, destination, {})
    assert file == destination / "summary.md"
    return file.read_text("utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """The texts of all cells of all tables, the head first."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level > 3:
            found[-1][-1].append("".join(child.content for child in token.children or ()))
    return found


def test_the_summary_has_the_result_the_repositories_and_what_is_not_resolved(tmp_path: Path) -> None:
    text = summary(make(tmp_path / "run"), tmp_path / "out")
    assert text.startswith(
        "# `org/model` on `verified`\n\n"
        "**16.7 %** of 6 instances resolved (1; 95 % interval 3.0 to 56.4 %). By the strict verdict: 0.0 % (0).\n\n"
        "**The run is not complete.** resolved 1, unresolved 1, empty_patch 1, infra_error 1, missing 2\n\n"
        "Run `run`, dataset `ffffffffffffffff`, `swebench 5.0.2`\n"
    )
    repositories, others = tables(text)
    assert repositories == [
        ["repository", "instances", "resolved", "rate"],
        ["a/a", "3", "1", "33.3 %"],
        ["b/b", "3", "0", "0.0 %"],
    ]
    assert others == [
        ["instance", "verdict", "reason"],
        [FAILING, "unresolved", "FAIL_TO_PASS 1/2, PASS_TO_PASS 2/2"],
        [EMPTY, "empty_patch", "no valid sample"],
        [BROKEN, "infra_error", "the engine is gone"],
        [STUCK, "missing", "the clone failed"],
        [WAITING, "missing", ""],
    ]
    assert "## Not resolved: 5\n" in text


def test_a_run_that_resolves_all_has_no_table_of_the_others(tmp_path: Path) -> None:
    text = summary(make(tmp_path / "run", FIXED), tmp_path / "out")
    assert len(tables(text)) == 1
    assert "\n\nresolved 1\n\n" in text
    assert "Not resolved" not in text


@pytest.mark.parametrize("verdict", ["R", "i"])
def test_a_run_without_the_strict_verdict_does_not_speak_of_it(verdict: str, tmp_path: Path) -> None:
    assert "strict" not in summary(made(tmp_path / "run", verdict * 12, config={"strict": False}), tmp_path / "out")


EVIL = "x|y`z</code><script>alert(1)</script>\n# heading\x1b[31m\u202e ![a](http://b) @you"


def test_no_name_or_reason_is_markup(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "config": {**CONFIG, "dataset": EVIL},
        "instances": {"a__a-1": {"repo": EVIL}},
        "versions": {EVIL: "1"},
        "model_name": EVIL,
        "run_id": EVIL,
    }
    with open_run(tmp_path / "run", replace(MANIFEST, **fields)) as run:
        run.failures.append(Failure("a__a-1", EVIL))
    text = summary(tmp_path / "run", tmp_path / "out")
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert html.count("<h1>") == 1
    shown = EVIL.replace("\n", "\\n").replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert [row[-1] for row in tables(text)[-1]] == ["reason", shown]
    assert [table[1][0] for table in tables(text)] == [shown, "a__a-1"]


def test_the_summary_of_500_instances_with_long_reasons_stays_small(tmp_path: Path) -> None:
    names = {f"owner__name-{number}": {"repo": f"owner/{'n' * 300}{number}"} for number in range(500)}
    with open_run(tmp_path / "run", replace(MANIFEST, instances=names)) as run:
        for name in names:
            run.failures.append(Failure(name, "ü|" * 500))
    text = summary(tmp_path / "run", tmp_path / "out")
    assert MOST_BYTES / 2 < len(text.encode()) <= MOST_BYTES
    shown = [len(table) - 1 for table in tables(text)]
    assert min(shown) > 100
    for count in shown:
        assert f"\n{500 - count} more are left out here.\n" in text
    assert "…" in text


def test_500_instances_with_reasons_of_a_line_are_all_shown(tmp_path: Path) -> None:
    names = {f"owner__name-{number}": {"repo": "owner/name"} for number in range(500)}
    with open_run(tmp_path / "run", replace(MANIFEST, instances=names)) as run:
        for name in names:
            run.failures.append(Failure(name, "r" * 150))
    text = summary(tmp_path / "run", tmp_path / "out")
    assert len(tables(text)[1]) == 501
    assert "left out" not in text
    assert len(text.encode()) < MOST_BYTES
