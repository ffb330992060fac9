"""One instance through the stages, as in the paper's figure: from the issue's text to the verdict on one patch.

Each stage first looks for its records in the run folder, and does only what is missing there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio

from swerl_eval.core.selection.early_stop import PLAIN_VOTE, SelectionBasis, is_decided
from swerl_eval.core.types import (
    Candidate,
    Evidence,
    Instance,
    Localization,
    RegressionTests,
    ReproductionTest,
    Selection,
)
from swerl_eval.run_context import RunContext
from swerl_eval.settings import STAGES
from swerl_eval.stages.candidate_stream import CandidateStream
from swerl_eval.stages.localize import localize
from swerl_eval.stages.regress import files_to_run, regress
from swerl_eval.stages.repair import Issue, repair
from swerl_eval.stages.reproduce import guide_file, reproduce
from swerl_eval.stages.run_tests import TestTarget
from swerl_eval.stages.select import select

REGRESS_AFTER = 20
"""Samples whose edits decide which test files are run for regressions, so that these need not wait for all 500."""


class InstanceRun:
    """Carries one instance through the stages, up to the last one asked for."""

    def __init__(self, instance: Instance, context: RunContext) -> None:
        self._instance = instance
        self._id = instance.instance_id
        self._context = context
        self._records = context.records
        self._source = context.parts.source
        self._prompts = context.parts.prompts
        self._settings = context.settings
        self._target: TestTarget | None = None

    async def run(self) -> None:
        """Localize; sample candidates and, beside them, make and run tests; select one; evaluate it."""
        given_patches = self._context.parts.given_patches
        if given_patches is not None:
            await self._evaluate(self._given_selection(given_patches))
            return
        localization = await self._localize()
        if not self._goes_on_to("repair"):
            return
        candidates = CandidateStream(self._settings.repair.samples)
        async with anyio.create_task_group() as group:
            group.start_soon(self._repair, localization, candidates)
            if self._goes_on_to("run_tests"):
                await self._test(localization, candidates)
        if not self._goes_on_to("select"):
            return
        selection = self._select(candidates)
        if self._goes_on_to("evaluate"):
            await self._evaluate(selection)
            await self._evaluate_the_rest(candidates)

    # --- localization

    async def _localize(self) -> Localization:
        """Return the files that are likely to need the change."""
        stored = self._records.localizations.get(self._id)
        with self._stage("localize", resumed=stored is not None):
            if stored is not None:
                return stored
            localization = await self._chosen_files()
            self._records.localizations.append(localization)
            return localization

    async def _chosen_files(self) -> Localization:
        parts = self._context.parts
        if parts.files_origin != "model":
            lists = parts.given_files.get(self._id, ())
            return Localization(self._id, tuple(map(tuple, lists)), parts.files_origin)
        snapshot = await self._source.snapshot(self._instance)
        return await localize(self._instance, snapshot, self._context.sampling, self._prompts, self._settings.localize)

    # --- candidates

    async def _repair(self, localization: Localization, candidates: CandidateStream) -> None:
        """Turn every sample into a candidate patch, or the reason why there is none."""
        stored = [self._records.candidates.get((self._id, index)) for index in range(candidates.total)]
        candidates.add(*(candidate for candidate in stored if candidate is not None))
        resumed = None not in stored or self._id in self._records.selections
        with self._stage("repair", resumed=resumed):
            if not resumed:
                snapshot = await self._source.snapshot(self._instance)
                issue = Issue(self._instance, snapshot, localization)
                deliver = functools.partial(self._deliver, candidates)
                with candidates.sampling:
                    await repair(issue, self._context.sampling, self._prompts, self._settings.repair, deliver)
            candidates.end()

    def _deliver(self, candidates: CandidateStream, delivered: Sequence[Candidate]) -> None:
        """Store candidates, then pass them on to the stages that wait for them."""
        new = [candidate for candidate in delivered if (self._id, candidate.index) not in self._records.candidates]
        self._records.candidates.append(*new)
        candidates.add(*new)
        self._stop_when_decided(candidates)

    def _stop_when_decided(self, candidates: CandidateStream) -> None:
        """End the sampling when no further sample can change the choice."""
        if self._settings.stop_when_decided and candidates.basis is not None:
            evidence = {evidence.normal_form: evidence for evidence in self._evidence(candidates)}
            if is_decided(candidates.candidates, candidates.total, evidence, candidates.basis):
                candidates.sampling.cancel()

    # --- tests

    async def _test(self, localization: Localization, candidates: CandidateStream) -> None:
        """Make tests while candidates come, then run them on every unique candidate."""
        if not self._settings.testing:
            candidates.basis = PLAIN_VOTE
        guide = await self._guide(localization)
        async with anyio.create_task_group() as group:
            group.start_soon(self._reproduce, localization, guide)
            group.start_soon(self._regress, candidates, guide)
        await self._run_tests(candidates)

    async def _guide(self, localization: Localization) -> str | None:
        """Return the test file that tests of this issue would stand in."""
        if not self._wants_tests(localization):
            return None
        return await guide_file(
            await self._test_target(), self._context.test_sampling, self._prompts, self._settings.reproduce
        )

    def _wants_tests(self, localization: Localization) -> bool:
        """Return False when there is no file to repair, or the choice was made already."""
        settings = self._settings.reproduce
        return settings.wanted > 0 and any(localization.file_lists) and self._id not in self._records.selections

    async def _reproduce(self, localization: Localization, guide: str | None) -> None:
        """Make scripts that tell whether the issue is still there, and run them on the original code."""
        resumed = len(self._reproduction_tests()) == self._settings.reproduce.wanted
        with self._stage("reproduce", resumed=resumed):
            if not resumed and self._wants_tests(localization):
                tests = await reproduce(
                    await self._test_target(),
                    guide,
                    self._context.test_sampling,
                    self._prompts,
                    self._settings.reproduce,
                    self._context.test_runner,
                )
                self._records.reproductions.append(*tests)

    def _reproduction_tests(self) -> list[ReproductionTest]:
        keys = [(self._id, index) for index in range(self._settings.reproduce.wanted)]
        return [test for key in keys if (test := self._records.reproductions.get(key)) is not None]

    async def _regress(self, candidates: CandidateStream, guide: str | None) -> None:
        """Choose the repository's own tests that a fix has to keep."""
        resumed = self._id in self._records.regressions
        with self._stage("regress", resumed=resumed):
            if resumed or not self._settings.regress.enabled:
                return
            edited = [candidate for candidate in await candidates.first(REGRESS_AFTER) if candidate.rejection is None]
            if not edited:
                await candidates.all()
                edited = list(candidates.unique.values())
            if edited:
                target = await self._test_target()
                files = files_to_run(target.snapshot.paths(), edited, guide, self._settings.regress.max_files)
                tests = await regress(
                    target,
                    files,
                    self._context.test_sampling,
                    self._prompts,
                    self._settings.regress,
                    self._context.test_runner,
                )
                self._records.regressions.append(tests)

    async def _run_tests(self, candidates: CandidateStream) -> None:
        """Run the tests on every unique candidate as soon as it has come."""
        tests = self._reproduction_tests()
        regression = self._records.regressions.get(self._id) or RegressionTests(self._id, (), ())
        candidates.basis = SelectionBasis(sum(test.rank is not None for test in tests), bool(regression.files))
        self._stop_when_decided(candidates)
        with self._stage("run_tests", resumed=self._id in self._records.selections):
            if candidates.basis == PLAIN_VOTE:
                return
            async with anyio.create_task_group() as group:
                async for candidate in candidates.unique_as_they_come():
                    if (self._id, candidate.normal_form) not in self._records.evidence:
                        target = await self._test_target()
                        group.start_soon(self._test_candidate, target, candidate, tests, regression, candidates)

    async def _test_candidate(
        self,
        target: TestTarget,
        candidate: Candidate,
        tests: Sequence[ReproductionTest],
        regression: RegressionTests,
        candidates: CandidateStream,
    ) -> None:
        evidence = await self._context.test_runner.test_candidate(target, candidate, tests, regression)
        self._records.evidence.append(evidence)
        self._stop_when_decided(candidates)

    async def _test_target(self) -> TestTarget:
        """Return what the tests of this instance run on, without an answer to it."""
        if self._target is None:
            snapshot = await self._source.snapshot(self._instance)
            self._target = TestTarget(self._instance, snapshot, self._source.test_plan(self._id))
        return self._target

    # --- selection

    def _select(self, candidates: CandidateStream) -> Selection:
        """Return the one patch that counts."""
        stored = self._records.selections.get(self._id)
        with self._stage("select", resumed=stored is not None):
            if stored is not None:
                return stored
            evidence = [] if candidates.basis == PLAIN_VOTE else self._evidence(candidates)
            selection = select(self._id, candidates.candidates, evidence)
            self._records.selections.append(selection)
            return selection

    def _evidence(self, candidates: CandidateStream) -> list[Evidence]:
        stored = [self._records.evidence.get((self._id, normal_form)) for normal_form in candidates.unique]
        return [evidence for evidence in stored if evidence is not None]

    def _given_selection(self, patches: Mapping[str, str]) -> Selection:
        """Return the patch that was handed in, in place of a selected one."""
        stored = self._records.selections.get(self._id)
        if stored is not None:
            return stored
        patch = patches[self._id]
        selection = Selection(self._id, None, patch, "handed in" if patch else "handed in empty")
        self._records.selections.append(selection)
        return selection

    # --- evaluation

    async def _evaluate(self, selection: Selection) -> None:
        """Give the selected patch its verdict."""
        evaluation = self._context.evaluation.settled(self._id)
        with self._stage("evaluate", resumed=evaluation is not None):
            if evaluation is None:
                unusable = self._context.parts.unusable_patches.get(self._id, "")
                evaluation = await self._context.evaluation.evaluate_selected(self._instance, selection, unusable)
            self._context.progress.verdicts[evaluation.verdict.value] += 1

    async def _evaluate_the_rest(self, candidates: CandidateStream) -> None:
        """Give every unique candidate its verdict, where that is asked for, and every answer its reward."""
        if self._settings.evaluate_all:
            await self._context.evaluation.evaluate_candidates(self._instance, candidates.unique.values())
        await self._context.evaluation.score_samples(self._instance, candidates.total)

    @contextmanager
    def _stage(self, name: str, *, resumed: bool) -> Iterator[None]:
        """Note the start and the end of a stage. A stage whose records were there already is counted as resumed."""
        if not resumed:
            self._records.event(self._id, name, "start")
        yield
        if not resumed:
            self._records.event(self._id, name, "end")
        self._context.progress.finish(name, resumed=resumed)

    def _goes_on_to(self, stage: str) -> bool:
        return STAGES.index(self._context.until) >= STAGES.index(stage)
