"""Sandboxes that settings can name, for tests."""

from __future__ import annotations

from typing import ClassVar

import anyio

from swerl_eval.core.types import Job, JobResult
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.scripted import ScriptedSandbox


class StuckSandbox(ScriptedSandbox):
    """Its jobs never end by themselves while `stuck` is true."""

    stuck = True
    events: ClassVar[list[str]] = []

    @classmethod
    def open(cls, settings: SandboxSettings) -> StuckSandbox:
        cls.events.append("open")
        return cls(watcher=settings.watcher)

    async def run(self, job: Job) -> JobResult:
        self.events.append("begin")
        try:
            if self.stuck:
                await anyio.sleep_forever()
            return await super().run(job)
        finally:
            self.events.append("end")

    async def aclose(self) -> None:
        await anyio.sleep(0.05)
        self.events.append("close")
