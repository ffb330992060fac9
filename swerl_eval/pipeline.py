"""The method, as the paper's figure: localize, repair, select, evaluate.

Each step first looks into the run folder and does only what is not there. Instances run concurrently; limiters bound
the requests and the containers in flight, so the model works on one instance while tests run for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from swerl_eval.core.errors import SourceError
from swerl_eval.core.types import Candidate, Evaluation, Instance, Localization, Selection, Verdict
from swerl_eval.ports import Sampler, Sandbox, Source
from swerl_eval.progress import Progress
from swerl_eval.prompts import Prompts
from swerl_eval.stages.draw import Drawing
from swerl_eval.stages.evaluate import EvaluateSettings, evaluate
from swerl_eval.stages.localize import LocalizeSettings, localize
from swerl_eval.stages.repair import RepairSettings, repair
from swerl_eval.stages.score import score
from swerl_eval.stages.select import select
from swerl_eval.store import Run

STAGES = ("localize", "repair", "select", "evaluate")


@dataclass(frozen=True)
class Settings:
    """What the stages go by."""

    localize: LocalizeSettings
    repair: RepairSettings
    evaluate: EvaluateSettings
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    requests: int
    """In flight at the sampler."""
    workers: int
    """Containers in flight."""


@dataclass
class Parts:
    """The concrete things behind the seams. A part that the asked stages do not use may be absent."""

    source: Source
    prompts: Prompts
    sampler: Sampler | None = None
    sandbox: Sandbox | None = None
    given_files: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """File lists that stand in for localization, by instance id."""
    files_origin: str = "model"
    """`model`, `oracle`, or where the given lists came from."""
    given_patches: Mapping[str, str] | None = None
    """Patches to evaluate as they are, by instance id; no stage before `evaluate` runs then."""


class Pipeline:
    """One run of the method over the instances of a source."""

    def __init__(self, run: Run, parts: Parts, settings: Settings, progress: Progress, until: str = "evaluate") -> None:
        self._run = run
        self._parts = parts
        self._settings = settings
        self._progress = progress
        self._stages = STAGES[: STAGES.index(until) + 1]
        self._requests = anyio.CapacityLimiter(settings.requests)
        self._containers = anyio.CapacityLimiter(settings.workers)
        self.failures: dict[str, str] = {}
        """Instances that could not be worked on, and why; a resume tries them again."""

    async def run(self, instances: Sequence[Instance]) -> None:
        """Carry every instance to the last stage. Verdicts land in the run folder as they come."""
        self._progress.total = len(instances)
        # Enough instances at once to keep both the sampler and the containers busy; more would only hold memory.
        asking = math.ceil(self._settings.requests / min(self._settings.repair.samples, 16))
        in_flight = anyio.CapacityLimiter(asking + 2 * self._settings.workers)
        async with anyio.create_task_group() as group:
            for instance in instances:
                await in_flight.acquire_on_behalf_of(instance.instance_id)
                group.start_soon(self._solve_one, instance, in_flight)

    async def _solve_one(self, instance: Instance, in_flight: anyio.CapacityLimiter) -> None:
        try:
            await self.solve(instance)
        except SourceError as error:
            self.failures[instance.instance_id] = str(error)
        finally:
            in_flight.release_on_behalf_of(instance.instance_id)

    async def solve(self, instance: Instance) -> None:
        """One issue, from its text to its verdict."""
        if self._parts.given_patches is not None:
            await self.evaluated(instance, self.given(instance, self._parts.given_patches))
            return
        localization = await self.localized(instance)
        if "repair" in self._stages:
            candidates = await self.repaired(instance, localization)
        if "select" in self._stages:
            selection = self.selected(instance, candidates)
        if "evaluate" in self._stages:
            await self.evaluated(instance, selection)
            await self.scored(instance)

    async def localized(self, instance: Instance) -> Localization:
        """The files that are likely to need the change."""
        stored = self._run.localizations.get(instance.instance_id)
        if stored is None:
            self._run.event(instance.instance_id, "localize", "start")
            if self._parts.files_origin == "model":
                snapshot = await anyio.to_thread.run_sync(self._parts.source.snapshot, instance)
                found = await localize(
                    instance, snapshot, self._drawing(), self._parts.prompts, self._settings.localize
                )
            else:
                lists = self._parts.given_files.get(instance.instance_id, ())
                found = Localization(instance.instance_id, tuple(map(tuple, lists)), self._parts.files_origin)
            self._run.localizations.append(found)
        self._finish(instance, "localize", resumed=stored is not None)
        return stored or found

    async def repaired(self, instance: Instance, localization: Localization) -> list[Candidate]:
        """A candidate patch, or the reason why there is none, for each sample."""
        keys = [(instance.instance_id, index) for index in range(self._settings.repair.samples)]
        stored = [self._run.candidates.get(key) for key in keys]
        candidates = [candidate for candidate in stored if candidate is not None]
        resumed = len(candidates) == len(keys) or instance.instance_id in self._run.selections
        if not resumed:
            self._run.event(instance.instance_id, "repair", "start")
            snapshot = await anyio.to_thread.run_sync(self._parts.source.snapshot, instance)
            candidates = await repair(
                instance, snapshot, localization, self._drawing(), self._parts.prompts, self._settings.repair
            )
            self._run.candidates.append(*candidates)
        self._finish(instance, "repair", resumed=resumed)
        return candidates

    def selected(self, instance: Instance, candidates: list[Candidate]) -> Selection:
        """The one patch that counts."""
        stored = self._run.selections.get(instance.instance_id)
        selection = stored or select(instance.instance_id, candidates)
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
        """The official verdict. One that the machine's failure prevented is asked for again on a resume."""
        stored = self._run.evaluation_of(instance.instance_id)
        if stored is not None and stored.verdict is not Verdict.INFRA_ERROR:
            self._progress.verdicts[stored.verdict.value] += 1
            self._finish(instance, "evaluate", resumed=True)
            return stored
        if self._parts.sandbox is None:
            message = "a pipeline that evaluates needs a sandbox"
            raise RuntimeError(message)
        oracle = self._parts.source.oracle(instance.instance_id)
        async with self._containers:
            self._run.event(instance.instance_id, "evaluate", "start")
            self._progress.containers += 1
            try:
                evaluation = await evaluate(
                    instance,
                    oracle,
                    selection.patch,
                    self._parts.sandbox,
                    self._settings.evaluate,
                    self._run.logs(instance.instance_id),
                )
            finally:
                self._progress.containers -= 1
        self._run.evaluations.append(evaluation)
        self._progress.verdicts[evaluation.verdict.value] += 1
        self._finish(instance, "evaluate", resumed=False)
        return evaluation

    async def scored(self, instance: Instance) -> None:
        """The reward of every sample, beside its verdict."""
        keys = [(instance.instance_id, "repair", index) for index in range(self._settings.repair.samples)]
        missing = [key for key in keys if key in self._run.samples and (key[0], key[2]) not in self._run.rewards]
        if missing:
            samples = [sample for key in missing if (sample := self._run.samples.get(key)) is not None]
            oracle = self._parts.source.oracle(instance.instance_id)
            snapshot = await anyio.to_thread.run_sync(self._parts.source.snapshot, instance)
            self._run.rewards.append(*await anyio.to_thread.run_sync(score, oracle, snapshot, samples))

    def _finish(self, instance: Instance, stage: str, *, resumed: bool) -> None:
        if not resumed:
            self._run.event(instance.instance_id, stage, "end")
        self._progress.finish(stage, resumed=resumed)

    def _drawing(self) -> Drawing:
        if self._parts.sampler is None:
            message = "a pipeline that samples needs a sampler"
            raise RuntimeError(message)
        settings = self._settings
        return Drawing(
            sampler=self._parts.sampler,
            journal=self._run.samples,
            in_flight=self._requests,
            progress=self._progress,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )
