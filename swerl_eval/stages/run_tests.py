"""Stages 3 to 5, their runs: tests in a container, on the original code and on every unique candidate.

Nothing here has a network: scripts are a model's. One container start for each candidate.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import test_job
from swerl_eval.core.jobs.scripts import PATCH_FILE, environment, token_file
from swerl_eval.core.jobs.test_job import OutputReader, Section, TestLimits
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
from swerl_eval.evaluation.evaluation_run import pieces
from swerl_eval.official.grading import parse_tests
from swerl_eval.ports import Sandbox, Snapshot

PASSING = frozenset({"PASSED", "XFAIL"})
KEPT = PASSING | {"SKIPPED"}
"""A test that is skipped after a change is no regression, as in the official grading."""
LOG_BYTES = 256 * 2**20
_TAIL_BYTES = 1000
"""Of the output that a message may quote."""
SETUP_SECONDS = 120.0
"""Beside the tests' own limits, for one job."""


@dataclass(frozen=True)
class TestTarget:
    """What tests are made for and run on."""

    __test__ = False  # pytest takes classes named Test… for tests

    instance: Instance
    snapshot: Snapshot
    plan: TestPlan


@dataclass(frozen=True)
class TestJobResult:
    """What a job gave: its sections, or None when it did not get as far as the tests."""

    __test__ = False  # pytest takes classes named Test… for tests

    sections: list[Section] | None
    result: JobResult
    tail: str
    """The end of the output, for messages."""


@dataclass(frozen=True)
class TestRunner:
    """Runs tests in the sandbox."""

    __test__ = False  # pytest takes classes named Test… for tests

    sandbox: Sandbox
    in_flight: anyio.CapacityLimiter
    limits: Limits
    test_limits: TestLimits
    logs: Path
    """Folder for output; an instance's is removed when it has been read."""
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """Outputs read at a time: one may take as much memory as all else together."""

    async def run_scripts(self, subject: TestTarget, scripts: Mapping[int, str]) -> dict[int, Outcome]:
        """What each script does on the original code.

        One that changes the repository is `UNCLEAR`, and those after it are run again in a fresh container.
        """
        outcomes = dict.fromkeys(scripts, Outcome.NOT_RUN)
        waiting = sorted(scripts)
        while waiting:
            chosen = {number: scripts[number] for number in waiting}
            ran = await self._run(subject, chosen, test_files=(), patch="")
            if ran.sections is None:
                break  # not even the set-up came to its end
            finished = {section.name: section for section in ran.sections or []}
            done = 0
            for number in waiting:
                section = finished.get(test_job.script_name(number))
                if section is None:
                    break
                outcomes[number] = Outcome.UNCLEAR if section.changed_repository else test_job.outcome_of(section)
                done += 1
            # the one that ended the job (a container killed for memory, say) is left behind as not run
            waiting = (
                waiting[max(done, 1) :] if done < len(waiting) and not _stopped_on_purpose(ran) else waiting[done:]
            )
        return outcomes

    async def passing_tests(self, subject: TestTarget, files: Sequence[str]) -> dict[str, list[str]]:
        """Of each test file that ended in time: its tests that pass on the original code."""
        ran = await self._run(subject, {}, test_files=files, patch="")
        passing: dict[str, list[str]] = {}
        spent = 0.0
        by_name = {test_job.tests_name(number): file for number, file in enumerate(files)}
        for section in ran.sections or []:
            spent += section.seconds
            if spent > self.test_limits.total_seconds:
                break
            if section.exit_code != test_job.KILLED:
                passing[by_name[section.name]] = [
                    name for name, status in section.statuses.items() if status in PASSING
                ]
        return passing

    async def run_tests(
        self,
        subject: TestTarget,
        candidate: Candidate,
        tests: Sequence[ReproductionTest],
        regression: RegressionTests,
    ) -> Evidence:
        """Run one candidate against the ranked reproduction tests and the regression tests, in one container.

        Raises `SandboxError` when the machine fails; what the candidate or a script does is in the evidence.
        """
        ranked = sorted((test for test in tests if test.rank is not None), key=lambda test: test.rank or 0)
        scripts = {number: test.script for number, test in enumerate(ranked)}
        ran = await self._run(subject, scripts, test_files=regression.files, patch=candidate.patch)
        sections = {section.name: section for section in ran.sections or []}
        statuses: dict[str, str] = {}
        for section in sections.values():
            statuses |= section.statuses
        outcomes = [
            test_job.outcome_of(sections[name])
            if (name := test_job.script_name(number)) in sections
            else Outcome.NOT_RUN
            for number in scripts
        ]
        missing = len(regression.files) + len(scripts) - len(sections)
        return Evidence(
            subject.instance.instance_id,
            candidate.normal_form,
            outcomes=tuple(outcomes),
            broken=tuple(name for name in regression.passing if statuses.get(name) not in KEPT),
            seconds=round(ran.result.seconds, 3),
            test_seconds=round(sum(section.seconds for section in sections.values()), 3),
            error=f"{missing} of the tests did not run: {_why(ran)}" if missing else "",
        )

    async def _run(
        self, subject: TestTarget, scripts: Mapping[int, str], test_files: Sequence[str], patch: str
    ) -> TestJobResult:
        instance = subject.instance
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
                subject.plan, patch=bool(patch), test_files=test_files, scripts=sorted(scripts), limits=limits
            ),
            files=(token_file(token), *files.items()),
            environment=environment(self.limits),
            limits=dataclasses.replace(self.limits, network="none"),
            timeout=SETUP_SECONDS + limits.script_seconds * len(scripts) + _budget(limits, test_files, patch),
            log=str(log),
            max_log_bytes=LOG_BYTES,
        )
        names = [*map(test_job.tests_name, range(len(test_files))), *map(test_job.script_name, sorted(scripts))]
        reader = OutputReader(token, names, functools.partial(parse_tests, subject.plan))
        async with self.in_flight:
            try:
                result = await self.sandbox.run(job)
                # what stands in it may be a quarter of a gigabyte, and belongs to nobody when the run is ended
                sections, tail = await anyio.to_thread.run_sync(
                    _read, log, reader, token, limiter=self.reading, abandon_on_cancel=True
                )
            finally:
                log.unlink(missing_ok=True)
        if result.disk_full and not result.disk_exceeded:
            message = "the engine's disk was full while tests ran: free some (`docker system df`)"
            raise SandboxError(message)
        return TestJobResult(sections, result, tail)


def _read(log: Path, reader: OutputReader, token: str) -> tuple[list[Section] | None, str]:
    """What a job's output says, and its end."""
    for piece in pieces(log):
        reader.feed(piece)
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        tail = file.read().decode("utf-8", "replace")
    return reader.end(), tail.replace(token, "")


def _budget(limits: TestLimits, test_files: Sequence[str], patch: str) -> float:
    """Seconds for all test files: the original code's budget, and twice that for a candidate, which may be slower."""
    return limits.total_seconds * (2 if patch else 1) if test_files else 0.0


def _stopped_on_purpose(ran: TestJobResult) -> bool:
    return any(section.changed_repository for section in ran.sections or [])


def _why(ran: TestJobResult) -> str:
    if ran.result.out_of_memory:
        return "the container ran out of memory"
    if ran.result.timed_out:
        return "the container's time was up"
    if _stopped_on_purpose(ran):
        return "a script changed the repository"
    last = ran.tail.strip().splitlines()
    return f"exit code {ran.result.exit_code}{', ' + last[-1][:200] if last else ''}"
