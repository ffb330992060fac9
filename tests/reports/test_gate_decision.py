"""The decision of a gate: its rules one by one, and that it is monotone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.gate.decision import Baseline, Figures, Kind, Rules, decide
from swerl_eval.reports.gate.floor import floor_percent, percent, read_floor

NAMES = [f"i{number:02}" for number in range(12)]


def names(numbers: str) -> frozenset[str]:
    return frozenset(NAMES[int(number)] for number in numbers.split())


def figures(resolved: str, baseline: str | None = None, **others: str) -> Figures:
    return Figures(
        frozenset(NAMES),
        names(resolved),
        baseline=None if baseline is None else Baseline(frozenset(NAMES), names(baseline)),
        **{key: names(value) for key, value in others.items()},
    )


def test_a_complete_run_whose_machine_did_not_fail_meets_a_gate_without_rules() -> None:
    decision = decide(Rules(), figures(""))
    assert decision.met
    assert [condition.kind for condition in decision.conditions] == [Kind.COMPLETE, Kind.INFRA]


def test_an_incomplete_run_does_not_pass_whatever_it_resolves() -> None:
    decision = decide(Rules(), figures("0 1 2 3 4 5 6 7 8 9 10", unfinished="11"))
    assert not decision.met
    (complete, infra) = decision.conditions
    assert (complete.met, complete.instances, infra.met) == (False, ("i11",), True)


def test_a_rate_that_just_meets_the_floor_passes_and_the_next_lower_one_does_not() -> None:
    third = Rules(min_rate=Fraction(1, 3))
    assert decide(third, figures("0 1 2 3")).met
    assert not decide(third, figures("0 1 2")).met
    # as floats, 0.07 * 100 is more than 7
    sevenths = Figures(frozenset(map(str, range(100))), frozenset(map(str, range(7))))
    assert decide(Rules(min_rate=read_floor("7%")), sevenths).met
    assert decide(Rules(min_rate=read_floor("0.07")), sevenths).met


def test_quarantined_and_prevented_instances_leave_the_rate_and_the_regressions() -> None:
    given_figures = figures("0 1 2", baseline="0 3 4 5", prevented="3 5", quarantined="4 5 0")
    decision = decide(Rules(min_rate=Fraction(2, 8), max_infra=1), given_figures)
    assert (decision.counted.resolved, decision.counted.total) == (2, 8)
    assert (decision.overall.resolved, decision.overall.total) == (3, 12)
    assert (decision.quarantined, decision.prevented) == (("i00", "i04", "i05"), ("i03",))
    regressions = decision.of(Kind.REGRESSIONS)
    assert regressions is not None
    assert (regressions.instances, decision.gained) == ((), ("i01", "i02"))
    assert decision.met


@pytest.mark.parametrize(("allowed", "met"), [(0, False), (1, False), (2, True)])
def test_verdicts_that_the_machine_prevented_are_bounded(allowed: int, met: bool) -> None:
    assert decide(Rules(max_infra=allowed), figures("0", prevented="3 5")).met is met


@pytest.mark.parametrize(("allowed", "met"), [(1, False), (2, True)])
def test_regressions_are_bounded(allowed: int, met: bool) -> None:
    assert decide(Rules(max_regressions=allowed), figures("0 3", baseline="0 1 2")).met is met


@pytest.mark.parametrize(("lost", "met"), [("1 2 3 4 5", True), ("1 2 3 4 5 6", False)])
def test_a_loss_that_the_exact_test_does_not_support_passes(lost: str, met: bool) -> None:
    # 5 lost, none gained: p = 2 / 2**5 = 0.0625; 6: 0.03125
    decision = decide(Rules(significant=True), figures("0", baseline=f"0 {lost}"))
    assert decision.met is met


def test_many_gains_are_no_loss_however_significant() -> None:
    decision = decide(Rules(significant=True), figures("1 2 3 4 5 6 7 8", baseline="0"))
    assert decision.p is not None
    assert decision.p < 0.05
    assert decision.met


def test_what_the_machine_prevented_in_the_baseline_is_no_gain() -> None:
    baseline = Baseline(frozenset(NAMES), names("0"), prevented=names("1"))
    assert decide(Rules(), replace(figures("0 1 2"), baseline=baseline)).gained == ("i02",)


def test_without_an_instance_that_counts_there_is_no_rate_to_meet_a_floor() -> None:
    everything = " ".join(map(str, range(12)))
    assert not decide(Rules(min_rate=Fraction(0)), figures("0", quarantined=everything)).met
    assert decide(Rules(), figures("0", quarantined=everything)).met


SUBSETS = st.frozensets(st.sampled_from(NAMES))
RULES = st.builds(
    Rules,
    min_rate=st.none() | st.fractions(0, 1, max_denominator=24),
    max_regressions=st.integers(0, 4),
    significant=st.booleans(),
    max_infra=st.integers(0, 4),
)
BASELINES = st.none() | st.builds(
    lambda instances, resolved, prevented: Baseline(
        instances, (resolved & instances) - prevented, prevented & instances
    ),
    SUBSETS,
    SUBSETS,
    SUBSETS,
)


@st.composite
def runs(draw: st.DrawFn) -> Figures:
    unfinished = draw(SUBSETS) if draw(st.booleans()) else frozenset()
    prevented = draw(SUBSETS) - unfinished
    resolved = draw(SUBSETS) - unfinished - prevented
    return Figures(frozenset(NAMES), resolved, prevented, unfinished, draw(SUBSETS), draw(BASELINES))


@given(RULES, runs(), st.sampled_from(NAMES))
def test_one_more_resolved_instance_never_turns_a_pass_into_a_failure(rules: Rules, run: Figures, name: str) -> None:
    better = replace(
        run, resolved=run.resolved | {name}, prevented=run.prevented - {name}, unfinished=run.unfinished - {name}
    )
    assert decide(rules, better).met or not decide(rules, run).met


@given(RULES, runs(), st.sampled_from(NAMES))
def test_one_more_regression_never_turns_a_failure_into_a_pass(rules: Rules, run: Figures, name: str) -> None:
    if run.baseline is None or name not in run.baseline.instances - run.baseline.prevented:
        return
    counts = name in run.resolved
    before = replace(run, baseline=replace(run.baseline, resolved=run.baseline.resolved | {name}))
    worse = replace(before, resolved=run.resolved - {name})
    assert decide(rules, before).met or not decide(rules, worse).met
    assert not counts or len(worse.resolved) == len(run.resolved) - 1


# -- the floor


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("41", Fraction(41, 100)),
        ("41%", Fraction(41, 100)),
        (" 41 % ", Fraction(41, 100)),
        ("0.41", Fraction(41, 100)),
        ("41.25", Fraction(165, 400)),
        ("0.5%", Fraction(1, 200)),
        ("1%", Fraction(1, 100)),
        ("1.5", Fraction(3, 200)),
        ("0", Fraction(0)),
        ("100", Fraction(1)),
        ("100%", Fraction(1)),
    ],
)
def test_a_floor_is_a_percentage_or_a_fraction(text: str, floor: Fraction) -> None:
    assert read_floor(text) == floor


@pytest.mark.parametrize("text", ["1", "1.0", "1.000"])
def test_one_is_ambiguous(text: str) -> None:
    with pytest.raises(UsageError, match=r"can be read as 1 % or as all: write 1% or 0\.01, or 100% or 100"):
        read_floor(text)


@pytest.mark.parametrize("text", ["", "-1", "41,5", "nan", "1e1", "1/2", "41%%", "٤١", "0x29", ".5", "half"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"write a percentage such as 41 or 41%, or a fraction such as 0\.41"):
        read_floor(text)


@pytest.mark.parametrize("text", ["100.5", "101%", "999999"])
def test_more_than_all_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="more than all instances"):
        read_floor(text)


@given(st.text(alphabet="0123456789.%- e", max_size=8))
def test_any_text_is_a_floor_up_to_one_or_a_usage_error(text: str) -> None:
    try:
        floor = read_floor(text)
    except UsageError:
        return
    assert 0 <= floor <= 1
    assert read_floor(floor_percent(floor)) == floor


def test_a_rate_just_below_its_floor_is_not_printed_like_it() -> None:
    floor = Fraction(41, 100)
    assert percent(Fraction(4096, 10_000), floor) == "40.96 %"
    assert percent(Fraction(41, 100), floor) == "41.0 %"
    assert percent(Fraction(1, 3), floor) == "33.3 %"
    assert (floor_percent(floor), floor_percent(Fraction(1, 200))) == ("41 %", "0.5 %")
