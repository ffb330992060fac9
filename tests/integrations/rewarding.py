"""A sandbox that does what a patch's only file is named after, and answers that make such patches."""

from __future__ import annotations

import re
from typing import ClassVar

import anyio

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.jobs.control_run import CONTROL, CONTROL_FILE
from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, PATCH_FILE, TOKEN_FILE
from swerl_eval.core.types import Job, JobResult
from swerl_eval.demo.setup import SUITE
from swerl_eval.integrations.execution import ExecutionReward
from swerl_eval.official import specification
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.sources.datasets import load_rows

ROWS = {row["instance_id"]: row for row in load_rows(str(SUITE), None)}
NAME = "demo__ledgerly-2"
OTHER = "demo__waypost-1"


def answer(word: str, text: str = "x = 1") -> str:
    """An answer whose patch makes one file."""
    edit = f"### {word}.py\n<<<<<<< SEARCH\n=======\n{text}\n>>>>>>> REPLACE"
    return f"<think>\nhm\n</think>\n<solution>\n```python\n{edit}\n```\n</solution>"


def reply(job: Job) -> Reply:
    """`right` resolves, `fooling` too but also with its tests sabotaged, `half` fixes a part, `wrong` fixes nothing."""
    words = re.findall(r"^\+\+\+ b/(\w+)\.py$", dict(job.files)[PATCH_FILE].decode(), re.MULTILINE)
    word = str(words[0]) if len(words) == 1 else "right"  # the gold patch
    if word == "broken":
        raise SandboxError("the engine fell over")
    tests = specification.grading_inputs(ROWS[job.name])
    fixed, kept = list(tests["FAIL_TO_PASS"]), list(tests["PASS_TO_PASS"])
    failing = {"wrong": fixed, "half": fixed[: len(fixed) // 2] + kept[: len(kept) // 2]}.get(word, [])
    controlled = any(path == CONTROL_FILE for path, _ in job.files)
    if controlled and word != "fooling":
        failing = fixed + kept
    lines = [f"{'FAILED' if name in failing else 'PASSED'} {name}" for name in (*fixed, *kept)]
    log = "\n".join(["+ : '>>>>> Start Test Output'", *lines, "+ : '>>>>> End Test Output'", ""]).encode()
    if controlled:
        token = dict(job.files)[TOKEN_FILE].decode().strip()
        head = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
        return Reply(head + log + f"\n{token} {CONTROL} 1 2.0\n".encode())
    done = evaluation_reply(job, log)
    return Reply(done.output, seconds={"slow": 300.0, "brief": 0.3}.get(word, 0.0))


class RewardingSandbox(ScriptedSandbox):
    """Keeps the jobs of all sandboxes, and how often one was opened and closed."""

    all_jobs: ClassVar[list[str]] = []
    events: ClassVar[list[str]] = []

    @classmethod
    def open(cls, settings: SandboxSettings) -> RewardingSandbox:
        cls.events.append("open")
        return cls(reply, settings.watcher)

    async def run(self, job: Job) -> JobResult:
        self.all_jobs.append(job.name)
        await anyio.wait_all_tasks_blocked()  # what is asked at the same time has come by then
        return await super().run(job)

    async def aclose(self) -> None:
        self.events.append("close")


def rewards_in_another_process(reward: ExecutionReward) -> list[float | None]:
    """What a process gives that was sent the reward."""
    return reward([answer("right"), "no"], [NAME, NAME])
