"""The funnel: what each step keeps, and by which reasons the others are lost."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Completion, Evaluation, Failure, Localization, Outcome, Sample, Selection, Verdict
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.reports.summary import build_report
from tests.reports.comparison_runs import MANIFEST
from tests.reports.method_runs import Records, made

R, P, T = Outcome.RESOLVED, Outcome.REPRODUCED, Outcome.TIMED_OUT
UNRESOLVED = Verdict.UNRESOLVED


def steps(run: Run) -> dict[str, tuple[int, dict[str, int], str]]:
    """By step: the instances, the reasons in their order, and the note."""
    funnel: list[dict[str, Any]] = build_report(run)["funnel"]
    for row in funnel:
        assert row["lost"] == sum(reason["instances"] for reason in row["reasons"])
    return {
        row["step"]: (
            row["instances"],
            {reason["reason"]: reason["instances"] for reason in row["reasons"]},
            row["note"],
        )
        for row in funnel
    }


def test_each_step_keeps_what_passes_it_and_names_why_the_others_do_not(tmp_path: Path) -> None:
    run = made(
        tmp_path / "r",
        {
            "a__a-1": Records(files=((), ()), samples="", verdict=None),
            "a__a-2": Records(samples="fnfbf"),
            "a__a-3": Records(samples="bnnb"),
            "a__a-4": Records(samples="msbbbm"),
            "a__a-5": Records(samples="smbb"),
            "a__a-6": Records(samples="mp", tests="rrr", broken=1, outcomes=(R, R), verdict=UNRESOLVED),
            "a__a-7": Records(samples="p", tests="rrr", broken=3, outcomes=(R, R), verdict=UNRESOLVED),
            "a__a-8": Records(samples="p", tests="rr", outcomes=(P, T, P), verdict=UNRESOLVED),
            "a__a-9": Records(samples="p", tests="rr", outcomes=(P, R), verdict=UNRESOLVED),
            "b__b-1": Records(samples="p", tests="rr", outcomes=(P, R)),
            "b__b-2": Records(samples="pp", tests="", outcomes=(R,)),
            "b__b-3": Records(samples="pp", tests="rr", outcomes=()),
            "b__b-4": Records(samples="pp", tests="r", outcomes=(R,), verdict=None),
        },
    )
    assert steps(run) == {
        "chosen": (13, {}, ""),
        "localized": (12, {"no file named": 1}, ""),
        "formatted": (10, {"bad_format": 1, "empty answer: no text": 1}, ""),
        "applies": (8, {"no_match": 2}, ""),
        "keeps the regression tests": (
            6,
            {"breaks 1 test": 1, "breaks 2 to 9 tests": 1},
            "1 without a regression test",
        ),
        "turns the reproduction tests": (5, {"reproduced": 1}, "1 without a usable reproduction test"),
        "resolved": (3, {"missing": 1, "unresolved": 1}, ""),
    }
    assert list(steps(run)["formatted"][1]) == ["bad_format", "empty answer: no text"]  # equally frequent: by name


def test_the_last_step_counts_every_resolved_instance_and_says_how_many_the_tests_spoke_against(tmp_path: Path) -> None:
    run = made(
        tmp_path / "r",
        {
            "a__a-1": Records(tests="r", broken=12, outcomes=(R,)),
            "a__a-2": Records(tests="r", outcomes=(T,)),
            "a__a-3": Records(tests="r", outcomes=(R,)),
            "a__a-4": Records(files=None, tests="r", outcomes=(R,)),
        },
    )
    assert steps(run) == {
        "chosen": (4, {}, ""),
        "localized": (3, {"not localized yet": 1}, ""),
        "formatted": (3, {}, ""),
        "applies": (3, {}, ""),
        "keeps the regression tests": (2, {"breaks 10 or more tests": 1}, ""),
        "turns the reproduction tests": (1, {"timed_out": 1}, ""),
        "resolved": (
            4,
            {},
            "2 of these although the tests spoke against them; "
            "1 of these although the records say that they got lost before",
        ),
    }


def test_tests_that_did_not_run_on_the_chosen_patch_are_a_reason(tmp_path: Path) -> None:
    run = made(
        tmp_path / "r",
        {
            "a__a-1": Records(tests="r", broken=None, verdict=UNRESOLVED),
            "a__a-2": Records(tests="r", error="the container was killed", verdict=UNRESOLVED),
            "a__a-3": Records(tests="r", verdict=UNRESOLVED),
        },
    )
    assert steps(run)["keeps the regression tests"][:2] == (
        1,
        {"tests not run": 1, "tests not run: the container was killed": 1},
    )


def test_steps_that_did_not_take_place_are_left_out_and_an_unfinished_run_says_what_is_to_come(tmp_path: Path) -> None:
    assert list(steps(made(tmp_path / "r", {"a__a-1": Records()}))) == [
        "chosen", "localized", "formatted", "applies", "resolved",
    ]  # fmt: skip
    unfinished = made(tmp_path / "u", {"a__a-1": Records(samples=""), "a__a-2": Records(files=None, samples="")})
    assert steps(unfinished) == {
        "chosen": (2, {}, ""),
        "localized": (1, {"not localized yet": 1}, ""),
        "resolved": (0, {"missing": 1}, ""),
    }
    begun = made(tmp_path / "b", {"a__a-1": Records(verdict=None), "a__a-2": Records(samples="")})
    assert steps(begun)["formatted"] == (1, {"not sampled yet": 1}, "")


def test_an_instance_that_failed_is_lost_by_its_failure(tmp_path: Path) -> None:
    names = {"a__a-1": Records(files=None, samples=""), "a__a-2": Records(verdict=None)}
    folder = made(tmp_path / "r", names).folder
    with open_run(folder, Run(folder).manifest) as run:
        run.failures.append(Failure("a__a-1", f"no repository\n{'x' * 200}"), Failure("a__a-2", "y" * 200))
    assert steps(Run(folder))["localized"] == (1, {"failed: no repository": 1}, "")
    assert steps(Run(folder))["resolved"] == (0, {f"failed: {'y' * 91}…": 1}, "")


def test_why_no_file_was_chosen_is_said(tmp_path: Path) -> None:
    names = [f"a__a-{number}" for number in range(1, 6)]
    manifest = replace(
        MANIFEST, instances={name: {} for name in names}, config={**MANIFEST.config, "localization_samples": 2}
    )
    failed = Completion("", "error", error="the server went away")
    with open_run(tmp_path / "r", manifest) as run:
        run.localizations.append(
            Localization(names[0], (), "model"),
            Localization(names[1], ((),), "model", ignored=("nowhere.py",)),
            Localization(names[2], (), "loc.jsonl"),
            Localization(names[3], (), "model"),
            Localization(names[4], ((),), "model"),
        )
        run.samples.append(
            *(Sample(names[3], "localize", index, failed, (), "", 0) for index in range(2)),
            *(
                Sample(names[4], "localize", index, answer, (), "", 0)
                for index, answer in enumerate([failed, Completion("")])
            ),
        )
    assert steps(Run(tmp_path / "r"))["localized"] == (
        0,
        {"no file named": 2, "no file given": 1, "only files that do not exist": 1, "the server went away": 1},
        "",
    )


def test_patches_that_were_handed_in_have_steps_of_their_own(tmp_path: Path) -> None:
    names = [f"a__a-{number}" for number in range(1, 7)]
    verdicts = [Verdict.RESOLVED, UNRESOLVED, Verdict.PATCH_FAILED, Verdict.EMPTY_PATCH, Verdict.INFRA_ERROR]
    manifest = replace(
        MANIFEST, instances={name: {} for name in names}, submitted=tuple(names[:5]), patches="handed in"
    )
    with open_run(tmp_path / "r", manifest) as run:
        for name, verdict in zip(names, verdicts, strict=False):
            patch = "" if verdict is Verdict.EMPTY_PATCH else "patch"
            run.selections.append(Selection(name, None, patch, "handed in"))
            run.evaluations.append(Evaluation(name, sha256(patch), verdict))
    assert steps(Run(tmp_path / "r")) == {
        "chosen": (6, {}, ""),
        "handed in a patch": (4, {"empty_patch": 1, "no prediction": 1}, ""),
        "applies": (2, {"infra_error": 1, "patch_failed": 1}, ""),
        "resolved": (1, {"unresolved": 1}, ""),
    }


RECORDS = st.builds(
    Records,
    files=st.sampled_from([None, (), ((),), (("a.py",),)]),
    samples=st.text("pfbnms", max_size=4),
    tests=st.sampled_from(["", "rr"]),
    broken=st.sampled_from([None, 0, 0, 2]),
    outcomes=st.lists(st.sampled_from(list(Outcome)), max_size=3).map(tuple),
    verdict=st.sampled_from([None, *Verdict]),
    error=st.sampled_from(["", "killed"]),
)


@settings(deadline=None)
@given(st.lists(RECORDS, max_size=8))
def test_it_never_grows_but_for_what_its_note_says_and_ends_with_the_solve_rate(records: list[Records]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = made(Path(folder) / "r", {f"a__a-{number}": record for number, record in enumerate(records)})
        report = build_report(run)
    funnel = report["funnel"]
    assert (funnel[0]["instances"], funnel[-1]["instances"]) == (report["total"], report["resolved"])
    for before, row in pairwise(funnel[:-1]):
        assert row["instances"] == before["instances"] - row["lost"]
    last, before = funnel[-1], funnel[-2]
    added = last["instances"] - (before["instances"] - last["lost"])
    assert added == sum(int(part.split()[0]) for part in last["note"].split("; ") if part)


@pytest.mark.parametrize("handed", [True, False])
def test_an_empty_run_has_an_empty_funnel(tmp_path: Path, handed: bool) -> None:
    manifest = replace(
        MANIFEST, instances={}, patches="handed in" if handed else "made", submitted=() if handed else None
    )
    with open_run(tmp_path / "r", manifest):
        pass
    assert {count for count, _, _ in steps(Run(tmp_path / "r")).values()} == {0}
