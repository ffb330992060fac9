"""Runs tests in containers: on the original code, and on every unique candidate, one container for each.

The containers have no network, since a model wrote the scripts.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import test_job
from swerl_eval.core.jobs.scripts import PATCH_FILE, environment, token_file
from swerl_eval.core.jobs.test_job import (
    KILLED,
    OutputReader,
    Section,
    TestLimits,
    outcome_of,
    script_name,
    tests_name,
)
from swerl_eval.core.types import (
    Candidate,
    Evidence,
    Instance,
    Job,
    JobResult,
    Limits,
    Outcome,
    RegressionTests,
    ReproductionTest,
    TestPlan,
)
from swerl_eval.official.grading import parse_tests
from swerl_eval.ports import Sandbox, Snapshot, ignore
from swerl_eval.records.job_output import lines_in_pieces

PASSING = frozenset({"PASSED", "XFAIL"})
NOT_BROKEN = PASSING | {"SKIPPED"}
"""A test that is skipped after a change is no regression, as in the official grading."""
LOG_BYTES = 256 * 2**20
_TAIL_BYTES = 1000
"""Bytes of the output's end that a message may quote."""
SETUP_SECONDS = 120.0
"""Seconds for a job beside the limits of its tests."""


@dataclass(frozen=True)
class TestTarget:
    """What tests run on: an instance, its repository, and how the repository runs tests."""

    __test__ = False  # pytest takes classes named Test… for tests

    instance: Instance
    snapshot: Snapshot
    plan: TestPlan


@dataclass(frozen=True)
class TestJobResult:
    """The result of a job: its sections, or None when it did not get as far as the tests."""

    __test__ = False  # pytest takes classes named Test… for tests

    sections: list[Section] | None
    result: JobResult
    tail: str
    """The end of the output, for messages."""

    @property
    def by_name(self) -> dict[str, Section]:
        """The sections of the tests that ended."""
        return {section.name: section for section in self.sections or []}

    @property
    def stopped_on_purpose(self) -> bool:
        """Whether the job ended because a script changed the repository."""
        return any(section.changed_repository for section in self.sections or [])

    @property
    def why_it_ended(self) -> str:
        """Why the job ended before all tests had run, in words."""
        if self.result.out_of_memory:
            return "the container ran out of memory"
        if self.result.timed_out:
            return "the container's time was up"
        if self.stopped_on_purpose:
            return "a script changed the repository"
        last_lines = self.tail.strip().splitlines()
        return f"exit code {self.result.exit_code}{', ' + last_lines[-1][:200] if last_lines else ''}"


