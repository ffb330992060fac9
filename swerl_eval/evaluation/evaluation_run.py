"""One patch on one instance, run in one container: the job, and its output cut into files."""

from __future__ import annotations

import codecs
import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import anyio.to_thread

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs import scripts
from swerl_eval.core.jobs.sections import Bounded, Sections
from swerl_eval.core.types import Instance, Job, JobResult, Limits, Oracle
from swerl_eval.official.grading import START_MARKER
from swerl_eval.ports import Sandbox

RAW = "output.raw"
RAW_BYTES = 96 * 2**20
"""Of a job's output that is kept on disk while it is cut, its beginning and its end."""
SECTION_BYTES = 8 * 2**20
"""Of one section's text that is kept, likewise: grading holds a log in memory several times, line by line."""
TAIL_BYTES = 2**20
_PIECE = 1 << 16


@dataclass(frozen=True)
class EvaluateSettings:
    """How evaluations run."""

    timeout: float
    """Seconds, as `swebench eval --timeout`."""
    limits: Limits
    strict: bool = True
    """Whether resolved patches are run under control too."""


@dataclass(frozen=True)
class EvaluationRun:
    """What is tried, and the folder for its logs."""

    instance: Instance
    oracle: Oracle
    patch: str
    logs: Path

    async def run(
        self,
        sandbox: Sandbox,
        settings: EvaluateSettings,
        script: str,
        *,
        files: tuple[tuple[str, bytes], ...],
        outputs: Mapping[str, str],
    ) -> tuple[JobResult, dict[str, str]]:
        """Run a script of `core.jobs.scripts`; the patch is put in place for it.

        `outputs` names the file that takes each section, by the word of its token line. Returns what stood behind these
        words too. Raises `SandboxError`.
        """
        token = secrets.token_hex(16)
        patch = self.patch.encode("utf-8", "replace")
        job = Job(
            name=self.instance.instance_id.lower(),
            image=self.instance.image,
            script=script,
            files=(scripts.token_file(token), (scripts.PATCH_FILE, patch), *files),
            environment=scripts.environment(settings.limits),
            limits=settings.limits,
            timeout=settings.timeout,
            log=str(self.logs / RAW),
            max_log_bytes=RAW_BYTES,
        )
        try:
            result = await sandbox.run(job)
            marks, whole = await anyio.to_thread.run_sync(cut, self.logs / RAW, token, self.logs, outputs)
        except OSError as error:
            message = f"the logs in {self.logs} cannot be written: {error.strerror}; free some of their disk"
            raise SandboxError(message) from error
        finally:
            (self.logs / RAW).unlink(missing_ok=True)
        return dataclasses.replace(result, log_truncated=result.log_truncated or not whole), marks


def cut(raw: Path, token: str, folder: Path, outputs: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Cut a job's output into files of valid UTF-8.

    Returns what stood behind the words of the cuts, and whether all that the tests printed was kept.
    """
    with ExitStack() as files:
        texts = {word: files.enter_context(_BoundedText(folder / name)) for word, name in outputs.items()}
        sections = Sections(token.encode(), {word: text.take for word, text in texts.items()})
        for piece in pieces(raw):
            sections.feed(piece)
        sections.end()
    return sections.marks, not any(text.tests_cut for text in texts.values())


def pieces(raw: Path) -> Iterator[bytes]:
    """A file's lines; overlong ones in pieces."""
    with raw.open("rb") as source:
        yield from iter(lambda: source.readline(_PIECE), b"")


class _BoundedText:
    """A text file of bounded size, there only once something is written.

    What stands before the line that opens the tests' output (a `git show` of megabytes was seen there) has a bound of
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
        """The next bytes; a line comes in one piece unless it is overlong."""
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
