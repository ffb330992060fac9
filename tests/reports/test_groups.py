"""Rates by repository, difficulty and year; the row's own columns; the clustered rate."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from swerl_eval.core.diffs import sha256
from swerl_eval.core.metrics import wilson
from swerl_eval.core.types import Evaluation, Localization, Selection, Verdict
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.summary import build_report
from tests.reports.comparison_runs import made

FACTS = {
    "x__x-1": {"repo": "x/x", "created_at": "2019-05-01T00:00:00Z", "difficulty": "easy"},
    "x__x-2": {"repo": "x/x", "created_at": "2020-05-01", "difficulty": "hard"},
    "x__y-1": {"repo": "x/y", "created_at": "2020-12-31 23:59:59+00:00", "difficulty": "easy"},
    "x__y-2": {"repo": "x/y", "created_at": "", "difficulty": ""},
    "x__z-1": {"repo": "x/z", "created_at": "yesterday", "difficulty": "easy"},
}


def test_each_dimension_has_its_rates_with_intervals_the_largest_group_first(tmp_path: Path) -> None:
    report = build_report(Run(made(tmp_path / "r", "RuR.R", "RuuuR", instances=FACTS)))
    groups = report["groups"]
    assert groups["repository"] == [
        {
            "name": "x/x", "total": 2, "resolved": 1, "solve_rate": 0.5, "interval_95": list(wilson(1, 2)), "strict": 1,
        },
        {
            "name": "x/y", "total": 2, "resolved": 1, "solve_rate": 0.5, "interval_95": list(wilson(1, 2)), "strict": 0,
        },
        {
            "name": "x/z", "total": 1, "resolved": 1, "solve_rate": 1.0, "interval_95": list(wilson(1, 1)), "strict": 1,
        },
    ]  # fmt: skip
    assert [(row["name"], row["total"], row["resolved"]) for row in groups["difficulty"]] == [
        ("easy", 3, 3), ("hard", 1, 0), ("unknown", 1, 0),
    ]  # fmt: skip
    assert [(row["name"], row["total"]) for row in groups["year"]] == [("2020", 2), ("unknown", 2), ("2019", 1)]
    for rows in groups.values():
        assert sum(row["total"] for row in rows) == report["total"]
        assert sum(row["resolved"] for row in rows) == report["resolved"]
        assert sum(row["strict"] for row in rows) == report["strict"]["resolved"]


def test_a_column_that_the_dataset_does_not_have_gives_no_groups(tmp_path: Path) -> None:
    report = build_report(
        Run(made(tmp_path / "r", "Ru", instances={"a__b-1": {}, "c-d__e-2": {}}, config={"strict": False}))
    )
    groups = report["groups"]
    assert (groups["difficulty"], groups["year"]) == ([], [])
    # a repository can be told from the id
    assert [(row["name"], row["strict"]) for row in groups["repository"]] == [("a/b", None), ("c-d/e", None)]


def test_the_clustered_rate_takes_repositories_as_the_unit(tmp_path: Path) -> None:
    report = build_report(Run(made(tmp_path / "r", "RRu.", instances={name: FACTS[name] for name in list(FACTS)[:4]})))
    clustered = report["clustered"]
    # half of four: both of x/x, none of x/y
    assert clustered == {"repositories": 2, "error": pytest.approx(math.sqrt(2) / 4), "interval_95": [0.0, 1.0]}
    alone = build_report(Run(made(tmp_path / "one", "Ru", instances={name: FACTS[name] for name in list(FACTS)[:2]})))
    assert alone["clustered"] is None


def test_each_instance_has_its_columns_and_says_whether_its_files_hit(tmp_path: Path) -> None:
    lists = [(("a.py", "b.py"), ("c.py",)), (("a.py",), ("b.py",)), (("c.py",),), (), None]
    folder = made(tmp_path / "r", ".....", instances=FACTS)
    with reopen_run(folder) as run:
        for name, files in zip(FACTS, lists, strict=True):
            if files is not None:
                run.localizations.append(Localization(name, files, "model"))
            run.selections.append(Selection(name, 0, "p", ""))
            gold = ("b.py", "a.py") if name != "x__y-2" else ()
            run.evaluations.append(Evaluation(name, sha256("p"), Verdict.UNRESOLVED, gold_files=gold))
    rows = build_report(Run(folder))["instances"]
    assert [(row["repo"], row["year"], row["difficulty"], row["files_hit"]) for row in rows] == [
        ("x/x", "2019", "easy", "all"),
        ("x/x", "2020", "hard", "some"),
        ("x/y", "2020", "easy", "none"),
        ("x/y", "", "", None),
        ("x/z", "", "easy", None),
    ]
