"""The last stage of an instance: verdicts and rewards, from the answers that no other stage sees."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Candidate, Evaluation, Instance, Selection
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import failed_patch
from swerl_eval.evaluation.gold_patches import store_gold_patch
from swerl_eval.evaluation.rewards import score
from swerl_eval.ports import Source
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run


class EvaluationStage:
    """Evaluates patches of a run and scores its answers. Every result is stored in the run folder."""

    def __init__(
        self,
        source: Source,
        evaluator: Callable[[], CachedEvaluator],
        records: Run,
        progress: Progress,
        containers: anyio.CapacityLimiter,
        *,
        strict: bool,
    ) -> None:
        """Make the stage.

        Args:
            source: Gives the answers.
            evaluator: Makes the evaluator when a patch is to be run; a resumed run may have no sandbox for one.
            records: The run, open for writing.
            progress: Counts cache hits.
            containers: Containers in flight.
            strict: Whether the selected patch also gets a strict verdict.
        """
        self._source = source
        self._evaluator = evaluator
        self._strict = strict
        self._records = records
        self._progress = progress
        self._containers = containers

    def settled(self, instance_id: str) -> Evaluation | None:
        """Return the stored verdict on the selected patch; None when something is left to run."""
        evaluation = self._records.evaluation_of(instance_id)
        return evaluation if evaluation is not None and evaluation.settled(strict=self._strict) else None

    async def evaluate_selected(self, instance: Instance, selection: Selection, unusable: str = "") -> Evaluation:
        """Give the selected patch its verdict, official and strict.

        Args:
            instance: The instance that the patch is for.
            selection: The selected or handed-in patch.
            unusable: Why the patch cannot be written to a file. It then fails without being run, as in `swebench eval`.
        """
        run = self._run_of(instance, selection.patch, self._records.logs(instance.instance_id))
        store_gold_patch(self._records, run.oracle)
        if unusable:
            evaluation = failed_patch(run, unusable, strict=self._strict)
            self._records.evaluations.append(evaluation)
            return evaluation
        return await self._evaluate(run, self._evaluator())

    async def evaluate_candidates(self, instance: Instance, candidates: Iterable[Candidate]) -> None:
        """Give candidates that have none an official verdict, for pass@k and the scaling tables."""
        async with anyio.create_task_group() as group:
            for candidate in candidates:
                digest = sha256(candidate.patch)
                stored = self._records.evaluations.get((instance.instance_id, digest))
                if stored is None or not stored.settled(strict=False):
                    logs = self._records.candidate_logs(instance.instance_id, digest)
                    run = self._run_of(instance, candidate.patch, logs)
                    group.start_soon(self._evaluate, run, self._evaluator().official_only)

    async def score_samples(self, instance: Instance, count: int) -> None:
        """Give the first `count` repair samples that have none their reward. A sample that failed gets none."""
        name = instance.instance_id
        unscored = [index for index in range(count) if (name, index) not in self._records.rewards]
        stored = [self._records.samples.get((name, "repair", index)) for index in unscored]
        answered = [sample for sample in stored if sample is not None and not sample.completion.error]
        if answered:
            oracle = self._source.oracle(name)
            snapshot = await self._source.snapshot(instance)
            self._records.rewards.append(*await anyio.to_thread.run_sync(score, oracle, snapshot, answered))

    def _run_of(self, instance: Instance, patch: str, logs: Path) -> EvaluationRun:
        return EvaluationRun(instance, self._source.oracle(instance.instance_id), patch, logs)

    async def _evaluate(self, run: EvaluationRun, evaluator: CachedEvaluator) -> Evaluation:
        """Evaluate a patch, in a container only where the cache does not have the whole verdict."""
        known = await evaluator.lookup(run)
        if known.whole is not None:
            evaluation = known.whole
            self._records.event(evaluation.instance_id, "evaluate", f"from the cache: {evaluation.patch_sha256[:12]}")
            self._progress.cache_hits += 1
        elif not run.patch:
            evaluation = await evaluator.evaluate(run, known)  # it runs nothing, and waits for no container
        else:
            async with self._container_slot(run.instance.instance_id):
                evaluation = await evaluator.evaluate(run, known)
        self._records.evaluations.append(evaluation)
        return evaluation

    @asynccontextmanager
    async def _container_slot(self, instance_id: str) -> AsyncIterator[None]:
        """Hold one of the containers that may run at a time, and note for how long."""
        async with self._containers:
            begun = time.monotonic()
            try:
                yield
            finally:
                self._records.event(instance_id, "evaluate", "worker free", seconds=time.monotonic() - begun)