@dataclass(frozen=True)
class TestRunner:
    """Runs tests in the sandbox."""

    __test__ = False  # pytest takes classes named Test… for tests

    sandbox: Sandbox
    containers: anyio.CapacityLimiter
    """Containers in flight."""
    limits: Limits
    test_limits: TestLimits
    logs: Path
    """Folder for output, which is removed once it has been read."""
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """Outputs that are read at a time: one may take as much memory as everything else together."""
    event: Callable[..., object] = ignore
    """Adds a line to the run's timeline, as `Run.event` does."""

    async def run_scripts(self, target: TestTarget, scripts: Mapping[int, str]) -> dict[int, Outcome]:
        """Run scripts on the original code.

        A script that changes the repository is `UNCLEAR`, and those after it run in a fresh container.

        Args:
            target: What the scripts run on.
            scripts: Python source by the number of the script.

        Returns:
            The outcome of each script, by its number.
        """
        outcomes = dict.fromkeys(scripts, Outcome.NOT_RUN)
        waiting = sorted(scripts)
        while waiting:
            job = await self._run(target, {number: scripts[number] for number in waiting}, test_files=(), patch="")
            if job.sections is None:
                break  # not even the set-up came to its end
            ended = {number: section for number in waiting if (section := job.by_name.get(script_name(number)))}
            for number, section in ended.items():
                outcomes[number] = Outcome.UNCLEAR if section.changed_repository else outcome_of(section)
            waiting = [number for number in waiting if number not in ended]
            if not ended:
                waiting = waiting[1:]  # the first one ends every job, such as by using all memory: it counts as not run
        return outcomes

    async def passing_tests(self, target: TestTarget, files: Sequence[str]) -> dict[str, list[str]]:
        """Return the tests that pass on the original code, by test file, for the files that ended in time."""
        job = await self._run(target, {}, test_files=files, patch="")
        passing: dict[str, list[str]] = {}
        seconds = 0.0
        file_of = {tests_name(number): file for number, file in enumerate(files)}
        for section in job.sections or []:
            seconds += section.seconds
            if seconds > self.test_limits.total_seconds:
                break
            if section.exit_code != KILLED:
                statuses = section.statuses.items()
                passing[file_of[section.name]] = [name for name, status in statuses if status in PASSING]
        return passing

    async def test_candidate(
        self,
        target: TestTarget,
        candidate: Candidate,
        tests: Sequence[ReproductionTest],
        regression: RegressionTests,
    ) -> Evidence:
        """Run a candidate against the ranked reproduction tests and the regression tests, in one container.

        Raises:
            SandboxError: The machine failed. What the candidate or a script does is part of the evidence.
        """
        ranked = sorted((test for test in tests if test.rank is not None), key=lambda test: test.rank or 0)
        scripts = {number: test.script for number, test in enumerate(ranked)}
        job = await self._run(target, scripts, test_files=regression.files, patch=candidate.patch)
        sections = job.by_name
        statuses: dict[str, str] = {}
        for section in sections.values():
            statuses |= section.statuses
        ended = [sections.get(script_name(number)) for number in scripts]
        missing = len(regression.files) + len(scripts) - len(sections)
        return Evidence(
            target.instance.instance_id,
            candidate.normal_form,
            outcomes=tuple(outcome_of(section) if section else Outcome.NOT_RUN for section in ended),
            broken=tuple(name for name in regression.passing if statuses.get(name) not in NOT_BROKEN),
            seconds=round(job.result.seconds, 3),
            test_seconds=round(sum(section.seconds for section in sections.values()), 3),
            error=f"{missing} of the tests did not run: {job.why_it_ended}" if missing else "",
        )

    async def _run(
        self, target: TestTarget, scripts: Mapping[int, str], test_files: Sequence[str], patch: str
    ) -> TestJobResult:
        instance = target.instance
        token = secrets.token_hex(16)
        log = self.logs / instance.instance_id / f"{secrets.token_hex(4)}.tests"
        files = {f"{test_job.SCRIPTS}/{number}.py": source.encode() for number, source in scripts.items()}
        if patch:
            files[PATCH_FILE] = patch.encode()
        limits = self.test_limits
        job = Job(
            name=f"{instance.instance_id.lower()}.tests",
            image=instance.image,
            script=test_job.script(
                target.plan, patch=bool(patch), test_files=test_files, scripts=sorted(scripts), limits=limits
            ),
            files=(token_file(token), *files.items()),
            environment=environment(self.limits),
            limits=dataclasses.replace(self.limits, network="none"),
            timeout=SETUP_SECONDS + limits.script_seconds * len(scripts) + _seconds_for(limits, test_files, patch),
            log=str(log),
            max_log_bytes=LOG_BYTES,
        )
        names = [*map(tests_name, range(len(test_files))), *map(script_name, sorted(scripts))]
        reader = OutputReader(token, names, functools.partial(parse_tests, target.plan))
        stage = "run_tests" if patch else "regress" if test_files else "reproduce"
        async with self.containers:
            begun = time.monotonic()
            try:
                result = await self.sandbox.run(job)
                # the output may be a quarter of a gigabyte, and nobody wants it once the run is cancelled
                sections, tail = await anyio.to_thread.run_sync(
                    _read, log, reader, token, limiter=self.reading, abandon_on_cancel=True
                )
            finally:
                log.unlink(missing_ok=True)
                self.event(instance.instance_id, stage, "worker free", seconds=time.monotonic() - begun)
        if result.disk_full and not result.disk_exceeded:
            message = "the engine's disk was full while tests ran: free some (`docker system df`)"
            raise SandboxError(message)
        return TestJobResult(sections, result, tail)


def _read(log: Path, reader: OutputReader, token: str) -> tuple[list[Section] | None, str]:
    """Return the sections of a job's output, and its last lines."""
    for piece in lines_in_pieces(log):
        reader.feed(piece)
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        tail = file.read().decode("utf-8", "replace")
    return reader.end(), tail.replace(token, "")


def _seconds_for(limits: TestLimits, test_files: Sequence[str], patch: str) -> float:
    """Return the seconds for all test files. A candidate may be slower, so it gets twice those of the original code."""
    return limits.total_seconds * (2 if patch else 1) if test_files else 0.0
