"""The seams. What varies (who answers, where rows come from, where code runs, what comes out) sits behind one of these.

Each seam has a table of lazy `module:Class` entries in its folder's `__init__`; `package.module:Class` names anything
else. `tests/contracts/` runs one suite per seam over its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from swerl_eval.core.types import Completion, Instance, Job, JobResult, Machine, Oracle, SampleRequest, TestPlan

OnTokens = Callable[[int], None]
"""Called with the number of output tokens that have arrived since the last call."""
OnAnswer = Callable[[int, Completion], None]
"""Called with a finished answer, while others of its request are to come: its place from 0 to n - 1, and the answer."""
Notify = Callable[[str], None]
"""Called with a line for people."""


def ignore(*arguments: object, **named: object) -> None:
    """Do nothing: the default of callbacks."""


@dataclass(frozen=True)
class Launch:
    """Servers that a sampler starts with its first request, monitors, and stops."""

    command: str
    """Command line with `{port}` and, if wanted, `{index}` and `{model}`. Words NAME=VALUE before the program set its
    environment. No shell reads it."""
    logs: Path
    """Folder for the output of the servers."""
    copies: int = 1
    """Number of servers."""
    first: int = 0
    """Index of the first server; the others follow."""
    timeout: float = 1800.0
    """Seconds from the start of a server until it must answer its health check."""


@dataclass(frozen=True)
class SamplerSettings:
    """Settings of all samplers; each takes those that it needs."""

    model: str = ""
    """Name or path."""
    api_key: str = "none"
    base_urls: tuple[str, ...] = ()
    """Addresses of servers that all have the model. Empty: the default of the openai package."""
    requests_per_server: int = 0
    """Requests in flight at one server, at most; 0: no limit."""
    launch: Launch | None = None
    """Servers that the sampler starts itself, in place of `base_urls`."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of each request to a server."""
    notify: Notify = ignore
    """Called when a server or engine starts, is ready, or dies."""
    answers: Path | None = None
    """File of recorded answers."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of an engine in this process."""
    oracle: Callable[[str], Oracle] | None = None
    """Returns the answer of an instance, by its id. Only `gold` is given it."""
    secrets: frozenset[str] = frozenset()
    """What no log of the sampler may hold."""


class Sampler(Protocol):
    """Samples answers from a model.

    Failures of one request are results: a prompt that is too long, or an answer that was filtered, is a completion with
    `error` set. The sampler raises only if the model cannot be reached at all.

    Optional methods:
        `abort()`: End the processes that the sampler started without waiting for them: this process ends at once.
        `count_prompt(messages) -> int`: Length of a whole prompt in tokens, with the model's chat template.
        `stats() -> dict[str, int]`: Counts of the engine: `prompt_tokens`, `prompt_tokens_computed`, `engine_restarts`.
    """

    recorded: bool
    """True if the answers do not come from a model at the time of the run. Every report says so."""

    @classmethod
    def open(cls, settings: SamplerSettings) -> Sampler:
        """Return a sampler for these settings. It may start its processes with the first request.

        Raises:
            UsageError: A setting that this sampler needs is missing; the message names the option.
        """
        ...

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Sample `request.n` answers to one prompt. May be called concurrently; cancelling ends the request.

        Args:
            request: Prompt, limits and seed. Answer k has the seed `request.seed + k`.
            on_tokens: Called as output tokens arrive.
            on_answer: May be called with answers that are finished before the others, at most once for each.

        Returns:
            Exactly `request.n` completions, in the order of `request.indices`.

        Raises:
            SamplerError: The model cannot be reached: servers gone after all retries, key refused, engine dead.
            UsageError: The engine does not know a setting.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Return the length of a text in the model's tokens, or an estimate that is high for code and prose."""
        ...

    async def aclose(self) -> None:
        """End connections and processes. Called once, also if `sample` was never called."""
        ...


class Watcher(Protocol):
    """Told by any thread what a part is doing, for a display. Nothing depends on what becomes of it."""

    def waiting(self, what: str, how: str) -> None:
        """Something (an image, a repository, the engine) is waited for, and how that stands; nothing: no more."""
        ...

    def running(self, container: str, *, now: bool) -> None:
        """A container has begun to run, or runs no more."""
        ...


class Unwatched:
    """A `Watcher` where nobody looks."""

    def waiting(self, what: str, how: str) -> None:
        """Not shown."""

    def running(self, container: str, *, now: bool) -> None:
        """Not shown."""


UNWATCHED = Unwatched()


class Snapshot(Protocol):
    """A repository at one commit, without a checkout."""

    def paths(self) -> Sequence[str]:
        """All files, sorted, with forward slashes."""
        ...

    def read(self, path: str) -> str | None:
        """A file's text, line endings untouched, bytes that are not UTF-8 kept as surrogates; None if there is none."""
        ...


