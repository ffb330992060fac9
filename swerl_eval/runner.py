"""A command's work: the one way to carry out a run."""

from __future__ import annotations

import asyncio
import datetime
import functools
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from swerl_eval.compose import (
    check_disk,
    given_files,
    gpus_of,
    open_quarantine,
    open_sampler,
    open_sandbox,
    open_source,
    package_versions,
    settings,
)
from swerl_eval.config import BOUND_BY, RunConfig
from swerl_eval.core.errors import DISK_FULL_ERRNOS, InterruptedRunError, StorageError, UsageError, cause_of
from swerl_eval.core.names import report_name_fault
from swerl_eval.core.types import MADE, Evaluation, Instance, ModelUsage
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.pipeline import STAGES, Parts, Pipeline
from swerl_eval.ports import Sampler, Sandbox
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.refused_answers import take_back_refused
from swerl_eval.records.run_folder import Run, RunManifest, open_run
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.scheduling.durations import Durations, by_repository
from swerl_eval.scheduling.workers import Workers
from swerl_eval.shutdown import Say, at_once, signals
from swerl_eval.sources.user_files import Predictions

Result = TypeVar("Result")
CLOSE_SECONDS = 180.0
"""For one part to close. Each has bounds of its own, which add up to less."""


@dataclass(frozen=True)
class RunResult:
    """What came of carrying out a run."""

    folder: Path
    failures: dict[str, str]
    """Instances that could not be worked on, and why."""
    infra_errors: dict[str, str]
    """Instances whose verdict the machine prevented, and why."""

    @property
    def complete(self) -> bool:
        """Whether every instance was carried to its end."""
        return not self.failures and not self.infra_errors


