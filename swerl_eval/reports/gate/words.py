"""A judgement in words: the line that says why, and the text below it. Names go through a `Mark`."""

from __future__ import annotations

from collections.abc import Iterator

from swerl_eval.core.types import GOLD
from swerl_eval.reports.comparison.names import Mark, listed, printable
from swerl_eval.reports.gate.decision import Condition, Decision, Kind, Rate
from swerl_eval.reports.gate.floor import floor_percent, percent
from swerl_eval.reports.gate.judge import STRICT, Judgement

MOST_NAMES = 10
"""Instances that the text names in one line, at most."""
_MOST_CHARACTERS = 200
MET, NOT_MET = "gate met", "gate not met"


def short(mark: Mark) -> Mark:
    """Return a mark that shortens names which nobody would read to their end."""
    return lambda name: mark(name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}…")


def headline(judgement: Judgement, mark: Mark = printable) -> str:
    """Return in one line whether the gate is met, and why."""
    decision = judgement.decision
    told = [condition for condition in decision.conditions if condition.met is decision.met]
    clauses = [clause(judgement, condition, mark) for condition in told]
    if decision.met and decision.of(Kind.RATE) is None:
        clauses.append(f"solve rate {rate_words(decision)}")
    why = "; ".join(clauses)
    notes = "".join(f" ({note})" for note in _notes(judgement))
    return f"{MET if decision.met else NOT_MET}: {short(mark)(judgement.run.name)}{notes}: {why}"


def _notes(judgement: Judgement) -> Iterator[str]:
    """Yield in a few words what a reader of the line alone has to know."""
    if judgement.verdict == STRICT:
        yield "by the strict verdict"
    if judgement.run.patches == GOLD:
        yield "GOLD patches, no model's"
    elif judgement.run.recorded:
        yield "RECORDED answers"
    if judgement.differences or (judgement.baseline and judgement.baseline.unfinished):
        yield "NOT COMPARABLE, judged anyway"


def clause(judgement: Judgement, condition: Condition, mark: Mark) -> str:
    """Say in some words how a condition was met or not."""
    return _CLAUSES[condition.kind](judgement, condition, short(mark))


def _complete(judgement: Judgement, condition: Condition, mark: Mark) -> str:
    total = judgement.decision.overall.total
    if condition.met:
        return f"complete, {_count(total, 'instance')}"
    open_ones = len(condition.instances)
    return (
        f"incomplete, {open_ones} of {_count(total, 'instance')} {'has' if open_ones == 1 else 'have'} no verdict "
        f"(such as {mark(condition.instances[0])}; the same command as before finishes the run)"
    )


def _infra(judgement: Judgement, condition: Condition, mark: Mark) -> str:
    count, allowed = len(condition.instances), judgement.decision.rules.max_infra
    if not count:
        return "no verdict prevented by the machine"
    remedy = "" if condition.met else "; run it again, or allow them with --max-infra"
    return f"{_count(count, 'verdict')} prevented by the machine ({allowed} allowed{remedy})"


def _rate(judgement: Judgement, condition: Condition, mark: Mark) -> str:
    decision = judgement.decision
    floor = decision.rules.min_rate
    if decision.counted.value is None or floor is None:
        return "no instance counts, so there is no solve rate"
    relation = "meets the floor of" if condition.met else "is below the floor of"
    return f"solve rate {rate_words(decision)} {relation} {floor_percent(floor)}"


def rate_words(decision: Decision) -> str:
    """Return the solve rate over the instances that count, and over all where these are more."""
    counted, overall = decision.counted, decision.overall
    if counted == overall:
        return _share(counted, f"of {counted.total}", decision)
    of_all = _share(overall, f"of all {overall.total}", decision)
    return f"{_share(counted, f'of the {counted.total} that count', decision)}, {of_all}"


def _share(rate: Rate, of: str, decision: Decision) -> str:
    return "none" if rate.value is None else f"{percent(rate.value, decision.rules.min_rate)} ({rate.resolved} {of})"


def _regressions(judgement: Judgement, condition: Condition, mark: Mark) -> str:
    rules, gains = judgement.decision.rules, len(judgement.decision.gained)
    baseline = mark(judgement.baseline.name) if judgement.baseline else ""
    lost = f"{_count(len(condition.instances), 'regression')} from {baseline}"
    if not rules.significant:
        return f"{lost} ({rules.max_regressions} allowed)"
    p = f"McNemar's exact p {judgement.decision.p:.4f}"
    supported = "the loss is supported" if not condition.met else "no loss is supported"
    return f"{lost}, {_count(gains, 'gain')}: {supported} ({p})"


_CLAUSES = {
    Kind.COMPLETE: _complete,
    Kind.INFRA: _infra,
    Kind.RATE: _rate,
    Kind.REGRESSIONS: _regressions,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def remarks(judgement: Judgement, mark: Mark) -> list[str]:
    """Return what a reader has to know besides the conditions, the gravest first."""
    mark = short(mark)
    run, baseline = judgement.run, judgement.baseline
    lines = [f"NOT MEASURED ALIKE, judged anyway: {difference.words(mark)}" for difference in judgement.differences]
    if baseline and baseline.unfinished:
        lines.append(f"the baseline {mark(baseline.name)} is INCOMPLETE: regressions from what it lacks cannot be seen")
    for side in filter(None, (run, baseline)):
        name = mark(side.name)
        if side.patches == GOLD:
            lines.append(f"{name}: the patches are the dataset's own answers (GOLD), no model's")
        elif side.recorded:
            lines.append(f"{name}: the answers were RECORDED, not sampled from a model")
        if side.errors:
            lines.append(
                f"{name}: {_count(len(side.errors), 'instance')} without a report, by the patch's fault or the "
                f"machine's, counted as not resolved ({listed(sorted(side.errors), mark, MOST_NAMES)})"
            )
        if side.repeated:
            lines.append(f"{name}: listed more than once, counted once: {listed(side.repeated, mark, MOST_NAMES)}")
        if baseline and side.unchecked:
            lines.append(f"{name} ({side.kind}) does not record, so not checked: {', '.join(side.unchecked)}")
    return lines


def named_groups(judgement: Judgement, mark: Mark) -> list[tuple[str, tuple[str, ...]]]:
    """Return the instances that are to be named, each group with its heading; no group is empty."""
    decision = judgement.decision
    of = {condition.kind: condition.instances for condition in decision.conditions}
    from_where = f" from {short(mark)(judgement.baseline.name)}" if judgement.baseline else ""
    groups = [
        ("Not finished", of[Kind.COMPLETE]),
        (f"Regressed{from_where}", of.get(Kind.REGRESSIONS, ())),
        ("Prevented by the machine, not counted", decision.prevented),
        (f"In quarantine ({short(mark)(judgement.quarantine)}), not counted", decision.quarantined),
        (f"Gained{from_where}", decision.gained),
    ]
    return [(heading, names) for heading, names in groups if names]


def as_text(judgement: Judgement) -> str:
    """Return the line that says why, and the details below it."""
    lines = [headline(judgement)]
    for condition in judgement.decision.conditions:
        lines.append(f"  {'met    ' if condition.met else 'NOT MET'}  {clause(judgement, condition, printable)}")
    lines += [f"  {remark}" for remark in remarks(judgement, printable)]
    for heading, names in named_groups(judgement, printable):
        lines.append(f"  {heading}: {len(names)}: {listed(names, short(printable), MOST_NAMES)}")
    return "\n".join(lines) + "\n"