class Source(Protocol):
    """Where issues, answers and repositories come from."""

    fingerprint: str
    """Hash of the rows' content, for the manifest."""

    def instances(self) -> Sequence[Instance]:
        """The chosen instances, in a fixed order."""
        ...

    def oracle(self, instance_id: str) -> Oracle:
        """The answer. Not to be called by a stage that samples or selects."""
        ...

    def test_plan(self, instance_id: str) -> TestPlan:
        """How its repository runs tests; holds no answer."""
        ...

    async def snapshot(self, instance: Instance) -> Snapshot:
        """The repository at the base commit. Raises `SourceError` when it cannot be had.

        It may take as long as a clone. Cancelling ends it within seconds and leaves nothing half done.
        """
        ...


@dataclass(frozen=True)
class SandboxSettings:
    """What a sandbox is opened with; each takes what it needs."""

    owner: str = ""
    """Marks what it makes, so that a later process with the same owner removes what a crash left."""
    workers: int = 1
    """Jobs at a time, at most."""
    disk: int | None = None
    """Bytes that images may take in the engine before unused ones are removed; None: no budget."""
    cache: Path | None = None
    """Folder for what is to be remembered from run to run."""
    watcher: Watcher = UNWATCHED
    """Told of the images that are waited for and the containers that run."""
    address: str = ""
    """Of a cluster of machines; empty: the sandbox's default."""
    notify: Notify = ignore
    """Called when a machine is lost, or comes."""


class Sandbox(Protocol):
    """Runs untrusted code. Whoever opens one with an owner removes what a crashed one left.

    Results: a script that fails, runs out of time, memory or disk, floods its output. Errors (`SandboxError`): the
    engine does not answer, the image is missing, the container was killed or removed by somebody else. Whatever
    happens, no container of the job is left, also when the call is cancelled.

    It may have a method `abort()`: end all jobs within a second or two, since this process ends at once. And an
    attribute `queues_jobs`, True if it takes more jobs than it runs and decides itself which are next.
    """

    @classmethod
    def open(cls, settings: SandboxSettings) -> Sandbox:
        """A sandbox for these settings. Raises `EngineUnavailableError` when there is nothing to run jobs on."""
        ...

    def machines(self) -> Sequence[Machine]:
        """What jobs run on: one entry for each machine, so equal ones come more than once; never empty."""
        ...

    def pressure(self) -> float | None:
        """How loaded the machines are that jobs run on; above 1 jobs slow each other down.

        None: it cannot be told, or the sandbox itself gives loaded machines fewer jobs.
        """
        ...

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """The images that no job could be run on, and why, before anything is paid for.

        Raises `SandboxError` when none of them could be had. Bounded in time; what is not known by then is left to the
        jobs. Cancelling ends it at once.
        """
        ...

    def prefetch(self, images: Sequence[str]) -> None:
        """Get images ready in this order, in the background, so that jobs do not wait for them. Returns at once."""
        ...

    async def image_id(self, image: str) -> str:
        """Content digest of an image; gets it ready first where it is not. Raises `ImageMissingError`."""
        ...

    async def run(self, job: Job) -> JobResult:
        """Run one job in a fresh container."""
        ...

    async def aclose(self) -> None:
        """Wait for removals under way and let go of the engine. Called once."""
        ...


@dataclass(frozen=True)
class TrackerSettings:
    """What a tracker is opened with; each takes what it needs."""

    folder: Path
    """The tracker's own folder within the run folder, not there yet."""
    project: str = "swerl-eval"
    """What runs are gathered in: project, experiment."""
    entity: str = ""
    """Account or team that the project belongs to. Empty: the tracker's default."""
    group: str = ""
    tags: tuple[str, ...] = ()
    uri: str = ""
    """Address of a server, or of a store. Empty: the tracker's default."""
    offline: bool = False
    """Whether nothing may be sent."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """The table `tracking.<name>`, for trackers of others."""


class Tracker(Protocol):
    """Shows the figures of a run in somebody else's tool.

    All methods but `check` are called one after another by one thread that only serves this tracker. They may take
    their time and raise anything: then the tracker gets nothing more, and the run goes on.
    """

    @classmethod
    def check(cls, settings: TrackerSettings) -> None:
        """Raise `UsageError` when it can never work: a package or a setting is missing. At once, without network."""
        ...

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> Tracker:
        """Begin the run there, or go on with it. `config`: settings and versions, JSON values without secrets."""
        ...

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Store figures of now. `step` is seconds since the run was made; it does not go back."""
        ...

    def finish(self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]) -> None:
        """Store the content of `report.json` (empty if there is none) and the files to keep; close everything.

        `table` has a row for each instance, all with the same columns; values are texts, numbers, booleans and None.
        """
        ...


class Exporter(Protocol):
    """Writes a finished run in somebody else's format."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write below `destination` and return the folders and files to look at.

        `details` is the configuration's table `submission`: what only the submitter knows (names, links).
        """
        ...
