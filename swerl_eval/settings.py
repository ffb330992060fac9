"""What the stages go by: the names of the stages, their settings, and the parts behind the seams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swerl_eval.core.jobs.test_job import TestLimits
from swerl_eval.evaluation.evaluation_run import EvaluateSettings
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.ports import Sampler, Sandbox, Source
from swerl_eval.prompts import Prompts
from swerl_eval.stages.localize import LocalizeSettings
from swerl_eval.stages.regress import RegressSettings
from swerl_eval.stages.repair import RepairSettings
from swerl_eval.stages.reproduce import ReproduceSettings

STAGES = ("localize", "repair", "reproduce", "regress", "run_tests", "select", "evaluate")
TEST_STAGES = frozenset({"reproduce", "regress", "run_tests"})
"""Stages that a plain vote does without."""


@dataclass(frozen=True)
class Settings:
    """The settings of all stages of a run."""

    localize: LocalizeSettings
    repair: RepairSettings
    reproduce: ReproduceSettings
    regress: RegressSettings
    test_limits: TestLimits
    evaluate: EvaluateSettings
    evaluate_all: bool
    """Whether every unique candidate gets a verdict, not only the selected one."""
    stop_when_decided: bool
    """Whether sampling for an instance ends when no further sample can change the choice."""
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    requests: int
    """Requests in flight at the sampler, at most."""

    @property
    def testing(self) -> bool:
        """Whether tests have a say in the choice; else it is a plain vote."""
        return self.reproduce.keep > 0 or self.regress.enabled

    def stages_until(self, last: str) -> tuple[str, ...]:
        """Return the stages up to this one that a run goes through; a plain vote has no stages of tests."""
        stages = STAGES[: STAGES.index(last) + 1]
        return tuple(stage for stage in stages if self.testing or stage not in TEST_STAGES)


@dataclass
class Parts:
    """The concrete parts behind the seams. A part that the run's stages do not use may be absent."""

    source: Source
    prompts: Prompts
    sampler: Sampler | None = None
    sandbox: Sandbox | None = None
    test_sampler: Sampler | None = None
    """The model that writes tests, where it is another one."""
    given_files: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """File lists in place of localization, by instance id."""
    files_origin: str = "model"
    """`model`, `oracle`, or the file that `given_files` comes from."""
    verdicts: VerdictCache | None = None
    """Verdicts that this machine has computed before; None: every patch is run."""
    given_patches: Mapping[str, str] | None = None
    """Patches to evaluate, by instance id; then no stage before `evaluate` runs."""
    unusable_patches: Mapping[str, str] = field(default_factory=dict)
    """Given patches that cannot be written to a file, with the reason, by instance id. They fail without being run."""
