"""Takes verdicts that this machine has computed before from a cache, and stores new ones there.

An evaluation has two parts, the official verdict and the control run of the strict one. Each part has an entry of its
own, so that one is not lost when the other cannot be stored. The control run of an instance's gold patch is a third.

Only what would come out the same again is stored: resolved, unresolved and failed patches. Never stored: a run that
reached a limit (time, memory, disk, length of the log), a run that the machine or its environment prevented, and a run
of another image than the one that was asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from swerl_eval.core.diffs import files_touched
from swerl_eval.core.errors import GradingError, SandboxError
from swerl_eval.core.jobs.scripts import environment
from swerl_eval.core.types import Evaluation, Limits, Machine, Verdict
from swerl_eval.evaluation.cache_key import CacheKey
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import NO_COMMAND, Evaluator
from swerl_eval.evaluation.strict import CONTROL_FILES, REFERENCE_FILES, fail_tests_program, hit_no_limit
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.official import grading, specification
from swerl_eval.records.log_files import OFFICIAL_FILES, RUN_LOG, TEST_OUTPUT

OFFICIAL, STRICT, GOLD = "official", "strict", "gold"
_STRICT_FILES = (*CONTROL_FILES, *REFERENCE_FILES)
_CACHEABLE = frozenset({Verdict.RESOLVED, Verdict.UNRESOLVED, Verdict.PATCH_FAILED})


@dataclass(frozen=True)
class CachedVerdicts:
    """What the cache has of one evaluation run."""

    key: CacheKey | None = None
    """None when the run cannot be cached."""
    official: Evaluation | None = None
    """The official verdict alone."""
    whole: Evaluation | None = None
    """The verdict with every part that is asked for, so that no container is needed."""


@dataclass(frozen=True)
class CachedEvaluator:
    """An `Evaluator` with a cache in front of it."""

    evaluator: Evaluator
    cache: VerdictCache | None
    """None: nothing is looked up, and nothing is stored."""

    @property
    def strict(self) -> bool:
        """Whether resolved patches get a strict verdict."""
        return self.evaluator.settings.strict

    @property
    def official_only(self) -> CachedEvaluator:
        """The same without strict verdicts."""
        settings = dataclasses.replace(self.evaluator.settings, strict=False)
        return CachedEvaluator(Evaluator(self.evaluator.sandbox, settings), self.cache)

    async def lookup(self, run: EvaluationRun) -> CachedVerdicts:
        """Look an evaluation run up, and put the logs of what the cache has into its folder."""
        key = await self._key(run)
        if self.cache is None or key is None:
            return CachedVerdicts()
        official = await anyio.to_thread.run_sync(self._cached_official, run, key)
        if official is None or not self.strict:
            return CachedVerdicts(key, official, official)
        if not official.resolved:
            return CachedVerdicts(key, official, await self.evaluator.strict(run, official))
        whole = await anyio.to_thread.run_sync(self._cached_strict, run, official, key)
        return CachedVerdicts(key, official, whole)

    async def evaluate(self, run: EvaluationRun, known: CachedVerdicts) -> Evaluation:
        """Run what the cache does not have, and store it.

        Args:
            run: The evaluation run.
            known: What `lookup` returned for it.
        """
        key = known.key
        if self.cache is None or key is None:
            return await self.evaluator.evaluate(run)
        evaluation = known.official
        if evaluation is None:
            evaluation = await self.evaluator.official(run)
            if _is_cacheable(evaluation, key, run.logs):
                await self._store(key.digest(OFFICIAL), evaluation, run.logs, OFFICIAL_FILES)
        if not self.strict:
            return evaluation
        gold_runs = _CachedGoldRuns(self.cache, dataclasses.replace(key, patch=key.gold_patch).digest(GOLD))
        evaluation = await self.evaluator.strict(run, evaluation, gold_runs)
        decided = evaluation.strict in {Verdict.RESOLVED, Verdict.UNRESOLVED}
        if evaluation.resolved and decided and _ran_image_of(evaluation, key) and hit_no_limit(run.logs):
            await self._store(key.digest(STRICT), evaluation, run.logs, _STRICT_FILES)
        return evaluation

    async def _key(self, run: EvaluationRun) -> CacheKey | None:
        """Return what the verdict depends on.

        None when there is nothing to run, the image cannot be had, or the machines differ in what verdicts depend on.
        """
        if self.cache is None or not run.patch:
            return None
        row, sandbox, settings = run.oracle.row, self.evaluator.sandbox, self.evaluator.settings
        try:
            if specification.image_assets(row):
                return None
            image_id = await sandbox.image_id(run.instance.image)
        except (SandboxError, GradingError):
            return None  # the evaluation gives the same error as its verdict
        limits = settings.limits
        places = {_conditions(machine, limits) for machine in sandbox.machines()}
        if len(places) != 1:
            return None  # it would depend on the machine
        engine, architecture, cpus = places.pop()
        return CacheKey(
            image_id=image_id,
            engine=engine,
            architecture=architecture,
            base_commit=run.instance.base_commit,
            eval_script=specification.eval_script(row),
            specification=specification.grading_inputs(row),
            test_patch=run.oracle.test_patch,
            gold_patch=run.oracle.patch,
            patch=run.patch,
            limits=Limits(limits.memory, cpus, limits.pids, limits.network, limits.disk),
            environment=environment(limits),
            timeout=settings.timeout,
            swebench=specification.swebench_version(),
            control=hashlib.sha256(fail_tests_program()).hexdigest(),
        )

    def _cached_official(self, run: EvaluationRun, key: CacheKey) -> Evaluation | None:
        record = self.cache.get(key.digest(OFFICIAL), run.logs, OFFICIAL_FILES) if self.cache else None
        evaluation = _evaluation_of(record)
        if evaluation is None:
            return None
        suspicious, gold_files = tuple(map(str, run.touches)), files_touched(run.oracle.patch)
        return dataclasses.replace(evaluation, suspicious=suspicious, gold_files=gold_files)

    def _cached_strict(self, run: EvaluationRun, official: Evaluation, key: CacheKey) -> Evaluation | None:
        record = self.cache.get(key.digest(STRICT), run.logs, _STRICT_FILES) if self.cache else None
        evaluation = _evaluation_of(record)
        if evaluation is None:
            return None
        return dataclasses.replace(
            official, strict=evaluation.strict, strict_reason=evaluation.strict_reason, suspicious=evaluation.suspicious
        )

    async def _store(self, digest: str, evaluation: Evaluation, logs: Path, names: tuple[str, ...]) -> None:
        if self.cache is not None:
            await anyio.to_thread.run_sync(self.cache.put, digest, dataclasses.asdict(evaluation), logs, names)


def _conditions(machine: Machine, limits: Limits) -> tuple[str, str, float]:
    """What a verdict depends on of a machine: engine, architecture, and the CPUs that a container has there."""
    cpus = min(limits.cpus or machine.cpus, machine.cpus)  # a container never has more than the engine
    return machine.engine.partition(" ")[0], machine.architecture, cpus


@dataclass(frozen=True)
class _CachedGoldRuns:
    """The control run of one instance's gold patch (`strict.References`), in the cache."""

    cache: VerdictCache
    digest: str

    async def lookup(self, logs: Path) -> bool:
        return await anyio.to_thread.run_sync(self.cache.get, self.digest, logs, CONTROL_FILES) is not None

    async def store(self, logs: Path) -> None:
        if hit_no_limit(logs):
            await anyio.to_thread.run_sync(self.cache.put, self.digest, {}, logs, CONTROL_FILES)


