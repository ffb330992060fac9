"""Names from files are data in every format of a comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.comparison.build import compare
from swerl_eval.reports.comparison.names import code, listed, printable
from swerl_eval.reports.comparison.render import as_markdown, as_text
from swerl_eval.reports.comparison.sides import read_sides
from tests.reports.comparison_runs import NAMES, made, submission

EVIL = [
    "[red]x[/red]",
    "<script>alert(1)</script>",
    "a`b``c",
    "a|b",
    "\x1b[31mred\x1b[0m",
    "x\n# heading",
    "\ud800",
    "‮",
]


@given(st.text())
def test_a_printable_name_is_one_printable_line(name: str) -> None:
    assert printable(name).isprintable()


@given(st.text(alphabet="ab`| \\<\n", min_size=1, max_size=12))
def test_a_code_span_ends_where_the_name_ends(name: str) -> None:
    span = code(name)
    fence, inner, end = re.fullmatch("(`+)([^`].*[^`]|[^`])(`+)", span).groups()  # type: ignore[union-attr]
    assert fence == end
    assert fence not in re.findall("`+", inner)  # no run of as many ends it earlier
    assert re.search(r"(?<!\\)\|", inner) is None
    shown = inner[1:-1] if inner.strip(" ") and inner[0] == inner[-1] == " " else inner  # as Markdown strips it
    if name.strip(" "):
        assert shown.replace("\\|", "|") == printable(name)


def test_names_are_shown_as_they_are_or_as_escapes() -> None:
    assert [printable(name) for name in EVIL[:4]] == EVIL[:4]
    assert [printable(name) for name in EVIL[4:]] == ["\\x1b[31mred\\x1b[0m", "x\\n# heading", "\\ud800", "\\u202e"]
    assert (code("a`b``c"), code("`a"), code("a|b"), code("")) == ("```a`b``c```", "`` `a ``", "`a\\|b`", "`  `")
    assert listed(["a", "b", "c"], code, 2) == "`a`, `b` and 1 more"


def test_hostile_instances_and_models_stay_data_in_all_formats(tmp_path: Path) -> None:
    base = {"schema_version": 2, "completed_ids": EVIL, "total_instances": len(EVIL)}
    one, other = tmp_path / "<b>`m`|x.run.json", tmp_path / "m.run.json"
    one.write_text(json.dumps({**base, "resolved_ids": EVIL}))
    other.write_text(json.dumps({**base, "resolved_ids": []}))
    comparison = compare(read_sides([str(one), str(other)], tmp_path), seed=0)
    text, markdown = as_text(comparison), as_markdown(comparison)
    for output in (text, markdown):
        output.encode()
        assert "\x1b" not in output
        assert "\n# heading" not in output
        assert "\u202e" not in output
    assert "[red]x[/red]" in text
    assert "`<script>alert(1)</script>`" in markdown
    assert "| ``<b>`m`\\|x.run`` | 8/8 |" in markdown
    assert json.loads(json.dumps(comparison))["comparisons"][0]["official"]["lost"] == sorted(EVIL)


def test_a_refusal_prints_no_control_characters(tmp_path: Path) -> None:
    file = submission(tmp_path / "s", ["\x1b[31m", NAMES[0]])
    with pytest.raises(UsageError) as caught:
        compare(read_sides([str(made(tmp_path / "a", "R" * 12)), str(file)], tmp_path), seed=0)
    assert "(\\x1b[31m)" in str(caught.value)
    assert "\x1b" not in str(caught.value)
