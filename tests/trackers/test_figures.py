from __future__ import annotations

import pytest

from swerl_eval.progress import Progress
from swerl_eval.trackers.figures import figures_of
from swerl_eval.trackers.tables import COLUMNS, columns_and_rows, markdown, table_of


def test_the_figures_of_a_run_under_way() -> None:
    progress = Progress(total=9, samples=8, tokens=1000, started=0.0)
    for stage, count in (("localize", 9), ("evaluate", 4)):
        for _ in range(count):
            progress.finish(stage, resumed=False)
    progress.verdicts.update({"resolved": 1, "unresolved": 3})
    progress.request(1)
    progress.running("c", now=True)
    figures = figures_of(progress)
    assert figures.pop("seconds") > 0
    assert figures.pop("tokens_per_second") > 0
    assert figures == {
        "samples": 8.0,
        "tokens": 1000.0,
        "requests": 1.0,
        "containers": 1.0,
        "stage/localize": 9.0,
        "stage/evaluate": 4.0,
        "verdict/resolved": 1.0,
        "verdict/unresolved": 3.0,
        "solve_rate": 0.25,
        "solve_rate_low": pytest.approx(0.0456, abs=1e-4),
        "solve_rate_high": pytest.approx(0.6994, abs=1e-4),
    }
    assert all(type(value) is float for value in figures.values())


def test_without_a_verdict_there_is_no_rate() -> None:
    assert "solve_rate" not in figures_of(Progress())


def test_the_table_has_the_same_columns_for_every_instance_and_plain_values() -> None:
    table = table_of(
        {"instances": [{"instance_id": "a", "votes": 3, "other": [1]}, {"instance_id": "b", "reason": ["x"]}]}
    )
    assert [list(row) for row in table] == [list(COLUMNS)] * 2
    assert (table[0]["votes"], table[1]["votes"], table[1]["reason"]) == (3, None, '["x"]')
    assert table_of({}) == []
    assert columns_and_rows([]) == ([], [])


def test_names_in_the_table_are_no_markup() -> None:
    shown = markdown([{"a": "x\n| y", "b": "<script>&amp;[z](javascript:1)"}])
    assert shown.splitlines()[2:] == [r"| x \| y | &lt;script>&amp;amp;\[z\]\(javascript:1\) |"]
