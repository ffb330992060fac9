"""`swerl-eval gate` as a job uses it: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swerl_eval.cli.app import app
from swerl_eval.core.errors import UsageError
from tests.reports.comparison_runs import CONFIG, NAMES, facts, made, submission

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made(tmp_path / "monday", "RRuu" * 3)
    made(tmp_path / "tuesday", "RuRu" + "RRuu" + "uuui")
    return tmp_path


def gate(results: Path, *arguments: object) -> tuple[int, str, str]:
    """The exit code, standard output, and standard error."""
    done = CliRunner().invoke(app, ["gate", *map(str, arguments), "--results", str(results)], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def quarantine(results: Path, *names: str) -> Path:
    file = results / "flaky.json"
    file.write_text(json.dumps({"schema_version": 1, "instances": {name: {"reason": "flaky"} for name in names}}))
    return file


def test_a_complete_run_passes_and_the_line_says_its_rate(results: Path) -> None:
    code, out, err = gate(results, "monday")
    assert (code, err) == (0, "")
    assert out == (
        "gate met: monday: complete, 12 instances; no verdict prevented by the machine; solve rate 50.0 % (6 of 12)\n"
        "  met      complete, 12 instances\n"
        "  met      no verdict prevented by the machine\n"
    )


def test_a_run_below_its_floor_with_too_many_regressions_says_both_and_names_them(results: Path) -> None:
    arguments = ("--baseline", "monday", "--max-infra", 1, "--max-regressions", 1, "--min-solve-rate", 50)
    code, out, err = gate(results, "tuesday", *arguments)
    assert (code, err) == (3, "")
    rate = "solve rate 36.4 % (4 of the 11 that count), 33.3 % (4 of all 12) is below the floor of 50 %"
    assert out == (
        f"gate not met: tuesday: {rate}; 3 regressions from monday (1 allowed)\n"
        "  met      complete, 12 instances\n"
        "  met      1 verdict prevented by the machine (1 allowed)\n"
        f"  NOT MET  {rate}\n"
        "  NOT MET  3 regressions from monday (1 allowed)\n"
        "  Regressed from monday: 3: astropy__astropy-1, sympy__sympy-0, sympy__sympy-1\n"
        "  Prevented by the machine, not counted: 1: sympy__sympy-3\n"
        "  Gained from monday: 1: astropy__astropy-2\n"
    )


def test_verdicts_that_the_machine_prevented_fail_the_gate_unless_they_are_allowed(results: Path) -> None:
    code, out, _ = gate(results, "tuesday")
    assert (code, out.splitlines()[0]) == (
        3,
        "gate not met: tuesday: 1 verdict prevented by the machine (0 allowed; run it again, or allow them with "
        "--max-infra)",
    )
    assert gate(results, "tuesday", "--max-infra", 1)[0] == 0


def test_an_incomplete_run_is_no_pass_and_says_what_is_missing(results: Path) -> None:
    made(results / "gaps", "RRuu" * 2 + "RR..")
    code, out, _ = gate(results, "gaps", "--min-solve-rate", "10%")
    assert (code, out.splitlines()[0]) == (
        3,
        "gate not met: gaps: incomplete, 2 of 12 instances have no verdict (such as sympy__sympy-2; the same command "
        "as before finishes the run)",
    )
    assert "  Not finished: 2: sympy__sympy-2, sympy__sympy-3\n" in out


def test_an_instance_that_nobody_gave_a_patch_for_is_not_unfinished(results: Path) -> None:
    made(results / "theirs", "RRuu" * 2 + "RRu.", patches="handed in", submitted=tuple(NAMES[:-1]))
    assert gate(results, "theirs")[0] == 0
    assert gate(results, results / "theirs.run-report.json")[0] == 3  # which does not say why one is missing


def test_a_run_that_lacks_a_strict_verdict_is_incomplete(results: Path) -> None:
    from swerl_eval.core.diffs import sha256
    from swerl_eval.core.types import Evaluation, Verdict
    from swerl_eval.records.run_folder import reopen_run

    with reopen_run(results / "monday") as run:
        run.evaluations.append(Evaluation(NAMES[0], sha256(f"patch of {NAMES[0]}"), Verdict.RESOLVED))
    code, out, _ = gate(results, "monday")
    assert (code, "such as astropy__astropy-0" in out) == (3, True)


def test_a_baseline_without_a_rule_asks_for_a_supported_loss(results: Path) -> None:
    code, out, _ = gate(results, "tuesday", "--max-infra", 1, "--baseline", "monday")
    assert code == 0
    assert "; 3 regressions from monday, 1 gain: no loss is supported (McNemar's exact p 0.6250); " in out
    made(results / "down", "u" * 12)
    code, out, _ = gate(results, "down", "--baseline", "monday", "--significant", "--max-regressions", 2)
    assert (code, out.splitlines()[0]) == (
        3,
        "gate not met: down: 6 regressions from monday, 0 gains: the loss is supported (McNemar's exact p 0.0312)",
    )


def test_quarantined_instances_do_not_count_and_are_named(results: Path) -> None:
    file = quarantine(results, "sympy__sympy-0", "sympy__sympy-1", "elsewhere-1")
    arguments = ("--baseline", "monday", "--max-regressions", 1, "--max-infra", 1, "--min-solve-rate", 44)
    code, out, _ = gate(results, "tuesday", *arguments, "--quarantine", file)
    assert code == 0
    assert "solve rate 44.4 % (4 of the 9 that count), 33.3 % (4 of all 12) meets the floor of 44 %" in out
    assert "  In quarantine (flaky.json), not counted: 2: sympy__sympy-0, sympy__sympy-1\n" in out


def test_the_run_s_own_quarantine_is_honoured(results: Path) -> None:
    file = quarantine(results, "sympy__sympy-3")
    made(results / "own", "RuRu" + "RRuu" + "uuui", config={"quarantine": str(file)})
    code, out, _ = gate(results, "own")
    assert code == 0
    assert "  In quarantine (flaky.json), not counted: 1: sympy__sympy-3\n" in out


def test_the_strict_verdict_decides_where_it_is_asked_for(results: Path) -> None:
    made(results / "fooled", "RRuu" * 3, strict="uRuu" * 2 + "uiuu")
    assert gate(results, "fooled", "--min-solve-rate", 50)[0] == 0
    code, out, _ = gate(results, "fooled", "--min-solve-rate", 50, "--strict", "--max-infra", 1)
    assert (code, out.splitlines()[0]) == (
        3,
        "gate not met: fooled (by the strict verdict): solve rate 18.2 % (2 of the 11 that count), 16.7 % (2 of all "
        "12) is below the floor of 50 %",
    )
    made(results / "none", "R" * 12, config={"strict": False})
    with pytest.raises(UsageError, match="none has no strict verdicts; judge without --strict, or run it with"):
        gate(results, "none", "--strict")


@pytest.mark.parametrize(
    ("changes", "note", "remark"),
    [
        ({"recorded": True}, "RECORDED answers", "told: the answers were RECORDED, not sampled from a model"),
        (
            {"recorded": True, "patches": "gold"},
            "GOLD patches, no model's",
            "told: the patches are the dataset's own answers (GOLD), no model's",
        ),
    ],
)
def test_recorded_answers_and_gold_patches_pass_but_it_is_said(
    changes: dict[str, Any], note: str, remark: str, results: Path
) -> None:
    made(results / "told", "R" * 12, **changes)
    code, out, _ = gate(results, "told")
    assert (code, out.splitlines()[0].startswith(f"gate met: told ({note}): ")) == (0, True)
    assert f"  {remark}\n" in out


def test_runs_that_were_not_measured_alike_are_refused_unless_it_is_said(results: Path) -> None:
    made(results / "newer", "RRuu" * 3, versions={"swebench": "5.1.0"})
    with pytest.raises(UsageError, match=r"harness version: swebench 5\.1\.0 in newer and swebench 5\.0\.2 in monday"):
        gate(results, "monday", "--baseline", "newer")
    code, out, _ = gate(results, "monday", "--baseline", "newer", "--anyway")
    assert (code, out.startswith("gate met: monday (NOT COMPARABLE, judged anyway): ")) == (0, True)
    assert "NOT MEASURED ALIKE, judged anyway: harness version: swebench 5.1.0 in newer and swebench 5.0.2" in out


def test_an_incomplete_baseline_is_refused_unless_it_is_said(results: Path) -> None:
    made(results / "gaps", "RRuu" * 2 + "RR..")
    with pytest.raises(UsageError, match=r"the baseline gaps is incomplete, without a verdict on 2 of its instances"):
        gate(results, "monday", "--baseline", "gaps")
    code, out, _ = gate(results, "monday", "--baseline", "gaps", "--anyway")
    assert code == 0
    assert "  the baseline gaps is INCOMPLETE: regressions from what it lacks cannot be seen\n" in out


def test_reports_and_submissions_are_judged_as_runs_are(results: Path) -> None:
    report = results / "monday.run-report.json"
    assert gate(results, report, "--min-solve-rate", 50)[0] == 0
    code, out, _ = gate(results, "monday", "--baseline", report, "--max-regressions", 0)
    assert code == 0
    assert "(swebench run report) does not record, so not checked: dataset fingerprint, harness version, lim" in out
    theirs = submission(results / "20260101_theirs", NAMES[:3])
    code, out, _ = gate(results, "monday", "--baseline", theirs, "--max-regressions", 1)
    assert (code, "1 regression from 20260101_theirs (1 allowed)" in out) == (0, True)
    with pytest.raises(UsageError, match="20260101_theirs does not name all of its instances, so it has no solve rate"):
        gate(results, theirs)
    code, out, _ = gate(results, theirs, "--baseline", "monday", "--min-solve-rate", 25, "--max-regressions", 4)
    assert (code, "solve rate 25.0 % (3 of 12) meets the floor of 25 %" in out) == (0, True)


@pytest.mark.parametrize("option", [("--max-regressions", 0), ("--significant",), ("--anyway",)])
def test_rules_about_regressions_need_a_baseline(option: tuple[object, ...], results: Path) -> None:
    with pytest.raises(UsageError, match=f"{option[0]} needs a --baseline, such as"):
        gate(results, "monday", *option)


def test_a_broken_file_ends_with_code_1_and_its_place(results: Path) -> None:
    (results / "monday" / "run.json").write_text("{")
    code, out, err = gate(results, "monday")
    assert (code, out) == (1, "")
    assert err.startswith("swerl-eval: gate cannot be judged: ")
    assert "monday/run.json: not a manifest of this program" in err
    assert err.count("\n") == 1


def test_json_has_the_decision_and_every_name(results: Path) -> None:
    arguments = ("--baseline", "monday", "--max-infra", 1, "--max-regressions", 2, "--format", "json")
    code, out, err = gate(results, "tuesday", *arguments)
    document = json.loads(out)
    assert code == 3
    assert err == document["line"] + "\n"
    assert (document["schema_version"], document["met"], document["verdict"]) == (1, False, "official")
    assert [(c["name"], c["met"]) for c in document["conditions"]] == [
        ("complete", True),
        ("infrastructure", True),
        ("regressions", False),
    ]
    assert document["conditions"][-1]["instances"] == document["regressions"]
    assert document["regressions"] == ["astropy__astropy-1", "sympy__sympy-0", "sympy__sympy-1"]
    assert document["counted"] == {"resolved": 4, "total": 11, "solve_rate": 4 / 11}
    assert document["rules"] == {
        "min_solve_rate": None,
        "max_regressions": 2,
        "significant": False,
        "max_infra": 1,
    }


def test_junit_has_a_testcase_for_each_condition_and_names_the_regressed_in_the_failure(results: Path) -> None:
    file = results / "new" / "gate.xml"
    arguments = ("--baseline", "monday", "--max-infra", 1, "--max-regressions", 2, "--min-solve-rate", 30)
    code, out, _ = gate(results, "tuesday", *arguments, "--format", "junit", "-o", file)
    assert (code, out) == (3, "gate not met: tuesday: 3 regressions from monday (2 allowed)\n")
    (suite,) = ET.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    cases = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert [name for name, failure in cases.items() if failure is None] == ["complete", "infrastructure", "solve rate"]
    failure = cases["regressions"]
    assert failure is not None
    assert (failure.get("message"), (failure.text or "").split("\n")[1:]) == (
        "3 regressions from monday (2 allowed)",
        ["astropy__astropy-1", "sympy__sympy-0", "sympy__sympy-1"],
    )


def test_markdown_names_all_and_nothing_in_a_name_is_markup(results: Path) -> None:
    evil = "x|<b>`\x1b[31m__y-1"
    for name, verdict in (("before", "R"), ("after", "u")):
        made(results / name, verdict * 3, instances=facts([evil, *NAMES[:2]]))
    code, out, _ = gate(results, "after", "--baseline", "before", "--max-regressions", 0, "--format", "markdown")
    assert code == 3
    assert out == (
        "### Gate not met\n\n"
        "`after`: 3 regressions from `before` (0 allowed)\n\n"
        "| condition | | |\n| --- | --- | --- |\n"
        "| complete | met | complete, 3 instances |\n"
        "| infrastructure | met | no verdict prevented by the machine |\n"
        "| regressions | **not met** | 3 regressions from `before` (0 allowed) |\n\n"
        "Solve rate by the official verdict: 0.0 % (0 of 3).\n\n"
        "**Regressed from `before`: 3**\n\n"
        "`astropy__astropy-0`, `astropy__astropy-1`, ``x\\|<b>`\\x1b[31m__y-1``\n"
    )


@pytest.mark.slow
def test_markdown_stays_below_200_kb_whatever_the_run(results: Path) -> None:
    names = [f"{'long' * 100}\U0001f600{number}__y-1" for number in range(2500)]
    made(results / "before", "R" * 2500, instances=facts(names))
    made(results / "after", "ui" * 1250, instances=facts(names))
    file = quarantine(results, *names[:800])
    arguments = ("--baseline", "before", "--max-regressions", 0, "--quarantine", file, "--format", "markdown")
    code, out, _ = gate(results, "after", *arguments)
    assert code == 3
    assert 50_000 < len(out.encode()) < 200_000
    assert " and 7" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "stream", "text"),
    [
        (("monday",), 0, "stdout", "gate met: monday: "),
        (("tuesday",), 3, "stdout", "gate not met: tuesday: "),
        (("monday", "--min-solve-rate", "1"), 2, "stderr", "swerl-eval: --min-solve-rate 1 can be read as"),
        (("monday", "--format", "html"), 2, "stderr", "--format html: choose text, markdown, json, junit"),
        (("nowhere",), 2, "stderr", "'nowhere' is neither a run folder"),
        (("monday", "--max-infra", "-1"), 2, "stderr", "Invalid value for '--max-infra'"),
    ],
)
def test_a_shell_can_tell_the_endings_apart(
    arguments: tuple[str, ...], code: int, stream: str, text: str, results: Path
) -> None:
    command = [PROGRAM, "gate", *arguments, "--results", str(results)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=300)
    assert done.returncode == code
    assert text in getattr(done, stream)


def test_the_limits_of_a_run_are_compared_too(results: Path) -> None:
    made(results / "small", "RRuu" * 3, config={"memory": "4g"})
    assert CONFIG["memory"] == "8g"
    with pytest.raises(UsageError, match="limits, memory: 4g in small and 8g in monday"):
        gate(results, "monday", "--baseline", "small")
