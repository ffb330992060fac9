"""Decides whether a run meets a gate. Pure: figures in, the decision with its reasons out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from swerl_eval.core.comparison import mcnemar_p

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Rules:
    """What a run has to meet, besides being complete."""

    min_rate: Fraction | None = None
    """The least solve rate, as a fraction; None for no floor."""
    max_regressions: int = 0
    """Instances that the baseline resolves and the run does not, at most."""
    significant: bool = False
    """Whether only a loss that McNemar's exact test supports counts as too many regressions."""
    max_infra: int = 0
    """Verdicts that the machine prevented, at most."""


@dataclass(frozen=True)
class Baseline:
    """The earlier run, over the instances that both have."""

    instances: frozenset[str]
    resolved: frozenset[str]
    prevented: frozenset[str] = frozenset()
    """Instances whose verdict the machine prevented: they say nothing about the run."""


@dataclass(frozen=True)
class Figures:
    """What is known of a run, by one of the verdicts."""

    instances: frozenset[str]
    resolved: frozenset[str]
    prevented: frozenset[str] = frozenset()
    """Instances whose verdict the machine prevented."""
    unfinished: frozenset[str] = frozenset()
    """Instances that the run has not come to yet."""
    quarantined: frozenset[str] = frozenset()
    """Instances in quarantine; others than the run's do not matter."""
    baseline: Baseline | None = None


class Kind(str, Enum):
    """What a condition is about."""

    COMPLETE = "complete"
    INFRA = "infrastructure"
    RATE = "solve rate"
    REGRESSIONS = "regressions"


@dataclass(frozen=True)
class Condition:
    """One condition, and the instances that it is about, sorted."""

    kind: Kind
    met: bool
    instances: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rate:
    """A solve rate."""

    resolved: int
    total: int

    @property
    def value(self) -> Fraction | None:
        """The exact rate; None over no instances."""
        return Fraction(self.resolved, self.total) if self.total else None


@dataclass(frozen=True)
class Decision:
    """Whether a run meets its gate, and why."""

    rules: Rules
    conditions: tuple[Condition, ...]
    counted: Rate
    """Over the instances that count: neither in quarantine nor prevented by the machine."""
    overall: Rate
    """Over all instances."""
    quarantined: tuple[str, ...]
    prevented: tuple[str, ...]
    gained: tuple[str, ...]
    """Instances that count, which the run resolves and the baseline does not."""
    p: float | None
    """McNemar's exact p; None without a baseline."""

    @property
    def met(self) -> bool:
        """Whether every condition is met."""
        return all(condition.met for condition in self.conditions)

    def of(self, kind: Kind) -> Condition | None:
        """Return the condition of a kind; None where it was not asked for."""
        return next((condition for condition in self.conditions if condition.kind is kind), None)


def decide(rules: Rules, figures: Figures) -> Decision:
    """Decide whether a run meets a gate.

    One more resolved instance never turns a pass into a failure, and one more regression never a failure into a pass.
    """
    quarantined = figures.quarantined & figures.instances
    prevented = (figures.prevented & figures.instances) - quarantined
    counted = figures.instances - quarantined - prevented
    rate = Rate(len(figures.resolved & counted), len(counted))
    conditions = [
        _condition(Kind.COMPLETE, figures.unfinished & figures.instances, not figures.unfinished & figures.instances),
        _condition(Kind.INFRA, prevented, len(prevented) <= rules.max_infra),
    ]
    if rules.min_rate is not None:
        conditions.append(Condition(Kind.RATE, rate.value is not None and rate.value >= rules.min_rate))
    gained: frozenset[str] = frozenset()
    p = None
    if figures.baseline is not None:
        paired = (counted & figures.baseline.instances) - figures.baseline.prevented
        gained = paired & figures.resolved - figures.baseline.resolved
        lost = paired & figures.baseline.resolved - figures.resolved
        p = mcnemar_p(len(gained), len(lost))
        few = len(lost) <= rules.max_regressions
        chance = rules.significant and not (len(lost) > len(gained) and p < SIGNIFICANT)
        conditions.append(_condition(Kind.REGRESSIONS, lost, few or chance))
    return Decision(
        rules=rules,
        conditions=tuple(conditions),
        counted=rate,
        overall=Rate(len(figures.resolved & figures.instances), len(figures.instances)),
        quarantined=tuple(sorted(quarantined)),
        prevented=tuple(sorted(prevented)),
        gained=tuple(sorted(gained)),
        p=p,
    )


def _condition(kind: Kind, instances: frozenset[str], met: bool) -> Condition:
    return Condition(kind, met, tuple(sorted(instances)))