def _evaluation_of(record: dict[str, Any] | None) -> Evaluation | None:
    """Return a stored record as an evaluation; None when its fields are those of another version of this program."""
    if record is None:
        return None
    try:
        verdict, strict = Verdict(record["verdict"]), record["strict"]
        lists = {name: tuple(record[name]) for name in ("gold_files", "suspicious")}
        return Evaluation(**{**record, **lists, "verdict": verdict, "strict": Verdict(strict) if strict else None})
    except (KeyError, TypeError, ValueError):
        return None


def _is_cacheable(evaluation: Evaluation, key: CacheKey, logs: Path) -> bool:
    """Return whether an official verdict would come out the same again."""
    if evaluation.verdict not in _CACHEABLE or evaluation.log_truncated or evaluation.reason not in {"", NO_COMMAND}:
        return False
    if not _ran_image_of(evaluation, key):
        return False
    failure = None if evaluation.resolved else grading.failure_reason(logs / TEST_OUTPUT, logs / RUN_LOG)
    if failure is None or not failure.environment:
        return True
    # a run without a network never reaches it, the next time neither
    return failure.reason == "network_unreachable" and key.limits.network == "none"


def _ran_image_of(evaluation: Evaluation, key: CacheKey) -> bool:
    return evaluation.image_id == key.image_id
