"""A sandbox whose jobs wait for a test: so many may end as the file `gate` beside the run folders says."""

from __future__ import annotations

from pathlib import Path

import anyio

from swerl_eval.core.types import Job, JobResult
from swerl_eval.sandboxes.scripted import ScriptedSandbox, evaluation_reply

TESTS_PASS = b"+ : '>>>>> Start Test Output'\nPASSED tests/x.py::y\n+ : '>>>>> End Test Output'\n"


class GatedSandbox(ScriptedSandbox):
    """Each patch applies, and the tests of the instance do not run (a `ports.Sandbox`)."""

    def __init__(self, reply: object = None, **arguments: object) -> None:
        super().__init__(lambda job: evaluation_reply(job, TESTS_PASS), **arguments)  # type: ignore[arg-type]
        self._ended = 0

    async def run(self, job: Job) -> JobResult:
        gate = next(folder for folder in Path(job.log).parents if (folder / "run.json").exists()).parent / "gate"
        self._watcher.running(job.log, now=True)
        try:
            while self._ended >= int(gate.read_text()):
                await anyio.sleep(0.02)
            self._ended += 1
        finally:
            self._watcher.running(job.log, now=False)
        return await super().run(job)
