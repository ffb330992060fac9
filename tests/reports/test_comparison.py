"""Comparisons of runs whose answers are known by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import Regrade
from swerl_eval.records.run_folder import reopen_run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.comparison.build import Comparison, compare
from swerl_eval.reports.comparison.render import as_markdown, as_text
from swerl_eval.reports.comparison.sides import RUN_REPORT, SUBMISSION, read_sides
from tests.reports.comparison_runs import MANIFEST, NAMES, facts, made, submission

BASE = "RRuu" "RRuu" "RRuu"  # fmt: skip


def compared(*sides: Path | str, anyway: bool = False, results: Path = Path("results")) -> Comparison:
    return compare(read_sides(list(map(str, sides)), results), seed=0, anyway=anyway)


def lines(comparison: Comparison) -> list[str]:
    return as_text(comparison).splitlines()


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", BASE), made(tmp_path / "b", BASE))
    assert comparison["differences"] == []
    official = comparison["comparisons"][0]["official"]
    assert (official["difference"], official["interval_95"], official["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert (official["gained"], official["lost"], official["detectable_difference"]) == ([], [], None)
    assert (len(official["both"]), len(official["neither"])) == (6, 6)
    text = lines(comparison)
    assert text[:3] == ["Comparison of a and b over 12 instances", "", "Official verdict"]
    assert "Difference: 0.0 points (95 % interval 0.0 to 0.0, paired bootstrap over instances)" in text
    assert "a and b resolve the same instances." in text
    assert "Gained, by b alone: 0" in text
    assert "Strict verdict" in text


def test_one_gained_instance_is_named_and_is_no_proof(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", BASE), made(tmp_path / "b", "RRRu" + BASE[4:]))
    official = comparison["comparisons"][0]["official"]
    assert official["difference"] == 1 / 12
    assert (official["p"], official["repositories"], official["discordant"]) == (1.0, 3, 1)
    # a repository with 1 of 4, two with none: deviations 1 - 4/12, -4/12, -4/12
    assert official["clustered_error"] == pytest.approx(math.sqrt(64 + 16 + 16) / 12 / 12, rel=1e-12)
    assert official["gained"] == ["astropy__astropy-2"]
    assert official["interval_95"][0] == 0.0
    assert lines(comparison)[2:] == [
        "Official verdict",
        "run  resolved  solve rate  95 % interval",
        "a    6/12      50.0 %      25.4 to 74.6",
        "b    7/12      58.3 %      32.0 to 80.7",
        "Difference: +8.3 points (95 % interval 0.0 to +25.0, paired bootstrap over instances)",
        "Clustered by repository (3 of them): standard error 6.8 points, bootstrap interval 0.0 to +25.0; rough, "
        "with so few repositories",
        "McNemar's exact p: 1.0000 (1 gained, 0 lost)",
        "These instances cannot tell a and b apart (p is not below 0.05).",
        "Instances that tell the sides apart: 1 of 12. With so few no difference could have been shown (power 80 %, "
        "two-sided 5 %; fewer than 6 never give a p below 0.05).",
        "Gained, by b alone: 1: astropy__astropy-2",
        "Lost, by a alone: 0",
        "Both resolved: 6: astropy__astropy-0, astropy__astropy-1, django__django-0, django__django-1, "
        "sympy__sympy-0, sympy__sympy-1",
        "Neither: 5: astropy__astropy-3, django__django-2, django__django-3, sympy__sympy-2, sympy__sympy-3",
        "",
        "Strict verdict",
        "The same figures as by the official verdict.",
    ]


def test_all_lost_is_shown_by_the_exact_test(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", "R" * 12), made(tmp_path / "b", "u" * 12))
    official = comparison["comparisons"][0]["official"]
    assert (official["difference"], official["interval_95"]) == (-1.0, [-1.0, -1.0])
    assert official["p"] == 2 / 2**12
    assert official["lost"] == NAMES
    text = lines(comparison)
    assert "a resolves more than b; chance alone rarely gives such a difference (p below 0.05)." in text
    assert "McNemar's exact p: 0.0005 (0 gained, 12 lost)" in text


def test_what_this_many_instances_could_have_shown_is_said_in_words(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", "RRRRRuuuuuRR"), made(tmp_path / "b", "uuuuuRRRRRRR"))
    assert comparison["comparisons"][0]["official"]["detectable_difference"] == pytest.approx(0.6677, abs=1e-4)
    assert (
        "Instances that tell the sides apart: 10 of 12. With so many a difference of about 66.8 points or more could "
        "have been shown (power 80 %, two-sided 5 %); a smaller one may well be missed."
    ) in lines(comparison)


def test_the_strict_verdict_stands_beside_the_official_one_where_both_have_it(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    other = made(tmp_path / "b", BASE, strict="uRuu" + BASE[4:])
    comparison = compared(one, other)
    (pair,) = comparison["comparisons"]
    assert (pair["official"]["lost"], pair["strict"]["lost"]) == ([], ["astropy__astropy-0"])
    assert comparison["sides"][1]["strict"]["resolved"] == 5
    assert lines(comparison).count("Lost, by a alone: 1: astropy__astropy-0") == 1
    assert lines(comparison).count("Lost, by a alone: 0") == 1
    without = compared(one, made(tmp_path / "c", BASE, config={"strict": False}))
    assert without["comparisons"][0]["strict"] is None
    assert "Strict verdicts are not compared: c has none." in lines(without)
    assert "Strict verdict" not in lines(without)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "dataset": ({"dataset_fingerprint": "e" * 64}, "dataset fingerprint: f{16} in a and e{16} in b"),
    "harness": ({"versions": {"swebench": "5.1.0"}}, "harness version: swebench 5.0.2 in a and swebench 5.1.0 in b"),
    "timeout": ({"config": {"timeout": 900.0}}, "limits, timeout: 1800.0 in a and 900.0 in b"),
    "network": ({"config": {"network": "none"}}, "limits, network: bridge in a and none in b"),
    "images": ({"images": "1" * 11 + "2"}, r"images: other digests in a and b for 1 \(sympy__sympy-3\)"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_runs_that_were_measured_otherwise_are_refused_and_compared_anyway(what: str, tmp_path: Path) -> None:
    changes, words = OTHERS[what]
    one, other = made(tmp_path / "a", BASE), made(tmp_path / "b", BASE, **changes)
    with pytest.raises(UsageError, match=f"^a, b cannot be compared: {words}; evaluate them .* --anyway$"):
        compared(one, other)
    comparison = compared(one, other, anyway=True)
    assert len(comparison["differences"]) == 1
    assert lines(comparison)[1].startswith("NOT MEASURED ALIKE: ")
    assert lines(comparison)[2].startswith("DIFFERENT ")
    assert as_markdown(comparison).splitlines()[2].startswith("- NOT MEASURED ALIKE: ")


def test_other_instances_and_another_denominator_are_named_and_the_common_ones_are_compared(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    other = made(tmp_path / "b", "RR", instances=facts(["astropy__astropy-2", "other__repo-1"]))
    with pytest.raises(UsageError) as caught:
        compared(one, other)
    assert (
        "set of instances: 11 in a that b lacks (astropy__astropy-0, astropy__astropy-1, astropy__astropy-3, "
        "django__django-0, django__django-1 and 6 more); set of instances: 1 in b that a lacks (other__repo-1); "
        "denominator: 12 in a and 2 in b"
    ) in str(caught.value)
    comparison = compared(one, other, anyway=True)
    assert comparison["instances"] == 1
    assert [side["official"]["resolved"] for side in comparison["sides"]] == [0, 1]
    assert comparison["comparisons"][0]["official"]["gained"] == ["astropy__astropy-2"]
    with pytest.raises(UsageError, match="a, c have no instance in common"):
        compared(one, made(tmp_path / "c", "R", instances=facts(["other__repo-1"])), anyway=True)


def test_a_run_that_was_graded_again_has_the_pins_of_that_grading(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a", BASE), made(tmp_path / "b", BASE)
    with reopen_run(other) as run:
        run.regrades.append(Regrade("d" * 64, "5.0.3", 12, 0))
    with pytest.raises(UsageError, match=r"dataset fingerprint: f+ in a and d+ in b; harness version: .* 5\.0\.3 in b"):
        compared(one, other)


def test_speed_settings_do_not_matter(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a", BASE), made(tmp_path / "b", BASE, config={"workers": 16, "results": "x"})
    assert compared(one, other)["differences"] == []


def test_an_unfinished_run_says_so_and_what_is_missing_counts_as_not_resolved(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", BASE), made(tmp_path / "b", "iRuu" + "RRu." + "RRuu"))
    assert [side["official"]["resolved"] for side in comparison["sides"]] == [6, 5]
    assert [side["complete"] for side in comparison["sides"]] == [True, False]
    assert comparison["comparisons"][0]["official"]["lost"] == ["astropy__astropy-0"]
    text = lines(comparison)
    assert text[1] == "b is INCOMPLETE: the same command as before finishes it."
    assert text[2] == (
        "b: verdicts prevented by the machine (infra_error), counted as not resolved: 1 (astropy__astropy-0)"
    )
    assert text[4] == "b: instances without a verdict, counted as not resolved: 1 (django__django-3)"


def test_instances_without_a_prediction_do_not_make_a_run_incomplete(tmp_path: Path) -> None:
    other = made(tmp_path / "b", "RRu." + BASE[4:], submitted=[*NAMES[:3], *NAMES[4:]], patches="handed in")
    comparison = compared(made(tmp_path / "a", BASE), other)
    assert comparison["sides"][1]["complete"] is True
    assert comparison["sides"][1]["missing"] == ["astropy__astropy-3"]


def test_recorded_answers_are_said(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "a", BASE, recorded=True), made(tmp_path / "b", BASE))
    assert lines(comparison)[1] == "a: the answers were RECORDED, not sampled from a model."


def test_a_run_report_is_a_side_and_its_lacking_pins_are_named(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    made(tmp_path / "b", "RRRe" + "Riu." + BASE[8:])
    comparison = compared(one, tmp_path / "b.run-report.json")
    side = comparison["sides"][1]
    assert (side["name"], side["kind"], side["official"]["resolved"]) == ("b.run-report", RUN_REPORT, 6)
    assert side["unchecked"] == ["dataset fingerprint", "harness version", "limits", "images"]
    assert (side["missing"], side["errors"]) == (["django__django-3"], ["django__django-1"])
    (pair,) = comparison["comparisons"]
    assert (pair["official"]["gained"], pair["official"]["lost"]) == (["astropy__astropy-2"], ["django__django-1"])
    assert (pair["official"]["repositories"], pair["strict"]) == (3, None)
    assert (
        "b.run-report (swebench run report) does not record, so not checked: dataset fingerprint, harness version, "
        "limits, images."
    ) in lines(comparison)


def test_two_run_reports_take_repositories_from_the_ids(tmp_path: Path) -> None:
    made(tmp_path / "a", BASE)
    made(tmp_path / "b", BASE)
    comparison = compared(tmp_path / "a.run-report.json", tmp_path / "b.run-report.json")
    assert comparison["comparisons"][0]["official"]["repositories"] == 3


def test_a_run_report_says_what_the_machine_prevented_and_what_it_lists_twice(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    file = tmp_path / "a.run-report.json"
    document = json.loads(file.read_bytes())
    document["resolved_ids"].append(document["resolved_ids"][0])
    document["infra_failure_ids"] = ["astropy__astropy-2"]
    file.write_text(json.dumps(document))
    comparison = compared(one, file)
    side = comparison["sides"][1]
    assert (side["official"]["resolved"], side["repeated"], side["prevented"]) == (6, [NAMES[0]], [NAMES[2]])
    assert f"a.run-report: resolved instances that are listed more than once, counted once: 1 ({NAMES[0]})" in lines(
        comparison
    )


def test_a_submission_is_a_side_and_what_it_does_not_name_is_not_resolved(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    file = submission(tmp_path / "20260101_theirs", ["astropy__astropy-0", "django__django-3"], no_logs=[NAMES[11]])
    comparison = compared(one, file)
    side = comparison["sides"][1]
    assert (side["name"], side["kind"], side["official"]) == (
        "20260101_theirs",
        SUBMISSION,
        {**side["official"], "resolved": 2, "total": 12},
    )
    assert side["unchecked"][:2] == ["set of instances", "denominator"]
    assert side["errors"] == [NAMES[11]]
    assert comparison["comparisons"][0]["official"]["gained"] == ["django__django-3"]
    stranger = submission(tmp_path / "stranger", ["no__such-1"])
    with pytest.raises(UsageError, match=r"set of instances: 1 in stranger that a lacks \(no__such-1\); evaluate"):
        compared(one, stranger)
    with pytest.raises(UsageError, match="no side names all of its instances"):
        compared(file, stranger, anyway=True)


@pytest.mark.parametrize(("format_name", "file"), [("swebench", "org__model.a.json"), ("experiments", "results.json")])
def test_a_run_equals_its_own_exports(format_name: str, file: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", "RRueiRu." + "RRuu", versions={"swebench": "5.0.2", "swerl-eval": "0.1.0"})
    load("exporter", format_name, EXPORTERS)().export(folder, tmp_path / "out", {"trial": True})
    (exported,) = (tmp_path / "out").rglob(file)
    comparison = compared(folder, exported)
    assert comparison["differences"] == []
    assert [side["official"]["resolved"] for side in comparison["sides"]] == [5, 5]
    assert comparison["comparisons"][0]["official"]["discordant"] == 0
    assert "denominator" not in comparison["sides"][1]["unchecked"]


def test_the_denominator_of_a_submission_stands_beside_it(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    file = submission(tmp_path / "theirs", ["astropy__astropy-0"])
    totals = file.with_name("resolved_by_repo.json")
    totals.write_text('{"astropy/astropy": {"resolved": 1, "total": 8}, "sympy/sympy": {"resolved": 0, "total": 4}}')
    assert compared(one, file)["sides"][1]["unchecked"][:2] == ["set of instances", "dataset fingerprint"]
    totals.write_text('{"astropy/astropy": {"resolved": 1, "total": 500}}')
    with pytest.raises(UsageError, match="denominator: 12 in a and 500 in theirs"):
        compared(one, file)
    for content in ("[]", '{"a/b": 3}', '{"a/b": {"resolved": 1}}'):
        totals.write_text(content)
        with pytest.raises(InputError, match=r"resolved_by_repo\.json: a repository has no total"):
            compared(one, file)


def test_a_run_report_that_does_not_name_all_of_its_instances_is_not_taken_for_whole(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    file = tmp_path / "a.run-report.json"
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps({**document, "total_instances": 500}))
    with pytest.raises(UsageError, match=r"denominator: 12 in a and 500 in a\.run-report"):
        compared(one, file)


def test_three_runs_are_a_trend_in_the_order_given(tmp_path: Path) -> None:
    runs = [made(tmp_path / "c", "R" + "u" * 11), made(tmp_path / "a", BASE), made(tmp_path / "b", "R" * 12)]
    comparison = compared(*runs)
    assert [(pair["first"], pair["second"]) for pair in comparison["comparisons"]] == [
        ("c", "a"),
        ("c", "b"),
        ("a", "b"),
    ]
    assert lines(comparison)[2:7] == [
        "Official verdict, in the order given",
        "run  resolved  solve rate  95 % interval  from the first  p       from the one before  p",
        "c    1/12      8.3 %       1.5 to 35.4",
        "a    6/12      50.0 %      25.4 to 74.6   +41.7 (+5 -0)   0.0625  +41.7 (+5 -0)        0.0625",
        "b    12/12     100.0 %     75.8 to 100.0  +91.7 (+11 -0)  0.0010  +50.0 (+6 -0)        0.0312",
    ]
    table = [line for line in as_markdown(comparison).splitlines() if line.startswith("|")]
    assert table[1] == "| --- | --- | --- | --- | --- | --- | --- | --- |"
    assert table[4].startswith("| `b` | 12/12 | 100.0 % | 75.8 to 100.0 | +91.7 (+11 -0) | 0.0010 | ")
    assert len(table) == 5


def test_each_differing_side_of_a_trend_is_named(tmp_path: Path) -> None:
    runs = [made(tmp_path / name, BASE, versions={"swebench": name}) for name in ("v1", "v2", "v3")]
    with pytest.raises(
        UsageError, match=r"swebench v1 in v1 and swebench v2 in v2; .* swebench v1 in v1 and .* in v3;"
    ):
        compared(*runs)


def test_exchanged_sides_exchange_gained_and_lost(tmp_path: Path) -> None:
    one = made(tmp_path / "a", BASE)
    other = made(tmp_path / "b", "uRRR" + BASE[4:], instances=dict(reversed(list(MANIFEST.instances.items()))))
    forth = compared(one, other)["comparisons"][0]["official"]
    back = compared(other, one)["comparisons"][0]["official"]
    assert (back["gained"], back["lost"], back["p"]) == (forth["lost"], forth["gained"], forth["p"])
    assert back["difference"] == -forth["difference"]
    for interval in ("interval_95", "clustered_interval_95"):
        assert back[interval] == [-end for end in reversed(forth[interval])]


def test_sides_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, other = made(tmp_path / "x" / "r", BASE), made(tmp_path / "y" / "r", BASE)
    assert [side["name"] for side in compared(one, other)["sides"]] == [str(one), str(other)]
    assert [side["name"] for side in compared(one, one)["sides"]] == [f"{one} (1)", f"{one} (2)"]


def test_a_name_is_looked_for_here_and_below_the_results(tmp_path: Path) -> None:
    made(tmp_path / "a", BASE)
    assert compared("a", "a.run-report.json", results=tmp_path)["instances"] == 12
    with pytest.raises(
        UsageError, match=r"'nowhere' is neither a run folder, here or below .*, nor a file; name a run"
    ):
        compared("nowhere", "a", results=tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "x.json, line 1: not valid JSON"),
        ("[]", "neither swebench's run report"),
        ('{"resolved": 3}', "for a run of this program, name its folder"),
        ('{"resolved_ids": [], "schema_version": 1}', "schema_version 1, but version 2 is read"),
        ('{"resolved_ids": [3], "schema_version": 2}', "resolved_ids is no list of instance ids"),
        ('{"resolved": ["a"], "no_logs": "b"}', "no_logs is no list of instance ids"),
    ],
)
def test_a_file_that_is_no_report_is_named(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=problem):
        compared(tmp_path / "x.json", tmp_path / "x.json")
