"""The curves over samples and over tests, from a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swerl_eval.core.diffs import sha256
from swerl_eval.core.selection.scaling import scaling
from swerl_eval.core.types import Evaluation, Evidence, Outcome, Reward, Verdict
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports import scaling_curves
from swerl_eval.reports.scaling_curves import curves, judge
from tests.reports.method_runs import Records, made

R, P = Outcome.RESOLVED, Outcome.REPRODUCED


def judged_run(folder: Path, samples: str = "pppnp", tests: int = 3) -> Run:
    """One instance whose second patch is right, as its tests say; every patch has a verdict."""
    run = made(folder, {"a__a-1": Records(samples=samples, verdict=None)})
    with reopen_run(run.folder) as again:
        for candidate in list(again.candidates.values()):
            if candidate.rejection is None:
                verdict = Verdict.RESOLVED if candidate.index == 1 else Verdict.UNRESOLVED
                again.evaluations.append(Evaluation("a__a-1", sha256(candidate.patch), verdict))
                outcomes = (R if candidate.index == 1 else P,) * tests
                again.evidence.append(Evidence("a__a-1", candidate.normal_form, outcomes))
            again.rewards.append(Reward("a__a-1", candidate.index, 1.0 if candidate.index == 1 else 0.1))
    return Run(run.folder)


def test_the_curves_go_up_to_all_samples_and_all_tests(tmp_path: Path) -> None:
    run = judged_run(tmp_path / "r")
    both = curves(run)
    assert both is not None
    assert [(row.samples, row.tests) for row in both.samples] == [(1, None), (2, None), (5, None)]
    assert [(row.samples, row.tests) for row in both.tests] == [(5, 0), (5, 1), (5, 2), (5, 3)]
    assert [row.solve_rate for row in both.samples] == [0.0, 1.0, 1.0]
    assert [row.solve_rate for row in both.tests] == [0.0, 1.0, 1.0, 1.0]
    assert [row.reward_at_k for row in both.samples] == [pytest.approx(k) for k in (0.2, 0.4, 1.0)]
    assert both.samples == scaling(judge(run), [1, 2, 5], [None])


def test_the_steps_are_one_two_five() -> None:
    steps = {most: list(scaling_curves._steps(most)) for most in (0, 1, 2, 20, 500, 501)}
    assert steps == {
        0: [],
        1: [1],
        2: [1, 2],
        20: [1, 2, 5, 10, 20],
        500: [1, 2, 5, 10, 20, 50, 100, 200, 500],
        501: [1, 2, 5, 10, 20, 50, 100, 200, 500, 501],
    }


def test_without_tests_there_is_only_the_curve_of_samples(tmp_path: Path) -> None:
    both = curves(judged_run(tmp_path / "r", tests=0))
    assert both is not None
    assert (len(both.samples), both.tests) == (3, [])


def test_there_are_no_curves_where_a_verdict_is_missing_or_prevented_or_of_one_sample(tmp_path: Path) -> None:
    assert curves(judged_run(tmp_path / "one", samples="p")) is None
    assert curves(made(tmp_path / "nothing", {"a__a-1": Records(samples="", verdict=None)})) is None
    run = judged_run(tmp_path / "r")
    with reopen_run(run.folder) as again:
        last = next(e for e in again.evaluations.values() if e.resolved)
        again.evaluations.append(replace(last, verdict=Verdict.INFRA_ERROR))
    assert curves(Run(run.folder)) is None
    with reopen_run(run.folder) as again:
        again.evaluations.remove_if(lambda key: key[1] == last.patch_sha256)
    assert curves(Run(run.folder)) is None


def test_a_large_run_draws_fewer_subsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged_run(tmp_path / "r")
    for drawn, subsets in ((5, 10), (5 * 20, 20), (5 * 1000, 100)):
        monkeypatch.setattr(scaling_curves, "DRAWN", drawn)
        both = curves(run)
        assert both is not None
        assert [row.subsets for row in both.samples] == [subsets, subsets, 1]
