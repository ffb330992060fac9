"""One evaluation run: one patch on one instance, in one container. Here: its job, and its output cut into files."""

from __future__ import annotations

import codecs
import dataclasses
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

import anyio.to_thread

from swerl_eval.core.codings import sendable_bytes
from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import scripts
from swerl_eval.core.jobs.sections import Bounded, Sections
from swerl_eval.core.suspicions import Touch, suspicions
from swerl_eval.core.types import Instance, Job, JobResult, Limits, Oracle
from swerl_eval.official.specification import START_MARKER, test_command
from swerl_eval.ports import Sandbox
from swerl_eval.records.job_output import lines_in_pieces

RAW = "output.raw"
RAW_BYTES = 96 * 2**20
"""Bytes of a job's output that are kept on disk while it is cut: its beginning and its end."""
SECTION_BYTES = 8 * 2**20
"""Bytes of one section that are kept likewise. Grading holds a log in memory several times, line by line."""
TAIL_BYTES = 2**20


@dataclass(frozen=True)
class EvaluateSettings:
    """How evaluations run."""

    timeout: float
    """Seconds, as `swebench eval --timeout`."""
    limits: Limits
    strict: bool = True
    """Whether a resolved patch also gets a control run, and with it the strict verdict."""


@dataclass(frozen=True)
class EvaluationRun:
    """One patch on one instance, with the answer to it and the folder for the logs."""

    instance: Instance
    oracle: Oracle
    patch: str
    logs: Path

    @cached_property
    def touches(self) -> list[Touch]:
        """The files of the patch that have a say in its verdict."""
        return suspicions(self.patch, self.oracle.test_patch, test_command(self.oracle.row))

    async def execute(
        self,
        sandbox: Sandbox,
        settings: EvaluateSettings,
        script: str,
        *,
        files: tuple[tuple[str, bytes], ...],
        outputs: Mapping[str, str],
    ) -> tuple[JobResult, dict[str, str]]:
        """Run a script in a container that has the patch in a file.

        Args:
            sandbox: Runs the container.
            settings: Limits and timeout of the container.
            script: A script of `core.jobs`.
            files: Further files for the container: absolute path and content.
            outputs: The file that takes each section of the output, by the word of the section's token line.

        Returns:
            How the job ended, and the text behind the word of each token line.

        Raises:
            SandboxError: The machine failed, or the logs cannot be written.
        """
        token = secrets.token_hex(16)
        job = Job(
            name=self.instance.instance_id.lower(),
            image=self.instance.image,
            script=script,
            files=(scripts.token_file(token), (scripts.PATCH_FILE, sendable_bytes(self.patch)), *files),
            environment=scripts.environment(settings.limits),
            limits=settings.limits,
            timeout=settings.timeout,
            log=str(self.logs / RAW),
            max_log_bytes=RAW_BYTES,
        )
        try:
            result = await sandbox.run(job)
            marks, complete = await anyio.to_thread.run_sync(cut, self.logs / RAW, token, self.logs, outputs)
        except OSError as error:
            message = f"the logs in {self.logs} cannot be written: {error.strerror}; free some of their disk"
            raise SandboxError(message) from error
        finally:
            (self.logs / RAW).unlink(missing_ok=True)
        return dataclasses.replace(result, log_truncated=result.log_truncated or not complete), marks


def cut(raw: Path, token: str, folder: Path, outputs: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Cut a job's output into files of valid UTF-8.

    Returns:
        The text behind the word of each token line, and whether everything that the tests printed was kept.
    """
    with ExitStack() as files:
        texts = {word: files.enter_context(_BoundedText(folder / name)) for word, name in outputs.items()}
        sections = Sections(token.encode(), {word: text.take for word, text in texts.items()})
        for piece in lines_in_pieces(raw):
            sections.feed(piece)
        sections.end()
    return sections.marks, not any(text.tests_cut for text in texts.values())


class _BoundedText:
    """A text file of bounded size, made when something is written to it.

    What stands before the line that opens the tests' output (megabytes of `git show` were seen there) has a bound of
    its own, so that it never costs a line of the tests.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._bounded = Bounded(self._write, SECTION_BYTES, TAIL_BYTES)
        self._in_tests = False
        self.tests_cut = False

    def __enter__(self) -> _BoundedText:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_part()
        if self._file is not None:
            self._file.write(self._decoder.decode(b"", final=True))
            self._file.close()

    def take(self, piece: bytes) -> None:
        """Add the next bytes. A line comes in one piece unless it is very long."""
        if not self._in_tests and START_MARKER.encode() in piece:
            self._end_part()
            self._in_tests = True
        self._bounded.take(piece)

    def _end_part(self) -> None:
        left_out = self._bounded.end()
        self.tests_cut |= left_out and self._in_tests

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
        self._file.write(self._decoder.decode(piece))
