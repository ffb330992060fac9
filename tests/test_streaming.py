"""Answers that come one by one: what starts before the last one, and what is not drawn at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Candidate, Completion, Job, JobResult, Outcome, Rejection, SampleRequest
from swerl_eval.pipeline import Pipeline
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, ignore
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import ScriptedSandbox
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts
from swerl_eval.stages.candidate_stream import CandidateStream
from tests.test_pipeline import passing
from tests.wrapped_sampler import WrappedSampler

pytestmark = pytest.mark.anyio
ONE = "demo__inkwell-1"


class OneByOne(WrappedSampler):
    """The recorded answers, each repair answer told alone; before each, `wait` with how many were told."""

    def __init__(self, inner: Sampler, wait: Callable[[int], Awaitable[None]]) -> None:
        super().__init__(inner)
        self._wait = wait
        self.told = 0
        self.asked: list[tuple[str, str]] = []

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        self.asked.append((request.instance_id, request.stage))
        completions = await self.inner.sample(request, on_tokens)
        if request.stage == "repair":
            for place, completion in enumerate(completions):
                await self._wait(self.told)
                on_answer(place, completion)
                self.told += 1
        return completions


async def execute(
    config: RunConfig, run: Run, sandbox: ScriptedSandbox, wait: Callable[[int], Awaitable[None]], *, stop: bool = False
) -> OneByOne:
    work = Runner(config)
    sampler = OneByOne(open_sampler(config, work.source), wait)
    how = replace(settings(config), stop_when_decided=stop)
    parts = Parts(work.source, work.prompts, sampler, sandbox)
    await Pipeline(run, parts, how, Progress(), Workers(2)).run(work.instances)
    return sampler


async def test_candidates_are_tested_while_other_samples_are_still_decoding(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"tests": 2, "test_samples": 6, "instances": (ONE,)})
    examined = anyio.Event()

    class Watched(ScriptedSandbox):
        async def run(self, job: Job) -> JobResult:
            if any(path == "/tmp/patch.diff" for path, _ in job.files):
                examined.set()
            return await super().run(job)

    async def wait(told: int) -> None:
        if told == config.samples - 1:  # the last answer comes only when a candidate has been seen in a container
            with anyio.fail_after(240):
                await examined.wait()

    reproducing = _sandbox_in_which_scripts_reproduce(Watched)
    with Runner(config).open_run() as run:
        await execute(config, run, reproducing, wait)
        assert len(run.candidates) == config.samples
        assert any(test.outcome is Outcome.REPRODUCED for test in run.reproductions.values())
        assert run.selections.get(ONE) is not None


def _sandbox_in_which_scripts_reproduce(kind: type[ScriptedSandbox]) -> ScriptedSandbox:
    from swerl_eval.core.jobs.scripts import TOKEN_FILE
    from swerl_eval.sandboxes.scripted import Reply

    def answer(job: Job) -> Reply:
        if not job.name.endswith(".tests"):
            return passing(job)
        mark = next(content for path, content in job.files if path == TOKEN_FILE).decode().strip()
        numbers = [path.rpartition("/")[2].removesuffix(".py") for path, _ in job.files if path.endswith(".py")]
        parts = [
            f"{mark} BEGIN script {n}\nIssue reproduced\n\n{mark} END script {n} 0 1.0 2.0 same\n" for n in numbers
        ]
        return Reply(f"{mark} READY\n{''.join(parts)}".encode())

    return kind(reply=answer)


async def test_the_first_instances_tests_are_written_before_the_others_patches(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"tests": 2, "test_samples": 6, "requests": 1})
    with Runner(config).open_run() as run:
        sampler = await execute(config, run, _sandbox_in_which_scripts_reproduce(ScriptedSandbox), nothing)
    first = sampler.asked[0][0]
    before = sampler.asked[: sampler.asked.index((first, "reproduce"))]
    # others have their turns while the first one's tests are being prepared, and no longer
    assert sum(stage == "repair" and name != first for name, stage in before) < 10


async def test_where_the_choice_was_made_no_tests_are_written_afterwards(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"tests": 2, "test_samples": 6, "instances": (ONE,)})
    with Runner(config).open_run() as run:
        await execute(config, run, _sandbox_in_which_scripts_reproduce(ScriptedSandbox), nothing)
    for name in ("reproductions.jsonl", "samples.jsonl"):
        (config.run_folder / name).write_bytes(b"")
    with Runner(config).open_run() as run:
        again = await execute(config, run, _sandbox_in_which_scripts_reproduce(ScriptedSandbox), nothing)
    assert again.asked == []


async def nothing(told: int) -> None:
    # let what was told be read before the next answer comes
    for _ in range(20):
        await anyio.sleep(0.001)


async def test_stopping_when_it_is_decided_draws_less_and_chooses_the_same(
    demo_config: RunConfig, tmp_path: Path
) -> None:
    chosen = {}
    drawn = {}
    for stop in (False, True):
        config = demo_config.model_copy(update={"run_id": f"stop-{stop}"})
        with Runner(config).open_run() as run:
            await execute(config, run, ScriptedSandbox(reply=passing), nothing, stop=stop)
            chosen[stop] = {each.instance_id: (each.index, each.patch) for each in run.selections.values()}
            drawn[stop] = len(run.candidates)
    assert chosen[True] == chosen[False]
    assert drawn[False] == 72
    assert drawn[True] < 72


async def test_a_run_that_stopped_early_is_not_drawn_further_when_it_is_resumed(demo_config: RunConfig) -> None:
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, run, ScriptedSandbox(reply=passing), nothing, stop=True)
        drawn = len(run.candidates)
    with Runner(demo_config).open_run() as run:
        again = await execute(demo_config, run, ScriptedSandbox(reply=passing), nothing, stop=True)
        assert (again.told, len(run.candidates)) == (0, drawn)


def candidate(index: int, form: str) -> Candidate:
    return Candidate("i", index, f"patch {index}", form) if form else Candidate("i", index, rejection=Rejection.NO_EDIT)


async def test_each_form_is_given_once_as_soon_as_it_comes() -> None:
    found, seen = CandidateStream(5), []

    async def watch() -> None:
        async for each in found.unique_as_they_come():
            seen.append(each.index)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        for index, form in ((4, "a"), (2, ""), (3, "b"), (1, "a")):
            found.add(candidate(index, form))
            await anyio.wait_all_tasks_blocked()
        assert seen == [4, 3]
        found.add(candidate(0, "c"))
        found.end()
    assert seen == [4, 3, 0]
    assert {form: each.index for form, each in found.unique.items()} == {"c": 0, "a": 1, "b": 3}


async def test_the_first_ones_are_the_same_in_whatever_order_they_come() -> None:
    found = CandidateStream(4)
    first: list[int] = []

    async def watch() -> None:
        first.extend(each.index for each in await found.first(2))

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        for index in (3, 1, 2):
            found.add(candidate(index, "a"))
        await anyio.wait_all_tasks_blocked()
        assert first == []
        found.add(candidate(0, "b"))
    assert first == [0, 1]


async def test_what_never_comes_is_not_waited_for_once_it_has_ended() -> None:
    found = CandidateStream(4)
    found.add(candidate(1, "a"))
    found.end()
    assert [each.index for each in await found.first(3)] == [1]
