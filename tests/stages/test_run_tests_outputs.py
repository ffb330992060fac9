"""Outputs of tests, read while other work goes on."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.jobs.scripts import TOKEN_FILE
from swerl_eval.core.types import Job, JobResult
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox
from swerl_eval.stages.run_tests import TestRunner, TestTarget

NAME = "demo__ledgerly-2"
LINE = b"PASSED tests/test_money.py::test_%06d in a line of about the usual length\n"


class Flooding(ScriptedSandbox):
    """Its tests print 6 MB."""

    def __init__(self) -> None:
        super().__init__(self._flood)
        self.ended = anyio.Event()

    def _flood(self, job: Job) -> Reply:
        mark = dict(job.files)[TOKEN_FILE].strip()
        body = b"".join(LINE % number for number in range(80_000))
        begun = b"%s READY\n%s BEGIN tests 0\n" % (mark, mark)
        return Reply(begun + body + b"\n%s END tests 0 0 1.0 2.0 same\n" % mark)

    async def run(self, job: Job) -> JobResult:
        result = await super().run(job)
        self.ended.set()
        return result


@pytest.mark.anyio
async def test_the_loop_goes_on_while_a_long_output_is_read(demo_config: RunConfig, tmp_path: Path) -> None:
    source = open_source(demo_config)
    instance = next(each for each in source.instances() if each.instance_id == NAME)
    target = TestTarget(instance, await source.snapshot(instance), source.test_plan(NAME))
    sandbox, ticks, passing = Flooding(), 0, {}
    how = settings(demo_config)
    test_runner = TestRunner(sandbox, anyio.CapacityLimiter(1), how.evaluate.limits, how.test_limits, tmp_path / "logs")
    async with anyio.create_task_group() as group:

        async def read() -> None:
            passing.update(await test_runner.passing_tests(target, ["tests/test_money.py"]))
            group.cancel_scope.cancel()

        group.start_soon(read)
        await sandbox.ended.wait()
        while True:
            await anyio.sleep(0.005)
            ticks += 1
    assert len(passing["tests/test_money.py"]) == 80_000
    assert ticks > 20, ticks
    assert not list(test_runner.logs.rglob("*.tests"))