class Runner:
    """One command's work: a source, and a run folder to carry it out in."""

    def __init__(self, config: RunConfig, until: str = STAGES[-1], predictions: Predictions | None = None) -> None:
        self.config = config
        self.until = until
        self._predictions = predictions
        self._quarantine = open_quarantine(config)
        self.progress = Progress()
        self.source = open_source(config, self.progress)
        self.prompts = load_prompts(config.prompts)
        self._began = time.time()
        # opened here so that a wrong name or a missing file is said before a run folder is made
        self._sampler = None if predictions is not None else open_sampler(config, self.source, self.progress.say)
        self._test_sampler = None
        if self._sampler is not None and config.test_model:
            other = config.model_copy(update={"model": config.test_model})
            self._test_sampler = open_sampler(other, self.source, self.progress.say, first_server=config.servers)
        self._chosen = self.source.instances()
        self.instances = [i for i in self._chosen if predictions is None or i.instance_id in predictions.patches]
        """The instances to work on: the chosen ones, but for those without a prediction where these were handed in."""
        self.progress.total = len(self.instances)
        fault = report_name_fault(predictions.model_name if predictions else config.model_name, config.run_folder.name)
        if fault:
            raise UsageError(fault)

    def execute(self, run: Run) -> RunResult:
        """Do what the run folder does not have yet, then write the derived files.

        SIGINT and SIGTERM end it in good order: containers removed, everything stored, then `InterruptedRunError`; a
        second one ends this process at once. Every part is closed whatever becomes of the others.
        A run folder whose disk is full ends it the same way, as `StorageError`.
        """
        with writing(run.folder):
            return anyio.run(functools.partial(interruptible, self._carry_out, run, say=self.progress.say))

    def open_run(self) -> Run:
        """The run folder, locked for this process. Raises what `store.open_run` raises."""
        return open_run(self.config.run_folder, self._manifest(), BOUND_BY)

    def pending(self, run: Run) -> list[Instance]:
        """The instances that the last stage has not finished."""
        return [instance for instance in self.instances if not self._finished(run, instance.instance_id)]

    def _finished(self, run: Run, instance_id: str) -> bool:
        if self.until == "evaluate":
            if self.config.evaluate == "all":
                return False  # the pipeline knows which candidates are left
            evaluation = run.evaluation_of(instance_id)
            return evaluation is not None and evaluation.settled(strict=self.config.strict == "on")
        if self.until == "localize":
            return instance_id in run.localizations
        if self.until == "select":
            return instance_id in run.selections
        return all((instance_id, index) in run.candidates for index in range(self.config.samples))

    async def _carry_out(self, run: Run) -> RunResult:
        parts = self._parts()
        if again := take_back_refused(run):
            self.progress.say(f"{again} prompts that were refused are asked again")
        workers = Workers(self.config.workers, run.folder / "workers")
        pipeline = Pipeline(run, parts, settings(self.config), self.progress, workers, self.until)
        durations = Durations(self.config.cache_folder() / "durations.json")
        tests = {i.instance_id: self.source.count_tests(i.instance_id) for i in self.instances}
        order = durations.longest_first(self.instances, tests)
        if self.config.disk != "none":  # images make room for each other
            order = by_repository(order)
        already = {evaluation.instance_id for evaluation in self._evaluations(run)}
        self.progress.listener = lambda text: run.event("", "sample", text)
        async with AsyncExitStack() as ending:
            ending.enter_context(at_once(functools.partial(_abort, parts)))
            # the last one is done first
            ending.push_async_exit(self._last(lambda: self._write_derived(run, pipeline)))
            ending.push_async_exit(self._last(lambda: _close(parts.sandbox)))
            ending.push_async_exit(self._last(lambda: _close(parts.test_sampler)))
            ending.push_async_exit(self._last(lambda: _close(parts.sampler)))
            ending.push_async_exit(self._last(lambda: self._record_usage(run, parts)))
            if self.pending(run):
                await self._open(parts, run, order)
            async with anyio.create_task_group() as group:
                if parts.sandbox is not None:
                    workers.size_to_machine(parts.sandbox.machine())
                    group.start_soon(workers.autoscale, parts.sandbox.pressure)
                await pipeline.run(order)
                group.cancel_scope.cancel()
        found = list(self._evaluations(run))
        durations.record({each.instance_id: each.seconds for each in found if each.instance_id not in already})
        infra = {each.instance_id: each.prevented for each in found if each.prevented}
        return RunResult(run.folder, pipeline.failures, infra)

    def _last(self, step: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """A step that is done however the work before it ended, and the steps before it; the first error counts."""

        async def done(kind: object, error: BaseException | None, trace: object) -> None:
            del kind, trace
            try:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True) as bound:
                    await step()
            except Exception as failure:
                if error is None:
                    raise
                self.progress.say(f"at the end: {failure}")
            if bound.cancelled_caught:
                self.progress.say(f"at the end: not done within {CLOSE_SECONDS:.0f} s, and given up")

        return done

    async def _write_derived(self, run: Run, pipeline: Pipeline) -> None:
        write_reports(run, pipeline.failures, self._quarantine)

    async def _record_usage(self, run: Run, parts: Parts) -> None:
        """What this process drew, also when it ends early."""
        progress = self.progress
        if not progress.samples or run.manifest.recorded:
            return
        counted: list[dict[str, int]] = [
            getattr(sampler, "stats", dict)() for sampler in (parts.sampler, parts.test_sampler) if sampler
        ]
        known = [each["prompt_tokens_computed"] for each in counted if "prompt_tokens_computed" in each]
        run.usage.append(
            ModelUsage(
                began=self._began,
                seconds=round(progress.sampling_seconds, 3),
                samples=progress.samples,
                prompt_tokens=progress.prompt_tokens,
                prompt_tokens_computed=sum(known) if counted and len(known) == len(counted) else None,
                completion_tokens=progress.tokens,
                gpus=gpus_of(self.config),
            )
        )

    def _evaluations(self, run: Run) -> Iterator[Evaluation]:
        for instance in self.instances:
            evaluation = run.evaluation_of(instance.instance_id)
            if evaluation is not None:
                yield evaluation

    def _parts(self) -> Parts:
        lists, origin = given_files(self.config, self.source, self.instances)
        patches = None
        if self._predictions is not None:
            patches = {i.instance_id: self._predictions.patches[i.instance_id] for i in self.instances}
        return Parts(
            self.source,
            self.prompts,
            self._sampler,
            test_sampler=self._test_sampler,
            given_files=lists,
            files_origin=origin,
            given_patches=patches,
            unusable_patches=self._predictions.unusable if self._predictions is not None else {},
        )

    async def _open(self, parts: Parts, run: Run, order: Sequence[Instance]) -> None:
        """Open what the pending work needs; cheap checks first, so that nothing is paid for in vain."""
        check_disk([self.config.run_folder])
        if self.until == "evaluate" or (self.until == "select" and settings(self.config).testing):
            # given up when cancelled: an engine that does not answer has two minutes for each call
            parts.sandbox = await anyio.to_thread.run_sync(
                open_sandbox, self.config, run.folder, self.progress, abandon_on_cancel=True
            )
            pending = {instance.instance_id for instance in self.pending(run)}
            images = list(dict.fromkeys(each.image for each in order if each.instance_id in pending))
            missing = await parts.sandbox.check(images)
            if missing:
                self.progress.say(missing_line(missing, len(images)))
            parts.sandbox.prefetch(images)
            if parts.sandbox.machine() not in run.machines:
                run.machines.append(parts.sandbox.machine())
            if self.config.reuse:
                parts.verdicts = await anyio.to_thread.run_sync(
                    VerdictCache, self.config.verdicts_folder(), abandon_on_cancel=True
                )

    def _manifest(self) -> RunManifest:
        given = self._predictions
        identity = self.config.identity()
        if given is not None:
            identity["predictions"] = given.digest  # the patches themselves are the input here
        return RunManifest(
            run_id=self.config.run_folder.name,
            config=self.config.model_dump(mode="json"),
            identity=identity,
            instances={
                i.instance_id: {"repo": i.repo, "created_at": i.created_at, "difficulty": i.difficulty}
                for i in self._chosen
            },
            dataset_fingerprint=self.source.fingerprint,
            prompts=self.prompts.fingerprints(),
            versions=package_versions(),
            model_name=given.model_name if given else self.config.model_name,
            recorded=self._sampler is not None and self._sampler.recorded,
            created_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            patches=MADE if given is None else given.origin,
            submitted=None if given is None else tuple(i.instance_id for i in self.instances),
        )


