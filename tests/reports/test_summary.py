"""Both verdicts and both denominators, from records written by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from swerl_eval.cli.render import print_run
from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import InputError
from swerl_eval.core.types import Completion, Evaluation, Machine, Regrade, Sample, Selection, Verdict
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.reports.first_screen import first_screen
from swerl_eval.reports.quarantine import Quarantine, read_quarantine, write_quarantine
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.reports.swebench_report import run_report

NAMES = [f"a__b-{number}" for number in range(1, 7)]
R, U, E, I = Verdict.RESOLVED, Verdict.UNRESOLVED, Verdict.EMPTY_PATCH, Verdict.INFRA_ERROR  # noqa: E741
MACHINE = Machine("Docker 1", "x86_64", 2.0, 2**33, "6.1")
CONFIG = {
    "dataset": "verified", "samples": 1, "strict": True, "memory": "8g", "cpus": 2.0, "pids": 4096, "written": "16g",
    "network": "bridge", "timeout": 1800.0, "workers": 3,
}  # fmt: skip
MANIFEST = RunManifest(
    run_id="r",
    config=CONFIG,
    identity={},
    instances={name: {} for name in NAMES},
    dataset_fingerprint="f" * 64,
    prompts={},
    versions={"swebench": "5.0.2"},
    model_name="m",
    recorded=False,
    created_at="2025-01-01T00:00:00+00:00",
)


def evaluation(name: str, verdict: Verdict, strict: Verdict | None, **more: Any) -> Evaluation:
    patch = "" if verdict is E else f"patch of {name}"
    return replace(Evaluation(name, sha256(patch), verdict, strict=strict), **more)


EVALUATIONS = [
    evaluation(NAMES[0], R, R),
    evaluation(
        NAMES[1],
        R,
        U,
        strict_reason="the test command says success",
        suspicious=("conftest.py is loaded by pytest beside the tests", "control run: the test command says success"),
    ),
    evaluation(NAMES[2], U, U),
    evaluation(NAMES[3], E, E),
    evaluation(NAMES[4], R, R),
    evaluation(NAMES[5], U, U),
]


def made(folder: Path, evaluations: list[Evaluation], **config: object) -> Run:
    manifest = replace(MANIFEST, config={**CONFIG, **config})
    with open_run(folder / "r", manifest) as run:
        for record in evaluations:
            patch = "" if record.verdict is E else f"patch of {record.instance_id}"
            run.selections.append(Selection(record.instance_id, 0, patch, "majority"))
        run.evaluations.append(*evaluations)
        run.machines.append(MACHINE)
    return Run(folder / "r")


def lines(report: Report, title: str) -> list[str]:
    """The facts of a section of the first screen."""
    return [str(fact) for section in first_screen(report, None) if section.title == title for fact in section.facts]


def rows(report: Report) -> dict[str, Report]:
    return {row["instance_id"]: row for row in report["instances"]}


@pytest.mark.parametrize("setting", [True, "on"])
def test_the_strict_rate_stands_beside_the_official_one_and_each_difference_has_its_reason(
    tmp_path: Path, setting: object
) -> None:
    report = build_report(made(tmp_path, EVALUATIONS, strict=setting))
    assert (report["resolved"], report["total"], report["solve_rate"]) == (3, 6, 0.5)
    assert report["strict"] == {"resolved": 2, "solve_rate": 2 / 6}
    assert report["suspicious"] == 1
    assert report["complete"] is True
    row = rows(report)[NAMES[1]]
    assert (row["verdict"], row["strict"]) == ("resolved", "unresolved")
    assert row["strict_reason"] == "the test command says success"
    assert len(row["suspicious"]) == 2
    assert lines(report, "Result") == [
        "Solve rate: 3/6 = 50.0 % (95 % interval 18.8 to 81.2)",
        "Strict solve rate: 2/6 = 33.3 % (the control run does not confirm 1 of the resolved)",
        "Suspicious: 1 of the evaluated patches (remarks say why)",
        "Verdicts: 3 resolved, 2 unresolved, 1 empty_patch",
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    print_run(console, report)
    printed = [line.rstrip() for line in console.export_text().splitlines()]
    assert [line for line in printed if "officially" in line] == [
        f"{NAMES[1]}: resolved officially, unresolved strictly: the test command says success"
    ]
    assert f"{NAMES[1]}: suspicious: conftest.py is loaded by pytest beside the tests" in printed


def test_instances_without_a_prediction_are_counted_and_named_in_one_line(tmp_path: Path) -> None:
    ids: dict[str, dict[str, str]] = {name: {} for name in [*NAMES, *(f"z__z-{number:02}" for number in range(12))]}
    with open_run(tmp_path / "r", replace(MANIFEST, instances=ids, submitted=tuple(NAMES), patches="handed in")) as run:
        for record in EVALUATIONS:
            patch = "" if record.verdict is E else f"patch of {record.instance_id}"
            run.selections.append(Selection(record.instance_id, None, patch, "handed in"))
        run.evaluations.append(*EVALUATIONS)
    report = build_report(Run(tmp_path / "r"))
    assert (report["total"], report["resolved"], report["solve_rate"]) == (18, 3, 3 / 18)
    assert (report["submitted"], report["verdicts"]["missing"], report["complete"]) == (6, 12, True)
    assert report["without_prediction"] == sorted(set(ids) - set(NAMES))
    console = Console(width=300, record=True, file=io.StringIO())
    print_run(console, report)
    output = console.export_text()
    named = ", ".join(f"z__z-{number:02}" for number in range(10))
    assert (
        "\n  Missing: 12 of 18 instances have no prediction and count as not solved "
        f"({named} and 2 more (report.json))\n"
    ) in output
    assert output.count("z__z-00") == 1
    swebench = run_report(Run(tmp_path / "r"))
    assert (swebench["total_instances"], swebench["submitted_instances"]) == (18, 6)
    assert swebench["incomplete_ids"] == report["without_prediction"]


def test_a_remark_on_an_unresolved_patch_stands_in_its_row_and_below_the_table(tmp_path: Path) -> None:
    remark = "no test results: the log names no test; swebench's reason: missing_module"
    evaluations = [*EVALUATIONS[:5], replace(EVALUATIONS[5], remark=remark)]
    report = build_report(made(tmp_path, evaluations))
    assert rows(report)[NAMES[5]]["reason"] == remark
    console = Console(width=200, record=True, file=io.StringIO())
    print_run(console, report)
    assert f"\n{NAMES[5]}: {remark}\n" in console.export_text()


@pytest.mark.parametrize("setting", [False, "off"])
def test_a_strict_verdict_that_was_not_asked_for_is_null_and_not_shown(tmp_path: Path, setting: object) -> None:
    evaluations = [replace(evaluation, strict=None) for evaluation in EVALUATIONS]
    report = build_report(made(tmp_path, evaluations, strict=setting))
    assert report["strict"] is None
    assert report["complete"] is True
    assert {row["strict"] for row in report["instances"]} == {None}
    assert not [line for line in lines(report, "Result") if "trict" in line]


@pytest.mark.parametrize("strict", [I, None])
def test_a_strict_verdict_that_the_machine_prevented_makes_the_run_incomplete(
    tmp_path: Path, strict: Verdict | None
) -> None:
    report = build_report(made(tmp_path, [evaluation(NAMES[0], R, strict), *EVALUATIONS[1:]]))
    assert report["complete"] is False
    assert report["resolved"] == 3
    assert report["strict"]["resolved"] == 1


def test_both_denominators_are_exact_and_named(tmp_path: Path) -> None:
    reasons = {NAMES[1]: "flaky: with the gold patch 1 resolved, 1 unresolved", NAMES[2]: "invalid: …", "c__d-9": "x"}
    report = build_report(made(tmp_path, EVALUATIONS), Quarantine("q.json", reasons))
    assert (report["resolved"], report["total"]) == (3, 6)
    without = report["without_quarantined"]
    assert without.pop("interval_95")[0] < 0.5
    assert without == {
        "file": "q.json",
        "quarantined": [NAMES[1], NAMES[2]],
        "total": 4,
        "resolved": 2,
        "solve_rate": 0.5,
        "strict": {"resolved": 2, "solve_rate": 0.5},
    }
    assert rows(report)[NAMES[1]]["quarantined"] == reasons[NAMES[1]]
    assert "quarantined" not in rows(report)[NAMES[0]]
    report = build_report(made(tmp_path, EVALUATIONS), Quarantine("q.json", reasons))
    result = lines(report, "Result")
    assert result[0].startswith("Solve rate: 3/6 = 50.0 %")
    assert result[3] == (
        "Without 2 in quarantine (q.json): 2/4 = 50.0 %, strict 2/4 = 50.0 % (95 % interval 15.0 to 85.0)"
    )


def test_with_everything_in_quarantine_there_is_no_rate_and_no_error(tmp_path: Path) -> None:
    report = build_report(made(tmp_path, EVALUATIONS), Quarantine("q.json", dict.fromkeys(NAMES, "x")))
    without = report["without_quarantined"]
    assert (without["total"], without["resolved"], without["solve_rate"]) == (0, 0, 0.0)
    assert any(line.startswith("Without 6 in quarantine (q.json): 0/0") for line in lines(report, "Result"))


def test_the_report_says_what_the_verdicts_were_made_with(tmp_path: Path) -> None:
    folder = made(tmp_path, EVALUATIONS).folder
    report = build_report(Run(folder))
    assert report["machines"] == [
        {"engine": "Docker 1", "architecture": "x86_64", "cpus": 2.0, "memory": 2**33, "kernel": "6.1"}
    ]
    names = ("memory", "cpus", "pids", "written", "network", "timeout")
    assert report["limits"] == {name: CONFIG[name] for name in names}
    assert report["environment"]["TZ"] == "UTC"
    assert report["environment"]["OMP_NUM_THREADS"] == "2"
    assert report["regraded"] is None
    with open_run(folder, MANIFEST) as run:
        run.regrades.append(Regrade("a" * 64, "5.0.2", 5, 1))
        run.regrades.append(Regrade("b" * 64, "5.0.3", 5, 0))
    assert build_report(Run(folder))["regraded"] == {
        "dataset_fingerprint": "b" * 64,
        "swebench": "5.0.3",
        "graded": 5,
        "changed": 0,
    }


def test_a_quarantine_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "q.json"
    write_quarantine(file, {"a__b-1": {"reason": "flaky: …", "image_id": "sha256:1"}}, {"repeat": 3})
    assert read_quarantine(file) == Quarantine("q.json", {"a__b-1": "flaky: …"})
    assert orjson.loads(file.read_bytes())["repeat"] == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot read the quarantine file .*q.json: No such file"),
        ("{", "the quarantine file .*q.json, line 1: "),
        ("[]", 'q.json has no table "instances"'),
        ('{"schema_version": 1}', 'q.json has no table "instances"'),
        ('{"schema_version": 7, "instances": {}}', "q.json: format version 7, but this program reads version 1"),
        ('{"schema_version": 1, "instances": {"a__b-1": "flaky"}}', 'q.json: a__b-1 has no "reason"'),
    ],
)
def test_a_quarantine_file_that_cannot_be_used_is_named_with_the_remedy(
    content: str | None, problem: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "q.json").write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_quarantine(tmp_path / "q.json")
    assert "swerl-eval validate --repeat N --quarantine FILE" in str(caught.value)


def test_answers_that_never_came_are_counted_with_their_reasons_and_said_in_one_line(tmp_path: Path) -> None:
    refused = Completion("", "error", error="refused: the prompt is too long", refused=True)
    answers = [refused, refused, Completion("", "error", error="filtered"), Completion("x", "length", 10, 7)]
    with open_run(tmp_path / "r", MANIFEST) as run:
        run.samples.append(*(Sample(NAMES[0], "localize", k, answer, (), "0", 1) for k, answer in enumerate(answers)))
    report = build_report(Run(tmp_path / "r"))
    assert report["failed_answers"] == {
        "count": 3,
        "refused": 2,
        "reasons": {"refused: the prompt is too long": 2, "filtered": 1},
    }
    assert (
        "FAILED: 3 answers never came, 2 of them refused (the same command asks for these again) ("
        "2 times: refused: the prompt is too long)"
    ) in lines(report, "Missing or failed")
    assert build_report(made(tmp_path / "none", []))["failed_answers"] is None
