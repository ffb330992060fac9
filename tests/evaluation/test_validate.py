from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.jobs.scripts import PATCH_FILE
from swerl_eval.core.types import Job
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.instance_check import InstanceCheck
from swerl_eval.evaluation.validate import Validator
from swerl_eval.official import specification
from swerl_eval.progress import Progress
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.sources.datasets import DatasetSource

SOUND, FLAKY, INVALID = "demo__inkwell-1", "demo__ledgerly-2", "demo__waypost-1"
REPEAT = 3


def statuses(source: DatasetSource, name: str, *, resolved: bool, failing: tuple[str, ...] = ()) -> bytes:
    tests = specification.grading_inputs(source.oracle(name).row)
    lines = [f"{'PASSED' if resolved else 'FAILED'} {test}" for test in tests["FAIL_TO_PASS"]]
    lines += [f"{'FAILED' if test in failing else 'PASSED'} {test}" for test in tests["PASS_TO_PASS"]]
    return "\n".join(["+ : '>>>>> Start Test Output'", *lines, "+ : '>>>>> End Test Output'", ""]).encode()


async def validated(config: RunConfig, folder: Path, sandbox: ScriptedSandbox) -> dict[str, InstanceCheck]:
    source = open_source(config.model_copy(update={"instances": (SOUND, FLAKY, INVALID)}))
    evaluator = Evaluator(sandbox, settings(config).evaluate)
    validator = Validator(source, evaluator, anyio.CapacityLimiter(2), Progress(), folder, REPEAT)
    return {each.instance_id: each for each in await validator.run()}


@pytest.mark.anyio
async def test_an_instance_that_passes_every_other_time_is_found_flaky_and_its_test_is_named(
    demo_config: RunConfig, tmp_path: Path
) -> None:
    source = open_source(demo_config)
    turns: Counter[str] = Counter()
    moving = specification.grading_inputs(source.oracle(FLAKY).row)["PASS_TO_PASS"][0]

    def reply(job: Job) -> Reply:
        gold = bool(dict(job.files)[PATCH_FILE])
        resolved = gold and job.name != INVALID
        failing: tuple[str, ...] = ()
        if job.name == FLAKY and gold:
            turns[job.name] += 1
            failing = (moving,) if turns[job.name] == 2 else ()
        return evaluation_reply(job, statuses(source, job.name, resolved=resolved, failing=failing))

    sandbox = ScriptedSandbox(reply)
    found = await validated(demo_config, tmp_path, sandbox)
    assert len(sandbox.jobs) == 3 * 2 * REPEAT  # nothing comes from a cache
    assert found[SOUND].problems == []
    (fault,) = found[FLAKY].problems
    assert fault == f"flaky: with the gold patch 2 resolved, 1 unresolved; passing now and then: {moving}"
    assert found[INVALID].problems == ["invalid: the gold patch does not resolve it"]
    logs = [path.relative_to(tmp_path) for path in tmp_path.rglob("test_output.txt")]
    assert len(logs) == 3 * 2 * REPEAT
    assert Path(f"gold/{FLAKY}/3/test_output.txt") in logs
