"""The facts that the terminal and the page show first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.types import Evaluation, Machine, ModelUsage, Outcome, Regrade, Reward, Verdict
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.costs import costs
from swerl_eval.reports.first_screen import RECORDED, first_screen
from swerl_eval.reports.summary import build_report
from tests.reports import comparison_runs, method_runs
from tests.reports.method_runs import Records

R, T = Outcome.RESOLVED, Outcome.TIMED_OUT


def screen(run: Run, prices: dict[str, float] | None = None) -> dict[str, list[str]]:
    """The facts of each section, as lines."""
    sections = first_screen(build_report(run), None if prices is None else costs(run, prices))
    return {section.title: [str(fact) for fact in section.facts] for section in sections}


def test_a_run_with_everything_has_all_sections_in_order(tmp_path: Path) -> None:
    records = {
        "a__a-1": Records(samples="pnp", tests="rr", outcomes=(R, T)),
        "b__b-2": Records(samples="bm", verdict=None),
    }
    folder = method_runs.made(tmp_path / "r", records, recorded=True).folder
    with reopen_run(folder) as run:
        run.machines.append(Machine("Docker 1", "x86_64", 2.0, 3 * 2**30))
        run.usage.append(ModelUsage(1.0, 10.0, 5, 4_000, 1_000, 2_000, gpus=2))
        run.rewards.append(Reward("a__a-1", 0, 0.5), Reward("a__a-1", 1, -1.0, "no block"))
        known = run.evaluation_of("a__a-1")
        assert known is not None
        run.evaluations.append(replace(known, gold_files=("a.py",), image_id=f"sha256:{'0123456789' * 6}"))
        run.regrades.append(Regrade("abcdef" * 10, "6.0", 5, 1))
    assert screen(Run(folder), {"gpu_hour": 36.0}) == {
        "Result": [
            RECORDED,
            "Solve rate: 1/2 = 50.0 % (95 % interval 9.5 to 90.5)",
            "Strict solve rate: 0/2 = 0.0 % (the control run does not confirm 1 of the resolved)",
            "Clustered by repository: 95 % interval 0.0 to 100.0 (standard error 35.4 points, 2 repositories)",
            "Verdicts: 1 resolved, 1 missing",
        ],
        "Missing or failed": ["Unfinished: 1 of 2 instances have no verdict yet (b__b-2)"],
        "Measured with": [
            "Model: org/model",
            "Dataset: verified (fingerprint abcdefabcdef)",
            "Versions: swebench 6.0",
            "Images: 1 digest (sha256:012345678901)",
            "Machine: Docker 1, x86_64, 2 CPUs, 3.0 GiB",
            "Limits: memory 8g, cpus 2.0, pids 4096, written 16g, network bridge, timeout 1800.0",
            "Graded again: 5 verdicts from saved logs, 1 changed "
            "(dataset and swebench above are those of this grading)",
        ],
        "Sampling": [
            "Samples: 5, of these 2 valid (2 unique) for 1 of 2 instances",
            "Rejected: 1 bad_format, 1 no_edit, 1 no_match",
            "Right format: 60.0 % of the answers",
        ],
        "Localization": [
            "Gold files: all found in 1 of 1, some in 1, none in 0 (lists from: model)",
            "Coverage: mean 100.0 %, best 100.0 %",
        ],
        "Tests": [
            "Reproduction tests: 2 of 2 used",
            "Regression tests: 2",
            "Test runs: 3 on 1 unique candidates, 3 saved",
        ],
        "Rewards": ["SWE-RL reward: mean -0.250 (1 of 2 with a format error)"],
        "Cost": [
            "Prompt tokens: 4,000 asked (1,000 computed, 3,000 reused)",
            "Output tokens: 2,000 of 5 answers (200/s)",
            "GPU-seconds: 20 (20 for each resolved issue)",
            "Money: 0.20 (0.20 for each resolved issue; gpu_hour 0.20)",
            "Containers: 14 s, without control runs (4.00 s a candidate's tests, 1.00 s of it outside of them)",
        ],
    }  # fmt: skip


def test_repositories_with_the_same_rate_give_no_interval_of_width_zero(tmp_path: Path) -> None:
    records = {"a__a-1": Records(samples="p"), "b__b-2": Records(samples="p")}
    clustered = [fact for fact in screen(method_runs.made(tmp_path / "r", records))["Result"] if "Clustered" in fact]
    assert clustered == ["Clustered by repository: no interval (all 2 repositories have the same rate)"]


def test_a_fresh_run_has_no_empty_section(tmp_path: Path) -> None:
    run = method_runs.made(tmp_path / "r", {"a__a-1": Records(files=None, samples="")}, config={"dataset": "verified"})
    assert list(screen(run, {})) == ["Result", "Missing or failed", "Measured with"]
    assert screen(run)["Result"] == ["Solve rate: 0/1 = 0.0 % (95 % interval 0.0 to 79.3)", "Verdicts: 1 missing"]


def test_a_run_without_tests_of_candidates_says_what_its_containers_took(tmp_path: Path) -> None:
    folder = method_runs.made(tmp_path / "r", {"a__a-1": Records(samples="p")}).folder
    with reopen_run(folder) as run:
        known = run.evaluation_of("a__a-1")
        assert known is not None
        run.evaluations.append(replace(known, seconds=12.0))
    assert screen(Run(folder), {})["Cost"] == ["Containers: 12 s, without control runs"]


def test_what_the_machine_prevented_and_what_is_missing_is_said_with_names(tmp_path: Path) -> None:
    names = comparison_runs.NAMES
    folder = comparison_runs.made(
        tmp_path / "r", "RiiRuuuuu...", "RiiiuuuuR...", submitted=tuple(names[:-1]), patches="handed in"
    )
    sections = screen(Run(folder))
    assert sections["Missing or failed"] == [
        f"Missing: 1 of 12 instances have no prediction and count as not solved ({names[-1]})",
        f"Unfinished: 2 of 12 instances have no verdict yet ({names[9]}, {names[10]})",
        "Failed by the machine: 2 of 12 verdicts were prevented by the machine and count as not solved "
        f"({names[1]}, {names[2]})",
        f"Control run failed: 1 strict verdicts are missing ({names[3]})",
    ]
    tones = {
        fact.label: fact.tone for section in first_screen(build_report(Run(folder)), None) for fact in section.facts
    }
    assert tones["Missing"] == tones["Failed by the machine"] == "bad"


def test_a_strict_rate_that_confirms_the_official_one_is_good(tmp_path: Path) -> None:
    facts = first_screen(build_report(Run(comparison_runs.made(tmp_path / "r", "R" * 12))), None)[0].facts
    assert {fact.label: fact.tone for fact in facts}["Strict solve rate"] == "good"
    run = Run(comparison_runs.made(tmp_path / "s", "R" * 12, "u" + "R" * 11))
    assert {fact.label: fact.tone for fact in first_screen(build_report(run), None)[0].facts}[
        "Strict solve rate"
    ] == "warn"


@pytest.mark.parametrize("changes", [{"verdict": Verdict.INFRA_ERROR}, {"suspicious": ("conftest.py",)}])
def test_a_suspicious_patch_is_counted_in_the_result(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = comparison_runs.made(tmp_path / "r", "R" * 12)
    with reopen_run(folder) as run:
        known = run.evaluation_of(comparison_runs.NAMES[0])
        assert isinstance(known, Evaluation)
        run.evaluations.append(replace(known, **changes))
    lines = screen(Run(folder))["Result"]
    assert ("Suspicious: 1 of the evaluated patches (remarks say why)" in lines) is ("suspicious" in changes)
