"""Judges a run by a gate: from the sides of a comparison to the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.comparison.differences import Difference, common_instances, differences_of, refuse
from swerl_eval.reports.comparison.names import listed, printable
from swerl_eval.reports.comparison.sides import Side
from swerl_eval.reports.gate.decision import Baseline, Decision, Figures, Rules, decide
from swerl_eval.reports.quarantine import Quarantine

OFFICIAL, STRICT = "official", "strict"
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Judgement:
    """A decision, with what it was made from."""

    decision: Decision
    verdict: str
    """`OFFICIAL` or `STRICT`."""
    run: Side
    baseline: Side | None = None
    quarantine: str = ""
    """Name of the quarantine file; empty for none."""
    differences: tuple[Difference, ...] = ()
    """What the two were not measured alike in."""


def judge(
    sides: Sequence[Side], rules: Rules, quarantine: Quarantine | None = None, *, strict: bool, anyway: bool
) -> Judgement:
    """Judge a run.

    Args:
        sides: The run, and the baseline if there is one.
        rules: What the run has to meet.
        quarantine: Instances that do not count.
        strict: Go by the strict verdict.
        anyway: Judge although the baseline was measured otherwise, or is incomplete.

    Raises:
        UsageError: The two cannot be compared, the run does not name its instances, or there is no strict verdict.
    """
    run, *others = sides
    baseline = others[0] if others else None
    differences = differences_of([baseline, run]) if baseline else []
    if baseline and not anyway:
        refuse([baseline, run], differences)
        _refuse_unfinished(baseline)
    if baseline is None and not run.all_named:
        message = (
            f"{printable(run.name)} does not name all of its instances, so it has no solve rate; judge a run folder or "
            "swebench's run report, or add --baseline with one of these"
        )
        raise UsageError(message)
    if baseline is None:
        common, earlier = run.named, None
    else:
        common = frozenset(common_instances([baseline, run]))
        resolved = _resolved(baseline, strict=strict) & common
        earlier = Baseline(common, resolved, _prevented(baseline, strict=strict))
    figures = Figures(
        instances=run.named if run.all_named else common,
        resolved=_resolved(run, strict=strict),
        prevented=_prevented(run, strict=strict),
        unfinished=run.unfinished,
        quarantined=frozenset(quarantine.reasons) if quarantine else frozenset(),
        baseline=earlier,
    )
    return Judgement(
        decision=decide(rules, figures),
        verdict=STRICT if strict else OFFICIAL,
        run=run,
        baseline=baseline,
        quarantine=quarantine.name if quarantine else "",
        differences=tuple(differences),
    )


def _refuse_unfinished(baseline: Side) -> None:
    """Refuse a baseline that has not come to some of its instances: what it would have resolved is not known."""
    if baseline.unfinished:
        lacking = sorted(baseline.unfinished)
        names = listed(lacking, printable, _SHOWN_NAMES)
        message = (
            f"the baseline {printable(baseline.name)} is incomplete, without a verdict on {len(lacking)} of its "
            f"instances ({names}); finish it, take another one, or judge by what it has with --anyway"
        )
        raise UsageError(message)


def _resolved(side: Side, *, strict: bool) -> frozenset[str]:
    if not strict:
        return side.resolved
    if side.strictly_resolved is None:
        message = f"{printable(side.name)} has no strict verdicts; judge without --strict, or run it with --strict"
        raise UsageError(message)
    return side.strictly_resolved


def _prevented(side: Side, *, strict: bool) -> frozenset[str]:
    return side.prevented | side.strictly_prevented if strict else side.prevented
