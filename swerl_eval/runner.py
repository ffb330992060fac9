"""Carries out one run: opens its parts, runs the pipeline over the run folder, closes everything, writes reports."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

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
from swerl_eval.config import BOUND_BY, RunConfig, writes_page
from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import UsageError
from swerl_eval.core.names import report_name_fault
from swerl_eval.core.secrets import Redactor
from swerl_eval.core.types import MADE, Evaluation, Instance, IssueText
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.pipeline import Pipeline
from swerl_eval.ports import Sampler, Sandbox
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.full_disk import explain_full_disk
from swerl_eval.records.live_status import LiveStatusWriter
from swerl_eval.records.manifest import RunManifest, Unsharded
from swerl_eval.records.refused_answers import remove_refused
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.reports.summary import Report
from swerl_eval.reports.write_reports import write_page_if_possible, write_reports
from swerl_eval.scheduling.instance_order import Durations, by_repository
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import STAGES, Parts
from swerl_eval.shutdown import at_once, closing_step, interruptible
from swerl_eval.sources.user_files import Predictions
from swerl_eval.tracking import Observer, open_tracking

NAMED_IMAGES = 5
"""Missing images that a notice names, at most."""


@dataclass(frozen=True)
class RunResult:
    """What a run has come to."""

    folder: Path
    failures: dict[str, str]
    """Instances that could not be worked on, and why."""
    infra_errors: dict[str, str]
    """Instances whose verdict the machine prevented, and why."""

    @property
    def complete(self) -> bool:
        """Whether every instance was finished."""
        return not self.failures and not self.infra_errors


class Runner:
    """Carries out a run of one configuration.

    The sampler is opened here, so that a wrong name or a missing file is reported before a run folder is made.

    Args:
        config: The settings.
        until: The last stage to carry out.
        predictions: Patches in place of the stages before `evaluate`.

    Attributes:
        instances: The chosen instances; with predictions, those that have one.
        stages: The stages that the run goes through, in order.
    """

    def __init__(self, config: RunConfig, until: str = STAGES[-1], predictions: Predictions | None = None) -> None:
        self.config = config
        self.until = until
        self._predictions = predictions
        self.stages = STAGES[-1:] if predictions is not None else settings(config).stages_until(until)
        self._quarantine = open_quarantine(config)
        self.progress = Progress(redact=Redactor(config.secrets()))
        self.source = open_source(config, self.progress)
        self.prompts = load_prompts(config.prompts)
        self._observer = Observer(self.progress, open_tracking(config, self.progress.notify))
        self._report: Report = {}
        self._sampler = None if predictions is not None else open_sampler(config, self.source, self.progress.notify)
        self._test_sampler = None
        if self._sampler is not None and config.test_model:
            test_config = config.model_copy(update={"model": config.test_model})
            self._test_sampler = open_sampler(
                test_config, self.source, self.progress.notify, first_server=config.servers
            )
        self._chosen = self.source.instances()
        self.instances = [i for i in self._chosen if predictions is None or i.instance_id in predictions.patches]
        self.progress.total = len(self.instances)
        fault = report_name_fault(predictions.model_name if predictions else config.model_name, config.run_folder.name)
        if fault:
            raise UsageError(fault)

    def open_run(self) -> Run:
        """The run folder, locked for this process. Raises what `run_folder.open_run` raises."""
        return open_run(self.config.run_folder, self._manifest(), BOUND_BY)

    def execute(self, run: Run) -> RunResult:
        """Do what the run folder lacks, then write the reports. Every part is closed, even when another one fails.

        Args:
            run: What `open_run` returned, entered.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM came. Containers are removed and everything is stored. A second
                signal ends the process at once.
            StorageError: The disk of the run folder is full. What was stored stays.
        """
        with explain_full_disk(run.folder):
            return anyio.run(functools.partial(interruptible, self.run_pipeline, run, notify=self.progress.notify))

    def pending(self, run: Run) -> list[Instance]:
        """The instances that the last stage has not finished."""
        return [instance for instance in self.instances if not self._is_finished(run, instance.instance_id)]

    def _is_finished(self, run: Run, instance_id: str) -> bool:
        if self.until == "evaluate":
            if self.config.evaluate == "all":
                return False  # the pipeline finds the candidates that have no verdict
            evaluation = run.evaluation_of(instance_id)
            return evaluation is not None and evaluation.settled(strict=self.config.strict)
        if self.until == "localize":
            return instance_id in run.localizations
        if self.until == "select":
            return instance_id in run.selections
        return all((instance_id, index) in run.candidates for index in range(self.config.samples))

    async def run_pipeline(self, run: Run) -> RunResult:
        """Do the work of `execute` on the running loop, without signals. Cancelling it closes every part."""
        parts = self._parts()
        notify = self.progress.notify
        new = [instance for instance in self._chosen if instance.instance_id not in run.issues]
        run.issues.append(*(IssueText(issue.instance_id, sendable(issue.problem_statement)) for issue in new))
        if reset := remove_refused(run):
            notify(f"{reset} prompts that were refused are asked again")
        self.progress.listener = lambda text: run.event("", "sample", text)
        self._observer.start(run)
        workers = Workers(self.config.workers, run.folder / "workers")
        pipeline = Pipeline(run, parts, settings(self.config), self.progress, workers, self.until)
        durations = Durations(self.config.cache_folder() / "durations.json")
        order = self._order(durations)
        evaluated_before = {evaluation.instance_id for evaluation in self._evaluations(run)}
        async with AsyncExitStack() as cleanup:
            cleanup.enter_context(LiveStatusWriter(run.folder, lambda: self.progress.snapshot(self.stages)))
            cleanup.enter_context(at_once(functools.partial(_abort, parts)))
            # these run in reverse: the reports are written last, and sent to the trackers
            cleanup.push_async_exit(closing_step(lambda: self._observer.finish(run, self._report), notify))
            cleanup.push_async_exit(closing_step(lambda: self._write_reports(run), notify))
            cleanup.push_async_exit(closing_step(lambda: _close(parts.sandbox), notify))
            cleanup.push_async_exit(closing_step(lambda: _close(parts.test_sampler), notify))
            cleanup.push_async_exit(closing_step(lambda: _close(parts.sampler), notify))
            cleanup.push_async_exit(closing_step(lambda: self._record_usage(run, parts), notify))
            if self.pending(run):
                await self._open(parts, run, order)
            async with anyio.create_task_group() as group:
                group.start_soon(self._observer.observe, run)
                if parts.sandbox is not None:
                    workers.size_to_machines(
                        parts.sandbox.machines(), queued=getattr(parts.sandbox, "queues_jobs", False)
                    )
                    group.start_soon(workers.autoscale, parts.sandbox.pressure)
                await pipeline.run(order)
                _record_machines(run, parts.sandbox)  # some may have come since the beginning
                group.cancel_scope.cancel()
            self._observer.count(run)
        evaluations = list(self._evaluations(run))
        durations.record({e.instance_id: e.seconds for e in evaluations if e.instance_id not in evaluated_before})
        infra_errors = {e.instance_id: e.prevented for e in evaluations if e.prevented}
        return RunResult(run.folder, pipeline.failures, infra_errors)

    def _order(self, durations: Durations) -> list[Instance]:
        """The instances in the order of work: the longest first; by repository if disk for images is limited."""
        tests = {instance.instance_id: self.source.count_tests(instance.instance_id) for instance in self.instances}
        order = durations.longest_first(self.instances, tests)
        return by_repository(order) if self.config.disk != "none" else order

    async def _write_reports(self, run: Run) -> None:
        self._report = write_reports(run, self._quarantine)
        if writes_page():
            write_page_if_possible(run, self._report, self.progress.notify)

    async def _record_usage(self, run: Run, parts: Parts) -> None:
        samplers = [sampler for sampler in (parts.sampler, parts.test_sampler) if sampler is not None]
        self._observer.record_usage(run, samplers, gpus_of(self.config))

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
        """Open what the pending instances need; cheap checks come first."""
        check_disk([self.config.run_folder])
        if self.until == "evaluate" or (self.until == "select" and settings(self.config).testing):
            # the thread is abandoned on cancel, because a call to an engine that does not answer takes two minutes
            parts.sandbox = await anyio.to_thread.run_sync(
                open_sandbox, self.config, run.folder, self.progress, abandon_on_cancel=True
            )
            pending = {instance.instance_id for instance in self.pending(run)}
            images = list(dict.fromkeys(instance.image for instance in order if instance.instance_id in pending))
            missing = await parts.sandbox.check(images)
            if missing:
                self.progress.notify(missing_line(missing, len(images)))
            parts.sandbox.prefetch(images)
            _record_machines(run, parts.sandbox)
            if self.config.reuse:
                parts.verdicts = await anyio.to_thread.run_sync(
                    VerdictCache, self.config.verdicts_folder(), abandon_on_cancel=True
                )

    def _manifest(self) -> RunManifest:
        predictions, whole = self._predictions, self.source.unsharded
        identity = self.config.identity()
        if predictions is not None:
            identity["predictions"] = predictions.digest  # the patches are the run's input
        return RunManifest(
            run_id=self.config.run_folder.name,
            config=self.config.recorded(),
            identity=identity,
            instances=_facts(self._chosen),
            dataset_fingerprint=self.source.fingerprint,
            prompts=self.prompts.fingerprints(),
            versions=package_versions(),
            model_name=predictions.model_name if predictions else self.config.model_name,
            recorded=self._sampler is not None and self._sampler.recorded,
            created_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            patches=MADE if predictions is None else predictions.origin,
            submitted=None if predictions is None else tuple(i.instance_id for i in self.instances),
            unsharded=Unsharded(_facts(whole.instances), whole.fingerprint) if whole is not None else None,
        )


def _facts(instances: Iterable[Instance]) -> dict[str, dict[str, str]]:
    """What a manifest holds of instances, by id: what tables group by."""
    return {i.instance_id: {"repo": i.repo, "created_at": i.created_at, "difficulty": i.difficulty} for i in instances}


def missing_line(missing: Mapping[str, str], images: int) -> str:
    """The notice about images that cannot be had.

    Args:
        missing: The reason for each missing image.
        images: The number of images that the run needs.
    """
    names = list(missing)
    more = f" and {len(names) - NAMED_IMAGES} more" if len(names) > NAMED_IMAGES else ""
    return (
        f"{len(names)} of {images} images are neither here nor in their registry; their instances will be infra_error: "
        f"{', '.join(names[:NAMED_IMAGES])}{more} ({missing[names[0]]})"
    )


def _record_machines(run: Run, sandbox: Sandbox | None) -> None:
    """Store the machines that no record is equal to."""
    for machine in sandbox.machines() if sandbox is not None else ():
        if machine not in run.machines:
            run.machines.append(machine)


async def _close(part: Sampler | Sandbox | None) -> None:
    """Close a part if it was opened."""
    if part is not None:
        await part.aclose()


def _abort(parts: Parts) -> None:
    """Tell every part that has `abort` to end what it runs, without waiting."""
    for part in (parts.sampler, parts.test_sampler, parts.sandbox):
        getattr(part, "abort", lambda: None)()
