"""The method, as the paper's figure: localize, repair, reproduce, regress, examine, select, evaluate.

Each step first looks into the run folder and does only what is not there. Instances run concurrently; limiters bound
the requests and the containers in flight, so the model works on one instance while tests run for another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import GradingError, SandboxError, SourceError, cause_of
from swerl_eval.core.jobs.test_job import TestLimits
from swerl_eval.core.selection.early_stop import SelectionBasis, is_decided
from swerl_eval.core.types import (
    Candidate,
    Evaluation,
    Evidence,
    Instance,
    Localization,
    RegressionTests,
    ReproductionTest,
    Selection,
)
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluateSettings, EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator, failed_patch
from swerl_eval.evaluation.rewards import score
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.ports import Sampler, Sandbox, Source
from swerl_eval.progress import Progress
from swerl_eval.prompts import Prompts
from swerl_eval.records.run_folder import Run
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.scheduling.workers import Workers
from swerl_eval.stages.candidate_stream import CandidateStream
from swerl_eval.stages.localize import LocalizeSettings, localize
from swerl_eval.stages.regress import RegressSettings, files_to_run, regress
from swerl_eval.stages.repair import Issue, RepairSettings, repair
from swerl_eval.stages.reproduce import ReproduceSettings, guide_file, reproduce
from swerl_eval.stages.run_tests import TestRunner, TestTarget
from swerl_eval.stages.sampling import SamplingContext
from swerl_eval.stages.select import select

STAGES = ("localize", "repair", "reproduce", "regress", "run_tests", "select", "evaluate")
REGRESS_AFTER = 20
"""Samples whose edits say which test files are run for regressions; so they need not wait for the last of 500."""
TESTING = frozenset({"reproduce", "regress", "run_tests"})
"""Stages that do nothing in a plain vote."""


@dataclass(frozen=True)
class Settings:
    """What the stages go by."""

    localize: LocalizeSettings
    repair: RepairSettings
    reproduce: ReproduceSettings
    regress: RegressSettings
    test_limits: TestLimits
    evaluate: EvaluateSettings
    evaluate_all: bool
    """Also a verdict on every unique candidate."""
    stop_when_decided: bool
    """Draw no more samples for an instance where they cannot change the choice."""
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    requests: int
    """In flight at the sampler."""

    @property
    def testing(self) -> bool:
        """Whether candidates are chosen by tests at all."""
        return self.reproduce.keep > 0 or self.regress.enabled


@dataclass
class Parts:
    """The concrete things behind the seams. A part that the asked stages do not use may be absent."""

    source: Source
    prompts: Prompts
    sampler: Sampler | None = None
    sandbox: Sandbox | None = None
    test_sampler: Sampler | None = None
    """The model that writes tests, where it is another."""
    given_files: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """File lists that stand in for localization, by instance id."""
    files_origin: str = "model"
    """`model`, `oracle`, or where the given lists came from."""
    verdicts: VerdictCache | None = None
    """Verdicts that this machine knows already; None: every patch is run."""
    given_patches: Mapping[str, str] | None = None
    """Patches to evaluate as they are, by instance id; no stage before `evaluate` runs then."""
    unusable_patches: Mapping[str, str] = field(default_factory=dict)
    """Those of the given ones that no file can hold, and why: they fail without being run."""


class Pipeline:
    """One run of the method over the instances of a source."""

    def __init__(
        self, run: Run, parts: Parts, settings: Settings, progress: Progress, workers: Workers, until: str = "evaluate"
    ) -> None:
        self._run = run
        self._parts = parts
        self._settings = settings
        self._progress = progress
        self._stages = STAGES[: STAGES.index(until) + 1]
        self._turns = RequestQueue(settings.requests)
        self._workers = workers
        self._containers = workers.limiter
        self._reading = anyio.CapacityLimiter(1)  # of the outputs of tests, for all instances
        self.failures: dict[str, str] = {}
        """Instances that could not be worked on, and why; a resume tries them again."""

    async def run(self, instances: Sequence[Instance]) -> None:
        """Carry every instance to the last stage. Verdicts land in the run folder as they come."""
        self._progress.total = len(instances)
        # Enough instances at once to keep both the sampler and the containers busy; more would only hold memory.
        asking = math.ceil(self._settings.requests / min(self._settings.repair.samples, 16))
        in_flight = anyio.CapacityLimiter(asking + 2 * self._workers.most)
        async with anyio.create_task_group() as group:
            for instance in instances:
                self._turns.register(instance.instance_id)  # in this order, whichever asks first
                await in_flight.acquire_on_behalf_of(instance.instance_id)
                group.start_soon(self._solve_one, instance, in_flight)

    async def _solve_one(self, instance: Instance, in_flight: anyio.CapacityLimiter) -> None:
        try:
            await self.solve(instance)
        except Exception as error:
            cause = cause_of(error)
            if not isinstance(cause, SourceError | SandboxError | GradingError):
                raise
            self.failures[instance.instance_id] = str(cause)
        finally:
            in_flight.release_on_behalf_of(instance.instance_id)

    async def solve(self, instance: Instance) -> None:
        """One issue, from its text to its verdict."""
        if self._parts.given_patches is not None:
            await self.evaluated(instance, self.given(instance, self._parts.given_patches))
            return
        localization = await self.localized(instance)
        if "repair" in self._stages:
            found = CandidateStream(self._settings.repair.samples)
            if "select" in self._stages and not self._settings.testing:
                found.judged_by = (0, False)
            async with anyio.create_task_group() as group:
                group.start_soon(self.repaired, instance, localization, found)
                if "run_tests" in self._stages:
                    guide = await self.guided(instance, localization)
                    async with anyio.create_task_group() as tests:
                        tests.start_soon(self.reproduced, instance, localization, guide)
                        tests.start_soon(self.regressed, instance, found, guide)
                    evidence = await self.examined(instance, found)
        if "select" in self._stages:
            selection = self.selected(instance, found.candidates, evidence)
        if "evaluate" in self._stages:
            await self.evaluated(instance, selection)
            await self.evaluated_all(instance, found)
            await self.scored(instance)

    async def localized(self, instance: Instance) -> Localization:
        """The files that are likely to need the change."""
        stored = self._run.localizations.get(instance.instance_id)
        if stored is None:
            self._run.event(instance.instance_id, "localize", "start")
            if self._parts.files_origin == "model":
                snapshot = await self._parts.source.snapshot(instance)
                found = await localize(
                    instance, snapshot, self._drawing(), self._parts.prompts, self._settings.localize
                )
            else:
                lists = self._parts.given_files.get(instance.instance_id, ())
                found = Localization(instance.instance_id, tuple(map(tuple, lists)), self._parts.files_origin)
            self._run.localizations.append(found)
        self._finish(instance, "localize", resumed=stored is not None)
        return stored or found

    async def repaired(self, instance: Instance, localization: Localization, found: CandidateStream) -> None:
        """A candidate patch, or the reason why there is none, for each sample; those that have come are in `found`."""
        keys = [(instance.instance_id, index) for index in range(found.total)]
        found.add(*(candidate for key in keys if (candidate := self._run.candidates.get(key)) is not None))
        resumed = len(found.candidates) == found.total or instance.instance_id in self._run.selections
        if not resumed:
            self._run.event(instance.instance_id, "repair", "start")
            snapshot = await self._parts.source.snapshot(instance)
            issue = Issue(instance, snapshot, localization)

            def deliver(candidates: list[Candidate]) -> None:
                new = [each for each in candidates if (each.instance_id, each.index) not in self._run.candidates]
                self._run.candidates.append(*new)
                found.add(*new)
                self._stop_when_decided(instance, found)

            with found.drawing:
                await repair(issue, self._drawing(), self._parts.prompts, self._settings.repair, deliver)
        found.end()
        self._finish(instance, "repair", resumed=resumed)

    def _stop_when_decided(self, instance: Instance, found: CandidateStream) -> None:
        """End the drawing where no further sample can change the choice."""
        if self._settings.stop_when_decided and found.judged_by is not None:
            evidence = {each.normal_form: each for each in self._evidence(instance, found)}
            if is_decided(found.candidates, found.total, evidence, SelectionBasis(*found.judged_by)):
                found.drawing.cancel()

    async def guided(self, instance: Instance, localization: Localization) -> str | None:
        """The test file that tests of this issue would stand in; asked for at once, so that tests can be written."""
        if not self._tests_are_wanted(instance, localization):
            return None
        subject, drawing = await self._subject(instance), self._drawing(for_tests=True)
        return await guide_file(subject, drawing, self._parts.prompts, self._settings.reproduce)

    async def reproduced(self, instance: Instance, localization: Localization, guide: str | None) -> None:
        """Scripts that tell whether the issue is still there, with what they do on the original code."""
        resumed = len(self._reproduction_tests(instance)) == self._settings.reproduce.wanted
        if not resumed and self._tests_are_wanted(instance, localization):
            self._run.event(instance.instance_id, "reproduce", "start")
            subject = await self._subject(instance)
            drawing, prompts = self._drawing(for_tests=True), self._parts.prompts
            tests = await reproduce(subject, guide, drawing, prompts, self._settings.reproduce, self._examiner())
            self._run.reproductions.append(*tests)
        self._finish(instance, "reproduce", resumed=resumed)

    def _tests_are_wanted(self, instance: Instance, localization: Localization) -> bool:
        """Not where there is no file to repair, nor where the choice was made without them."""
        chosen = instance.instance_id in self._run.selections
        return self._settings.reproduce.wanted > 0 and any(localization.file_lists) and not chosen

    def _reproduction_tests(self, instance: Instance) -> list[ReproductionTest]:
        keys = [(instance.instance_id, index) for index in range(self._settings.reproduce.wanted)]
        return [test for key in keys if (test := self._run.reproductions.get(key)) is not None]

    async def regressed(self, instance: Instance, found: CandidateStream, guide: str | None) -> None:
        """The repository's own tests that a fix has to keep."""
        resumed = instance.instance_id in self._run.regressions
        candidates: list[Candidate] = []
        if not resumed and self._settings.regress.enabled:
            candidates = [each for each in await found.first(REGRESS_AFTER) if each.rejection is None]
            if not candidates:
                await found.until(lambda: False)
                candidates = list(found.unique.values())
        if candidates:
            self._run.event(instance.instance_id, "regress", "start")
            subject = await self._subject(instance)
            drawing, prompts = self._drawing(for_tests=True), self._parts.prompts
            files = files_to_run(subject.snapshot.paths(), candidates, guide, self._settings.regress.max_files)
            tests = await regress(subject, files, drawing, prompts, self._settings.regress, self._examiner())
            self._run.regressions.append(tests)
        self._finish(instance, "regress", resumed=resumed)

    async def examined(self, instance: Instance, found: CandidateStream) -> list[Evidence]:
        """What the tests say of every unique candidate, as soon as it has come."""
        tests = self._reproduction_tests(instance)
        regression = self._run.regressions.get(instance.instance_id) or RegressionTests(instance.instance_id, (), ())
        ranked = sum(test.rank is not None for test in tests)
        found.judged_by = (ranked, bool(regression.files))
        self._stop_when_decided(instance, found)
        begun = False

        async def examine_one(candidate: Candidate, subject: TestTarget) -> None:
            self._run.evidence.append(await self._examiner().run_tests(subject, candidate, tests, regression))
            self._stop_when_decided(instance, found)

        async with anyio.create_task_group() as group:
            async for candidate in found.each_unique():
                known = (instance.instance_id, candidate.normal_form) in self._run.evidence
                if any(found.judged_by) and not known:
                    if not begun:
                        self._run.event(instance.instance_id, "run_tests", "start")
                        subject = await self._subject(instance)
                    begun = True
                    group.start_soon(examine_one, candidate, subject)
        self._finish(instance, "run_tests", resumed=not begun)
        return self._evidence(instance, found) if any(found.judged_by) else []

    def _evidence(self, instance: Instance, found: CandidateStream) -> list[Evidence]:
        stored = [self._run.evidence.get((instance.instance_id, form)) for form in found.unique]
        return [evidence for evidence in stored if evidence is not None]

    def selected(self, instance: Instance, candidates: list[Candidate], evidence: list[Evidence]) -> Selection:
        """The one patch that counts."""
        stored = self._run.selections.get(instance.instance_id)
        selection = stored or select(instance.instance_id, candidates, evidence)
        if stored is None:
            self._run.selections.append(selection)
        self._finish(instance, "select", resumed=stored is not None)
        return selection

    def given(self, instance: Instance, patches: Mapping[str, str]) -> Selection:
        """The patch that was handed in."""
        stored = self._run.selections.get(instance.instance_id)
        if stored is not None:
            return stored
        patch = patches[instance.instance_id]
        selection = Selection(instance.instance_id, None, patch, "handed in" if patch else "handed in empty")
        self._run.selections.append(selection)
        return selection

    async def evaluated(self, instance: Instance, selection: Selection) -> Evaluation:
        """The official verdict, and the strict one. What the machine's failure prevented is tried again on a resume."""
        stored = self._run.evaluation_of(instance.instance_id) or self._unusable(instance, selection)
        strict = self._settings.evaluate.strict
        if stored is not None and stored.settled(strict=strict):
            self._progress.verdicts[stored.verdict.value] += 1
            self._finish(instance, "evaluate", resumed=True)
            return stored
        self._run.event(instance.instance_id, "evaluate", "start")
        evaluation = await self._verdict(instance, selection.patch, self._run.logs(instance.instance_id), strict=strict)
        self._progress.verdicts[evaluation.verdict.value] += 1
        self._finish(instance, "evaluate", resumed=False)
        return evaluation

    def _unusable(self, instance: Instance, selection: Selection) -> Evaluation | None:
        """The verdict on a given patch that no file can hold, which `swebench eval` counts as an error."""
        reason = self._parts.unusable_patches.get(instance.instance_id)
        if reason is None:
            return None
        oracle = self._parts.source.oracle(instance.instance_id)
        evaluation = failed_patch(oracle, selection.patch, reason, strict=self._settings.evaluate.strict)
        self._run.evaluations.append(evaluation)
        return evaluation

    async def evaluated_all(self, instance: Instance, found: CandidateStream) -> None:
        """A verdict on every unique candidate, for pass@k and the scaling table."""
        if not self._settings.evaluate_all:
            return
        async with anyio.create_task_group() as group:
            for candidate in found.unique.values():
                digest = sha256(candidate.patch)
                stored = self._run.evaluations.get((instance.instance_id, digest))
                if stored is None or not stored.settled(strict=False):
                    logs = self._run.candidate_logs(instance.instance_id, digest)
                    group.start_soon(self._verdict, instance, candidate.patch, logs)

    async def _verdict(self, instance: Instance, patch: str, logs: Path, *, strict: bool = False) -> Evaluation:
        trial = EvaluationRun(instance, self._parts.source.oracle(instance.instance_id), patch, logs)
        evaluator = CachedEvaluator(
            Evaluator(self._sandbox, replace(self._settings.evaluate, strict=strict)), self._parts.verdicts
        )
        evaluation = await evaluator.lookup(trial)
        if evaluation is not None:
            self._run.event(instance.instance_id, "evaluate", f"from the cache: {evaluation.patch_sha256[:12]}")
            self._progress.cache_hits += 1
        else:
            evaluation = await self._evaluate_in_container(evaluator, trial)
        self._run.evaluations.append(evaluation)
        return evaluation

    async def _evaluate_in_container(self, evaluator: CachedEvaluator, trial: EvaluationRun) -> Evaluation:
        async with self._containers:
            begun = time.monotonic()
            try:
                return await evaluator.evaluate(trial)
            finally:
                self._run.event(trial.instance.instance_id, "evaluate", "worker free", seconds=time.monotonic() - begun)

    async def scored(self, instance: Instance) -> None:
        """The reward of every answer, beside its verdict."""
        keys = [(instance.instance_id, "repair", index) for index in range(self._settings.repair.samples)]
        missing = [key for key in keys if key in self._run.samples and (key[0], key[2]) not in self._run.rewards]
        if missing:
            stored = [self._run.samples.get(key) for key in missing]
            samples = [sample for sample in stored if sample is not None and not sample.completion.error]
            oracle = self._parts.source.oracle(instance.instance_id)
            snapshot = await self._parts.source.snapshot(instance)
            self._run.rewards.append(*await anyio.to_thread.run_sync(score, oracle, snapshot, samples))

    def _finish(self, instance: Instance, stage: str, *, resumed: bool) -> None:
        if not resumed:
            self._run.event(instance.instance_id, stage, "end")
        self._progress.finish(stage, resumed=resumed)

    @property
    def _sandbox(self) -> Sandbox:
        if self._parts.sandbox is None:
            message = "a pipeline that runs tests needs a sandbox"
            raise RuntimeError(message)
        return self._parts.sandbox

    async def _subject(self, instance: Instance) -> TestTarget:
        source = self._parts.source
        snapshot = await source.snapshot(instance)
        return TestTarget(instance, snapshot, source.test_plan(instance.instance_id))

    def _examiner(self) -> TestRunner:
        return TestRunner(
            self._sandbox,
            self._containers,
            self._settings.evaluate.limits,
            self._settings.test_limits,
            self._run.folder / "logs",
            reading=self._reading,
        )

    def _drawing(self, *, for_tests: bool = False) -> SamplingContext:
        sampler = self._parts.test_sampler if for_tests else None
        sampler = sampler or self._parts.sampler
        if sampler is None:
            message = "a pipeline that samples needs a sampler"
            raise RuntimeError(message)
        settings = self._settings
        return SamplingContext(
            sampler=sampler,
            journal=self._run.samples,
            turns=self._turns,
            progress=self._progress,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )
