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
"""Told how many output tokens have arrived since the last call."""
OnAnswer = Callable[[int, Completion], None]
"""Told of an answer that is whole while others of its request are still to come: its place in the request, and it."""


def unheard(place: int, completion: Completion) -> None:
    """An `OnAnswer` for who waits for all answers anyway."""


@dataclass(frozen=True)
class Launch:
    """Servers that a sampler starts when they are first needed, watches, and stops."""

    command: str
    """With `{port}`, and where wanted `{index}` and `{model}`. Words NAME=VALUE before the program go to its
    environment. No shell reads it."""
    logs: Path
    """Folder for what they print."""
    copies: int = 1
    first: int = 0
    """Index of the first copy; the others follow."""
    timeout: float = 1800.0
    """Seconds from the start of one to its first sign of health."""


def _unheard(_: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class SamplerSettings:
    """What a sampler may be opened with; each takes what it needs."""

    model: str = ""
    """Name or path."""
    api_key: str = "none"
    base_urls: tuple[str, ...] = ()
    """Addresses of servers that all have the model. Empty: the library's default."""
    requests_per_server: int = 0
    """Requests in flight at one of them; 0 for no limit."""
    launch: Launch | None = None
    """Servers of the sampler's own, in place of `base_urls`."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of each request to a server."""
    say: Callable[[str], None] = _unheard
    """Told, in a line for people, what happens to servers."""
    answers: Path | None = None
    """File of recorded answers."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Arguments for an engine in this process."""
    oracle: Callable[[str], Oracle] | None = None
    """The answers; handed to `gold` alone."""


class Sampler(Protocol):
    """Draws answers from a model.

    `sample` returns exactly `request.n` completions, in the order of `request.indices`. A prompt that is too long, an
    answer that was filtered: a completion with `error` set. It raises `SamplerError` when the model cannot be had at
    all (server gone after the retries, key refused, engine dead). It may be called concurrently; cancelling it ends
    the request at the model too.

    One that starts processes may have a method `abort()`: end them without waiting, since this process ends at once.
    """

    recorded: bool
    """True when the answers were not drawn from a model now; every report says so."""

    @classmethod
    def open(cls, settings: SamplerSettings) -> Sampler:
        """A sampler for these settings. Raises `UsageError` for one that is missing, naming the option."""
        ...

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """Answers to one prompt. `on_answer` may be told of any of them before all are there, each at most once."""
        ...

    def count_tokens(self, text: str) -> int:
        """Length of a text in the model's tokens, or an estimate that is high for code and prose."""
        ...

    async def aclose(self) -> None:
        """Free what the sampler holds. Called once."""
        ...


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

    def snapshot(self, instance: Instance) -> Snapshot:
        """The repository at the base commit. Raises `SourceError` when it cannot be had."""
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


class Sandbox(Protocol):
    """Runs untrusted code. Whoever opens one with an owner removes what a crashed one left.

    Results: a script that fails, runs out of time, memory or disk, floods its output. Errors (`SandboxError`): the
    engine does not answer, the image is missing, the container was killed or removed by somebody else. Whatever
    happens, no container of the job is left, also when the call is cancelled.

    It may have a method `abort()`: end all jobs within a second or two, since this process ends at once.
    """

    @classmethod
    def open(cls, settings: SandboxSettings) -> Sandbox:
        """A sandbox for these settings. Raises `EngineUnavailableError` when there is nothing to run jobs on."""
        ...

    def machine(self) -> Machine:
        """What jobs run on."""
        ...

    def pressure(self) -> float | None:
        """How loaded the machine is that jobs run on; above 1 they slow each other down. None: it cannot be told."""
        ...

    def check(self, images: Sequence[str]) -> None:
        """Raise `SandboxError` when jobs on these images could not be run, before anything is paid for."""
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


class Exporter(Protocol):
    """Writes a finished run in somebody else's format."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write below `destination` and return the folders and files to look at.

        `details` is the configuration's table `submission`: what only the submitter knows (names, links).
        """
        ...
