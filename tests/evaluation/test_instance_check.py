from __future__ import annotations

from swerl_eval.core.types import Evaluation, Verdict
from swerl_eval.evaluation.instance_check import InstanceCheck, flakiness, flaky_tests


def evaluation(verdict: Verdict, *passing: str, failing: tuple[str, ...] = (), reason: str = "") -> Evaluation:
    status = {"FAIL_TO_PASS": {"success": list(passing), "failure": list(failing)}}
    report = {"tests_status": status} if verdict in {Verdict.RESOLVED, Verdict.UNRESOLVED} else None
    return Evaluation("a__b-1", "0", verdict, report, reason, image_id="sha256:1")


GOOD, BAD = evaluation(Verdict.RESOLVED, "t1", "t2"), evaluation(Verdict.UNRESOLVED, failing=("t1", "t2"))


def test_a_sound_instance_has_no_fault() -> None:
    sound = InstanceCheck("a__b-1", (GOOD, GOOD), (BAD, BAD))
    assert (sound.problems, sound.machine_failures, sound.image_id) == ([], [], "sha256:1")


def test_verdicts_that_differ_are_flaky_and_counted() -> None:
    half = evaluation(Verdict.UNRESOLVED, "t1", failing=("t2",))
    found = InstanceCheck("a__b-1", (GOOD, half, GOOD), (BAD,) * 3).problems
    assert found == ["flaky: with the gold patch 2 resolved, 1 unresolved; passing now and then: t2"]


def test_tests_that_move_under_one_verdict_are_flaky_too() -> None:
    half = evaluation(Verdict.UNRESOLVED, "t1", failing=("t2",))
    assert InstanceCheck("a__b-1", (GOOD,) * 2, (BAD, half)).problems == [
        "flaky: with no patch passing now and then: t1"
    ]
    assert flaky_tests([half, BAD]) == ["t1"]


def test_a_time_limit_that_is_met_now_and_then_is_flaky() -> None:
    slow = evaluation(Verdict.TIMED_OUT, reason="stopped after 60 seconds")
    assert flakiness([GOOD, slow]) == "1 resolved, 1 timed_out"


def test_a_reason_names_a_few_of_many_moving_tests() -> None:
    many = [f"t{number}" for number in range(9)]
    runs = [evaluation(Verdict.UNRESOLVED, *many), evaluation(Verdict.UNRESOLVED, failing=tuple(many))]
    assert flakiness(runs) == "passing now and then: t0, t1, t2 and 6 more"


def test_runs_that_agree_on_something_wrong_are_invalid() -> None:
    assert InstanceCheck("a__b-1", (BAD, BAD), (BAD, BAD)).problems == ["invalid: the gold patch does not resolve it"]
    assert InstanceCheck("a__b-1", (GOOD,), (GOOD,)).problems == ["invalid: it is resolved without any patch"]


def test_a_machine_that_fails_says_nothing_of_the_instance() -> None:
    failed = evaluation(Verdict.INFRA_ERROR, reason="the engine went away")
    found = InstanceCheck("a__b-1", (GOOD, failed), (failed, BAD))
    assert (found.problems, found.machine_failures) == ([], ["the engine went away"])
    nothing = InstanceCheck("a__b-1", (failed,), (failed,))
    assert (nothing.problems, nothing.machine_failures) == ([], ["the engine went away"])
