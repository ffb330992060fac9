"""Verdicts that this machine knows already, in place of containers; what is run anew is known from then on.

An evaluation has two parts with a key each, so that one is not lost for want of the other: the official verdict, and
the control run of the strict one. The control run of an instance's gold patch is a third.

Kept is what would come out the same again: resolved, unresolved and failed patches. Never kept: what ran into a limit
(time, memory, disk, the length of the log), what a machine or an environment at fault prevented, and a run of another
image than the one that was asked for.
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
from swerl_eval.core.types import Evaluation, Limits, Verdict
from swerl_eval.evaluation.cache_key import CacheKey
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import NO_COMMAND, Evaluator, touches
from swerl_eval.evaluation.strict import CONTROL_FILES, REFERENCE_FILES, fail_tests_program, undisturbed
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.official import grading
from swerl_eval.records.log_files import OFFICIAL_FILES, RUN_LOG, TEST_OUTPUT

OFFICIAL, STRICT, GOLD = "official", "strict", "gold"
_STRICT_FILES = (*CONTROL_FILES, *REFERENCE_FILES)
_LASTING = frozenset({Verdict.RESOLVED, Verdict.UNRESOLVED, Verdict.PATCH_FAILED})


@dataclass(frozen=True)
class CachedEvaluator:
    """An `Evaluator` that looks into the verdicts of this machine first."""

    evaluator: Evaluator
    verdicts: VerdictCache | None
    """None: nothing is known, and nothing is kept."""

    async def lookup(self, trial: EvaluationRun) -> Evaluation | None:
        """The whole verdict as it was, its logs put in place, where no container is needed for it; else None."""
        conditions = await self._conditions(trial)
        if self.verdicts is None or conditions is None:
            return None
        known = await anyio.to_thread.run_sync(self._official, trial, conditions)
        if known is None or not self.evaluator.settings.strict:
            return known
        if not known.resolved:
            return await self.evaluator.strict(trial, known)
        return await anyio.to_thread.run_sync(self._strict, trial, known, conditions)

    async def evaluate(self, trial: EvaluationRun) -> Evaluation:
        """A verdict, by as few containers as it takes."""
        conditions = await self._conditions(trial)
        if self.verdicts is None or conditions is None:
            return await self.evaluator.evaluate(trial.instance, trial.oracle, trial.patch, trial.logs)
        evaluation = await anyio.to_thread.run_sync(self._official, trial, conditions)
        if evaluation is None:
            evaluation = await self.evaluator.official(trial)
            if _lasting(evaluation, conditions, trial.logs):
                await self._keep(conditions.key(OFFICIAL), evaluation, trial.logs, OFFICIAL_FILES)
        if not self.evaluator.settings.strict:
            return evaluation
        gold = _GoldRuns(self.verdicts, dataclasses.replace(conditions, patch=conditions.gold_patch).key(GOLD))
        evaluation = await self.evaluator.strict(trial, evaluation, gold)
        decided = evaluation.strict in {Verdict.RESOLVED, Verdict.UNRESOLVED}
        if evaluation.resolved and decided and _same_image(evaluation, conditions) and undisturbed(trial.logs):
            await self._keep(conditions.key(STRICT), evaluation, trial.logs, _STRICT_FILES)
        return evaluation

    async def _conditions(self, trial: EvaluationRun) -> CacheKey | None:
        """What the verdict depends on; None where there is nothing to run, or the image cannot be had."""
        if self.verdicts is None or not trial.patch:
            return None
        try:
            if grading.image_assets(trial.oracle):
                return None
            image_id = await self.evaluator.sandbox.image_id(trial.instance.image)
        except (SandboxError, GradingError):
            return None  # the evaluation says so, as its verdict
        machine, settings = self.evaluator.sandbox.machine(), self.evaluator.settings
        limits = settings.limits
        cpus = min(limits.cpus or machine.cpus, machine.cpus)  # a container never has more than the engine
        return CacheKey(
            image_id=image_id,
            engine=machine.engine.partition(" ")[0],
            architecture=machine.architecture,
            base_commit=trial.instance.base_commit,
            eval_script=grading.eval_script(trial.oracle),
            specification=grading.specification(trial.oracle),
            test_patch=trial.oracle.test_patch,
            gold_patch=trial.oracle.patch,
            patch=trial.patch,
            limits=Limits(limits.memory, cpus, limits.pids, limits.network, limits.disk),
            environment=environment(limits),
            timeout=settings.timeout,
            swebench=grading.swebench_version(),
            control=hashlib.sha256(fail_tests_program()).hexdigest(),
        )

    def _official(self, trial: EvaluationRun, conditions: CacheKey) -> Evaluation | None:
        record = self.verdicts.get(conditions.key(OFFICIAL), trial.logs, OFFICIAL_FILES) if self.verdicts else None
        known = _restored(record)
        if known is None:
            return None
        suspicious = tuple(map(str, touches(trial)))
        return dataclasses.replace(known, suspicious=suspicious, gold_files=files_touched(trial.oracle.patch))

    def _strict(self, trial: EvaluationRun, official: Evaluation, conditions: CacheKey) -> Evaluation | None:
        record = self.verdicts.get(conditions.key(STRICT), trial.logs, _STRICT_FILES) if self.verdicts else None
        known = _restored(record)
        if known is None:
            return None
        return dataclasses.replace(
            official, strict=known.strict, strict_reason=known.strict_reason, suspicious=known.suspicious
        )

    async def _keep(self, key: str, evaluation: Evaluation, logs: Path, names: tuple[str, ...]) -> None:
        if self.verdicts is not None:
            await anyio.to_thread.run_sync(self.verdicts.put, key, dataclasses.asdict(evaluation), logs, names)


@dataclass(frozen=True)
class _GoldRuns:
    """The control run of one instance's gold patch (`control.References`)."""

    verdicts: VerdictCache
    key: str

    async def lookup(self, logs: Path) -> bool:
        return await anyio.to_thread.run_sync(self.verdicts.get, self.key, logs, CONTROL_FILES) is not None

    async def store(self, logs: Path) -> None:
        if undisturbed(logs):
            await anyio.to_thread.run_sync(self.verdicts.put, self.key, {}, logs, CONTROL_FILES)


def _restored(record: dict[str, Any] | None) -> Evaluation | None:
    """A stored record; one with other fields, of another version of this program, is as good as none."""
    if record is None:
        return None
    try:
        verdict, strict = Verdict(record["verdict"]), record["strict"]
        lists = {name: tuple(record[name]) for name in ("gold_files", "suspicious")}
        return Evaluation(**{**record, **lists, "verdict": verdict, "strict": Verdict(strict) if strict else None})
    except (KeyError, TypeError, ValueError):
        return None


def _lasting(evaluation: Evaluation, conditions: CacheKey, logs: Path) -> bool:
    """Whether an official verdict would come out the same again."""
    if evaluation.verdict not in _LASTING or evaluation.log_truncated or evaluation.reason not in {"", NO_COMMAND}:
        return False
    if not _same_image(evaluation, conditions):
        return False
    found = None if evaluation.resolved else grading.failure_reason(logs / TEST_OUTPUT, logs / RUN_LOG)
    if found is None or not found[1]:
        return True
    # without a network it is never reached, next time neither
    return found[0] == "network_unreachable" and conditions.limits.network == "none"


def _same_image(evaluation: Evaluation, conditions: CacheKey) -> bool:
    return evaluation.image_id == conditions.image_id
