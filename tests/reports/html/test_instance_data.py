"""swerl_eval.reports.html.instance_data: what the page shows of an instance."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.diffs import file_diff, sha256
from swerl_eval.core.types import (
    Candidate,
    Completion,
    Evaluation,
    Evidence,
    Failure,
    GoldPatch,
    IssueText,
    Localization,
    Outcome,
    RegressionTests,
    Rejection,
    ReproductionTest,
    Reward,
    Sample,
    Selection,
    Verdict,
)
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.records.timeline import Span, read_timeline
from swerl_eval.reports.html.instance_data import instance_data
from swerl_eval.reports.html.packing import pack, room_for_each
from swerl_eval.reports.summary import build_report
from tests.reports.comparison_runs import CONFIG, MANIFEST

OLD = Path(__file__).parents[2] / "data" / "run-folder-0.1"
NAME = "django__django-0"
RIGHT, WRONG = file_diff("a.py", "x = 1\n", "x = 2\n"), file_diff("a.py", "x = 1\n", "x = 3\n")
RIGHT_TOO = file_diff("a.py", "x = 1\n", "x = 2  # two\n")
LOG = "____ test_b ____\nE   assert 1\n=== short test summary info ===\nFAILED t.py::test_b\nFAILED t.py::test_c\n"


@pytest.fixture
def run(tmp_path: Path):
    manifest = replace(MANIFEST, config={**CONFIG, "samples": 6, "test_samples": 3})
    with open_run(tmp_path / "r", manifest) as run:
        yield run


def fill(run: Run) -> None:
    """An instance with everything: sample 1 is chosen, the two right patches share a form."""
    run.issues.append(IssueText(NAME, "It <breaks>."))
    run.gold_patches.append(GoldPatch(NAME, RIGHT))
    run.localizations.append(Localization(NAME, (("a.py", "b.py"), ("a.py",)), "model", ("none.py",)))
    run.candidates.append(
        Candidate(NAME, 0, WRONG, "wrong"),
        Candidate(NAME, 1, RIGHT, "right"),
        Candidate(NAME, 2, RIGHT_TOO, "right"),
        Candidate(NAME, 3, rejection=Rejection.NO_MATCH, detail="edit 1"),
        Candidate(NAME, 4, rejection=Rejection.BAD_FORMAT, detail="block 1"),
        Candidate(NAME, 5, rejection=Rejection.NO_MATCH, detail="edit 2"),
    )
    run.rewards.append(Reward(NAME, 1, 1.0), Reward(NAME, 2, 0.5), Reward(NAME, 3, -1.0))
    run.evidence.append(
        Evidence(NAME, "right", (Outcome.RESOLVED,), (), 2.5, 1.0),
        Evidence(NAME, "wrong", (), ("t::x",), 3.0, 1.0, "late"),
    )
    run.reproductions.append(
        ReproductionTest(NAME, 0, "print(1)\n", "f0", Outcome.OTHER),
        ReproductionTest(NAME, 1, "print(2)\n", "f1", Outcome.REPRODUCED, 1, 1),
        ReproductionTest(NAME, 2, "print(3)\n", "f2", Outcome.REPRODUCED, 2, 0),
    )
    run.regressions.append(RegressionTests(NAME, ("t.py",), ("t::a", "t::b"), ("t::c",), "cut"))
    run.samples.append(
        Sample(NAME, "repair", 0, Completion("first"), (), "p", 0),
        Sample(NAME, "repair", 1, Completion("<think>why</think>so", "stop", 10, 5), (), "p", 0),
    )
    run.selections.append(Selection(NAME, 1, RIGHT, "majority: 2 of 3", 2, 3, 2))
    report = {
        "tests_status": {
            "FAIL_TO_PASS": {"success": ["t.py::test_a"], "failure": ["t.py::test_b"]},
            "PASS_TO_PASS": {"success": ["t.py::test_d", "t.py::test_e"], "failure": ["t.py::test_c"]},
        }
    }
    run.evaluations.append(
        Evaluation(
            NAME, sha256(RIGHT), Verdict.RESOLVED, report, seconds=9.5, test_seconds=4.0, image_id="sha256:1",
            gold_files=("a.py",), strict=Verdict.UNRESOLVED, strict_reason="control", suspicious=("conftest.py",),
        ),
        Evaluation(NAME, sha256(WRONG), Verdict.UNRESOLVED),
    )  # fmt: skip
    logs = run.logs(NAME)
    logs.mkdir(parents=True)
    (logs / "test_output.txt").write_text(LOG)


def data_of(run: Run, timeline: list[Span] | None = None) -> dict[str, Any]:
    row = next(row for row in build_report(run)["instances"] if row["instance_id"] == NAME)
    data: dict[str, Any] = json.loads(json.dumps(instance_data(run, row, timeline or [])))
    return data


def texts(data: dict[str, Any], numbers: list[int]) -> str:
    return "".join(data["lines"][number][0] + "\n" for number in numbers)


def test_everything_that_a_run_has_on_an_instance_is_there(run: Run):
    fill(run)
    data = data_of(run, [Span(NAME, "repair", 0.5, 2.0), Span(NAME, "evaluate", 3.0, None)])
    assert texts(data, data.pop("gold")) == RIGHT
    reproduction = data.pop("reproduction")
    assert [texts(data, test.pop("script")) for test in reproduction] == ["print(3)\n", "print(2)\n"]
    assert reproduction == [
        {"rank": 0, "sample": 2, "votes": 2, "outcome": "reproduced"},
        {"rank": 1, "sample": 1, "votes": 1, "outcome": "reproduced"},
    ]
    candidates = data.pop("candidates")
    assert [texts(data, candidate.pop("diff")) for candidate in candidates] == [RIGHT, WRONG]
    assert candidates == [
        {
            "samples": [1, 2], "votes": 2, "chosen": True, "verdict": "resolved", "strict": "unresolved",
            "rewards": [0.5, 1.0],
            "tests": {"reproduction": ["resolved"], "broken": [], "left_out": 0, "error": "", "seconds": 2.5},
        },
        {
            "samples": [0], "votes": 1, "chosen": False, "verdict": "unresolved", "strict": None, "rewards": None,
            "tests": {"reproduction": [], "broken": ["t::x"], "left_out": 0, "error": "late", "seconds": 3.0},
        },
    ]  # fmt: skip
    del data["lines"]
    assert data == {
        "id": NAME, "repo": "django/django", "difficulty": "", "year": "", "failure": "", "issue": "It <breaks>.",
        "selection": {"reason": "majority: 2 of 3", "votes": 2, "valid": 3, "unique": 2, "sample": 1},
        "answer": {
            "sample": 1, "thinking": "why", "text": "so", "finish_reason": "stop", "prompt_tokens": 10,
            "completion_tokens": 5, "error": "",
        },
        "failing": [
            {"test": "t.py::test_b", "kind": "FAIL_TO_PASS", "log": ["____ test_b ____", "E   assert 1"]},
            {"test": "t.py::test_c", "kind": "PASS_TO_PASS", "log": ["FAILED t.py::test_c"]},
        ],
        "files": [["a.py", "b.py"], ["a.py"]], "files_origin": "model", "ignored_files": ["none.py"],
        "gold_files": ["a.py"],
        "rejections": [
            {"reason": "no_match", "count": 2, "details": [[3, "edit 1"], [5, "edit 2"]]},
            {"reason": "bad_format", "count": 1, "details": [[4, "block 1"]]},
        ],
        "regression": {"files": ["t.py"], "passing": 2, "excluded": ["t::c"], "left_out": 0, "note": "cut"},
        "evaluation": {
            "verdict": "resolved", "reason": "", "remark": "", "strict": "unresolved", "strict_reason": "control",
            "suspicious": ["conftest.py"], "seconds": 9.5, "test_seconds": 4.0, "image_id": "sha256:1",
            "fail_to_pass": {"passed": ["t.py::test_a"], "failed": ["t.py::test_b"], "left_out": 0},
            "pass_to_pass": {"passed": 2, "failed": ["t.py::test_c"], "left_out": 0},
        },
        "timeline": [
            {"stage": "repair", "start": 0.5, "end": 2.0}, {"stage": "evaluate", "start": 3.0, "end": None},
        ],
        "left_out": 0,
    }  # fmt: skip


def test_an_instance_without_records_says_so(run: Run):
    run.failures.append(Failure(NAME, "no such commit"))
    data = data_of(run)
    assert data["failure"] == "no such commit"
    for part in ("selection", "issue", "answer", "gold", "regression", "evaluation"):
        assert data[part] is None
    for part in ("failing", "files", "lines", "candidates", "rejections", "reproduction", "timeline"):
        assert data[part] == []


def test_a_patch_that_was_handed_in_is_a_candidate_without_samples(run: Run):
    run.selections.append(Selection(NAME, None, RIGHT, "handed in"))
    run.evaluations.append(Evaluation(NAME, sha256(RIGHT), Verdict.RESOLVED))
    data = data_of(run)
    (candidate,) = data["candidates"]
    assert texts(data, candidate["diff"]) == RIGHT
    assert (candidate["samples"], candidate["chosen"], candidate["verdict"]) == ([], True, "resolved")


def test_without_a_chosen_sample_the_first_answer_is_shown(run: Run):
    run.samples.append(
        Sample(NAME, "localize", 0, Completion("files"), (), "p", 0),
        Sample(NAME, "repair", 2, Completion("", "error", error="refused"), (), "p", 0),
        Sample(NAME, "repair", 1, Completion("answer", reasoning="<think>thought</think>"), (), "p", 0),
    )
    answer = data_of(run)["answer"]
    assert (answer["sample"], answer["thinking"], answer["text"]) == (1, "thought", "answer")


def test_the_verdict_on_any_patch_of_a_form_counts_but_a_failed_machine_says_nothing(run: Run):
    run.candidates.append(Candidate(NAME, 0, RIGHT, "form"), Candidate(NAME, 1, RIGHT_TOO, "form"))
    run.evaluations.append(Evaluation(NAME, sha256(RIGHT), Verdict.INFRA_ERROR))
    assert data_of(run)["candidates"][0]["verdict"] == "infra_error"
    run.evaluations.append(Evaluation(NAME, sha256(RIGHT_TOO), Verdict.RESOLVED))
    assert data_of(run)["candidates"][0]["verdict"] == "resolved"


def test_the_chosen_candidate_comes_first_then_those_with_more_votes(run: Run):
    forms = {"a": [0], "b": [1, 2], "c": [3], "d": [4, 5]}
    for form, samples in forms.items():
        run.candidates.append(*(Candidate(NAME, index, file_diff("a.py", "", form), form) for index in samples))
    run.selections.append(Selection(NAME, 3, file_diff("a.py", "", "c"), "by tests"))
    assert [candidate["samples"] for candidate in data_of(run)["candidates"]] == [[3], [1, 2], [4, 5], [0]]


def test_lists_are_bounded_and_say_what_is_left_out(run: Run):
    many = [f"t.py::test_{number}" for number in range(3000)]
    report = {
        "tests_status": {
            "FAIL_TO_PASS": {"success": [], "failure": many[:5]},
            "PASS_TO_PASS": {"success": [], "failure": many[5:]},
        }
    }
    run.selections.append(Selection(NAME, 0, RIGHT, "majority"))
    run.candidates.append(Candidate(NAME, 0, RIGHT, "right"))
    run.evidence.append(Evidence(NAME, "right", (), tuple(many)))
    run.regressions.append(RegressionTests(NAME, (), (), tuple(many)))
    run.evaluations.append(Evaluation(NAME, sha256(RIGHT), Verdict.UNRESOLVED, report))
    data = data_of(run)
    failed = data["evaluation"]["pass_to_pass"]
    assert (len(failed["failed"]), failed["left_out"]) == (200, 2795)
    assert (len(data["regression"]["excluded"]), data["regression"]["left_out"]) == (200, 2800)
    tests = data["candidates"][0]["tests"]
    assert (len(tests["broken"]), tests["left_out"]) == (10, 2990)
    assert [test["kind"] for test in data["failing"]] == ["FAIL_TO_PASS"] * 5 + ["PASS_TO_PASS"] * 15


def noise(rng: random.Random, characters: int) -> str:
    return "".join(
        rng.choice("abcdefghijklmnopqrstuvwxyz_ \n(){}[]=.,:0123456789é\U0001f600") for _ in range(characters)
    )


@pytest.fixture
def huge(tmp_path: Path) -> Run:
    """An instance of 500 that has too much of everything, and nothing that compresses well."""
    rng = random.Random(0)
    instances = {NAME: {"repo": "django/django"}, **{f"a__a-{number}": {} for number in range(499)}}
    manifest = replace(MANIFEST, instances=instances, config={**CONFIG, "samples": 200, "test_samples": 40})
    with open_run(tmp_path / "huge", manifest) as run:
        patches = [file_diff("a.py", "", noise(rng, 2_000)) for _ in range(199)]
        patches.append(file_diff("a.py", "", noise(rng, 300_000)))
        run.candidates.append(*(Candidate(NAME, index, patch, str(index)) for index, patch in enumerate(patches)))
        run.issues.append(IssueText(NAME, noise(rng, 100_000)))
        run.gold_patches.append(GoldPatch(NAME, file_diff("a.py", "", noise(rng, 100_000))))
        run.samples.append(Sample(NAME, "repair", 199, Completion(noise(rng, 100_000)), (), "p", 0))
        run.reproductions.append(
            *(ReproductionTest(NAME, i, noise(rng, 3_000), str(i), Outcome.OTHER, 1, i) for i in range(40))
        )
        names = [noise(rng, 500) for _ in range(500)]
        run.localizations.append(Localization(NAME, (tuple(names),), "model", tuple(names)))
        run.selections.append(Selection(NAME, 199, patches[199], noise(rng, 5_000)))
        tests = {kind: {"success": names, "failure": names} for kind in ("FAIL_TO_PASS", "PASS_TO_PASS")}
        run.evaluations.append(Evaluation(NAME, sha256(patches[199]), Verdict.UNRESOLVED, {"tests_status": tests}))
        run.logs(NAME).mkdir(parents=True)
        log = "".join(f"____ {name[:200]} ____\n{noise(rng, 3_000)}\n" for name in names[:20])
        (run.logs(NAME) / "test_output.txt").write_text(log)
    return Run(tmp_path / "huge")


def test_whatever_a_run_holds_an_instance_keeps_to_its_room(huge: Run):
    data = data_of(huge)
    assert len(pack(data)) <= room_for_each(500) == 45_000
    assert data["left_out"] == 200 - len(data["candidates"]) > 0
    assert data["candidates"][0]["chosen"]
    assert data["lines"][data["candidates"][0]["diff"][-1]][0].endswith("more lines are not shown")
    assert len(data["lines"]) == 1 + max(number for entry in data["candidates"] for number in entry["diff"])
    assert "characters left out" in data["issue"]
    assert "characters left out" in data["answer"]["text"]


def test_the_same_instance_alone_shows_more(huge: Run, tmp_path: Path):
    shutil.copytree(huge.folder, tmp_path / "alone")
    manifest = json.loads((tmp_path / "alone" / "run.json").read_text())
    manifest["instances"] = {NAME: {}}
    (tmp_path / "alone" / "run.json").write_text(json.dumps(manifest))
    alone = data_of(Run(tmp_path / "alone"))
    assert alone["left_out"] == 0
    assert 45_000 < len(pack(alone)) <= room_for_each(1)


def test_an_old_run_folder_can_be_shown():
    run = Run(OLD)
    timeline = read_timeline(OLD)
    for row in build_report(run)["instances"]:
        data = instance_data(run, row, timeline.stages.get(row["instance_id"], []))
        assert pack(data)
        assert (data["issue"], data["gold"], data["failure"]) == (None, None, "")
        assert [candidate["chosen"] for candidate in data["candidates"]].count(True) == bool(
            row["verdict"] != "empty_patch"
        )
