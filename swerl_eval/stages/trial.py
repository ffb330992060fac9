"""One patch on one instance, run in one container: the job, and its output cut into files."""

from __future__ import annotations

import codecs
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import anyio.to_thread

from swerl_eval.core import scripts
from swerl_eval.core.sections import Sections, Take
from swerl_eval.core.types import Instance, Job, JobResult, Limits, Oracle
from swerl_eval.ports import Sandbox

RAW = "output.raw"
LOG_BYTES = 8 * 2**20
"""Of output that is kept, its beginning and its end; grading holds a log in memory several times, line by line."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class EvaluateSettings:
    """How evaluations run."""

    timeout: float
    """Seconds, as `swebench eval --timeout`."""
    limits: Limits
    strict: bool = True
    """Whether resolved patches are run under control too."""


@dataclass(frozen=True)
class Trial:
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
        """Run a script of `core.scripts`; the patch is put in place for it.

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
            max_log_bytes=LOG_BYTES,
        )
        result = await sandbox.run(job)
        marks = await anyio.to_thread.run_sync(cut, self.logs / RAW, token, self.logs, outputs)
        return result, marks


def cut(raw: Path, token: str, folder: Path, outputs: Mapping[str, str]) -> dict[str, str]:
    """Cut a job's output into files of valid UTF-8, and remove it. Returns what stood behind the words of the cuts."""
    with ExitStack() as files, raw.open("rb") as source:
        takers = {word: _writer(files, folder / name) for word, name in outputs.items()}
        sections = Sections(token.encode(), takers)
        for piece in iter(lambda: source.readline(_PIECE), b""):
            sections.feed(piece)
        sections.end()
    raw.unlink()
    return sections.marks


def _writer(files: ExitStack, path: Path) -> Take:
    """Writes to a file that is there only once something is written."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    output: TextIO | None = None

    def take(piece: bytes) -> None:
        nonlocal output
        if output is None:
            output = files.enter_context(path.open("w", encoding="utf-8", newline=""))
            files.callback(lambda: take_last(b""))
        output.write(decoder.decode(piece))

    def take_last(piece: bytes) -> None:
        if output is not None:
            output.write(decoder.decode(piece, final=True))

    return take