def missing_line(missing: Mapping[str, str], images: int) -> str:
    """What is said, before a run begins, of images that nobody can give."""
    names = list(missing)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"{len(names)} of {images} images are neither here nor in their registry, their instances will be infra_error: "
        f"{', '.join(names[:5])}{more} ({missing[names[0]]})"
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what a disk that has become full means for a folder, and the remedy, as `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        message = (
            f"{folder} cannot be written: {error.strerror}; free some of its disk, then the same command goes on "
            "(nothing that was stored is lost)"
        )
        raise StorageError(message) from error


async def _close(part: Sampler | Sandbox | None) -> None:
    """Close a part, where there is one."""
    if part is not None:
        await part.aclose()


def _abort(parts: Parts) -> None:
    """Have every part that knows how end what it runs, without waiting."""
    for part in (parts.sampler, parts.test_sampler, parts.sandbox):
        getattr(part, "abort", lambda: None)()


async def interruptible(work: Callable[..., Awaitable[Result]], *arguments: Any, say: Say | None = None) -> Result:
    """Await `work(*arguments)`; a SIGINT or SIGTERM cancels it, and `InterruptedRunError` says so once it has ended.

    A second signal ends the process at once. `say` is told of both; without it, standard error.
    """
    failure: Exception | None = None
    with anyio.CancelScope() as scope, signals(asyncio.get_running_loop(), scope.cancel, say):
        try:
            return await work(*arguments)
        except Exception as error:  # noqa: BLE001 - raised below, without the groups around it
            failure = error
    if failure is not None:
        raise cause_of(failure)
    message = "interrupted; the same command finishes the run"
    raise InterruptedRunError(message)
