"""What all instances of a run share: its records, its settings, and the tools that the stages work with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import anyio

from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.stage import EvaluationStage
from swerl_eval.ports import Sampler, Sandbox
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.settings import Parts, Settings
from swerl_eval.stages.run_tests import TestRunner
from swerl_eval.stages.sampling import SamplingContext


@dataclass(frozen=True)
class RunContext:
    """The records, settings and tools that the runs of all instances share."""

    records: Run
    parts: Parts
    settings: Settings
    progress: Progress
    queue: RequestQueue
    containers: anyio.CapacityLimiter
    """Containers in flight."""
    until: str
    """The last stage to run."""

    @cached_property
    def evaluation(self) -> EvaluationStage:
        """The only stage that sees the answers."""
        settings = self.settings.evaluate

        def evaluator() -> CachedEvaluator:
            return CachedEvaluator(Evaluator(self._sandbox, settings), self.parts.verdicts)

        return EvaluationStage(
            self.parts.source, evaluator, self.records, self.progress, self.containers, strict=settings.strict
        )

    @cached_property
    def test_runner(self) -> TestRunner:
        """Runs reproduction and regression tests in containers."""
        return TestRunner(
            self._sandbox,
            self.containers,
            self.settings.evaluate.limits,
            self.settings.test_limits,
            self.records.folder / "logs",
            event=self.records.event,
        )

    @cached_property
    def sampling(self) -> SamplingContext:
        """How the model that localizes and repairs is asked."""
        return self._sampling_from(self.parts.sampler)

    @cached_property
    def test_sampling(self) -> SamplingContext:
        """How the model that writes tests is asked."""
        return self._sampling_from(self.parts.test_sampler or self.parts.sampler)

    def _sampling_from(self, sampler: Sampler | None) -> SamplingContext:
        if sampler is None:
            message = "a run that samples needs a sampler"
            raise RuntimeError(message)
        settings = self.settings
        return SamplingContext(
            sampler=sampler,
            journal=self.records.samples,
            queue=self.queue,
            progress=self.progress,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )

    @property
    def _sandbox(self) -> Sandbox:
        if self.parts.sandbox is None:
            message = "a run that runs tests needs a sandbox"
            raise RuntimeError(message)
        return self.parts.sandbox
