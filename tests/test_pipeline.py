from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
import orjson
import pytest

from swerl_eval import compose
from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import PreflightError, SandboxError, SourceError
from swerl_eval.core.jobs.control_run import CONTROL_FILE
from swerl_eval.core.jobs.scripts import PATCH_FILE, TOKEN_FILE
from swerl_eval.core.types import Completion, Instance, Job, JobResult, Outcome, SampleRequest, Verdict
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.official import specification
from swerl_eval.pipeline import Pipeline
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, Snapshot, ignore
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run
from swerl_eval.records.timeline import read_timeline
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts
from swerl_eval.sources.user_files import Predictions
from tests.wrapped_sampler import WrappedSampler

EXPECTED_CHOICE = {
    "demo__inkwell-1": 1,
    "demo__inkwell-2": 0,
    "demo__inkwell-3": 0,
    "demo__ledgerly-1": 0,
    "demo__ledgerly-2": 1,
    "demo__ledgerly-3": None,
    "demo__waypost-1": 1,
    "demo__waypost-2": 0,
    "demo__waypost-3": 1,
}
"""Samples that the vote chooses from the recorded answers (swerl_eval/demo/README.md)."""


class Counting(WrappedSampler):
    """The recorded answers, with the requests for them."""

    def __init__(self, inner: Sampler) -> None:
        super().__init__(inner)
        self.requests: list[SampleRequest] = []

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        self.requests.append(request)
        return await super().sample(request, on_tokens, on_answer)


def passing(job: Job) -> Reply:
    """Every test of the instance passes, as pytest would say it."""
    return evaluation_reply(job, b"+ : '>>>>> Start Test Output'\nPASSED tests/x.py::y\n+ : '>>>>> End Test Output'\n")


async def execute(config: RunConfig, sandbox: ScriptedSandbox, run: Run, sampler: Sampler | None = None) -> Pipeline:
    work = Runner(config)
    parts = Parts(work.source, work.prompts, sampler or open_sampler(config, work.source), sandbox)
    pipeline = Pipeline(run, parts, settings(config), Progress(), Workers(2))
    await pipeline.run(work.instances)
    return pipeline


@pytest.mark.anyio
async def test_the_vote_over_the_recorded_answers_chooses_as_the_suite_says(demo_config: RunConfig) -> None:
    sandbox = ScriptedSandbox(reply=passing)
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, sandbox, run)
        assert {record.instance_id: record.index for record in run.selections.values()} == EXPECTED_CHOICE
        report = write_reports(run)
    assert len(sandbox.jobs) == 8  # the empty patch is not run
    assert report["verdicts"]["empty_patch"] == 1
    assert report["localization"]["all_found"] == 7
    assert report["sampling"]["samples"] == 72
    assert sum(report["sampling"]["rejections"].values()) + report["sampling"]["valid"] == 72
    assert report["recorded"] is True


@pytest.mark.anyio
async def test_a_finished_run_is_not_run_again(demo_config: RunConfig) -> None:
    sandbox = ScriptedSandbox(reply=passing)
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, sandbox, run)
        first = write_reports(run)
    work = Runner(demo_config)
    with work.open_run() as run:
        counting = Counting(open_sampler(demo_config, work.source))
        again = ScriptedSandbox(reply=passing)
        await execute(demo_config, again, run, counting)
        assert (counting.requests, again.jobs) == ([], [])
        assert write_reports(run) == first


@pytest.mark.anyio
async def test_identical_prompts_are_one_request(demo_config: RunConfig) -> None:
    work = Runner(demo_config)
    counting = Counting(open_sampler(demo_config, work.source))
    with work.open_run() as run:
        await execute(demo_config, ScriptedSandbox(reply=passing), run, counting)
    asked = Counter((request.instance_id, request.stage, request.messages) for request in counting.requests)
    assert set(asked.values()) == {1}
    assert sum(request.n for request in counting.requests if request.stage == "repair") == 72


@pytest.mark.anyio
async def test_no_stage_before_evaluation_sees_an_answer(demo_config: RunConfig) -> None:
    work = Runner(demo_config)
    counting = Counting(open_sampler(demo_config, work.source))
    with work.open_run() as run:
        await execute(demo_config, ScriptedSandbox(reply=passing), run, counting)
    shown = "\n".join(message.content for request in counting.requests for message in request.messages)
    for instance in work.instances:
        oracle = work.source.oracle(instance.instance_id)
        for line in oracle.test_patch.splitlines():
            if line.startswith("+") and "def test_" in line:
                assert line[1:].strip() not in shown


class Faulty(ScriptedSandbox):
    """A sandbox whose engine fails for one instance."""

    broken = "demo__waypost-3"

    async def run(self, job: Job) -> JobResult:
        if job.name == self.broken:
            message = "the engine went away"
            raise SandboxError(message)
        return await super().run(job)


@pytest.mark.anyio
async def test_a_failing_machine_is_no_verdict_on_the_patch_and_is_tried_again(demo_config: RunConfig) -> None:
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, Faulty(reply=passing), run)
        report = write_reports(run)
    rows = {row["instance_id"]: row for row in report["instances"]}
    assert rows["demo__waypost-3"]["verdict"] == "infra_error"
    assert rows["demo__waypost-3"]["reason"] == "the engine went away"
    assert report["complete"] is False
    assert sum(row["verdict"] == "infra_error" for row in rows.values()) == 1
    again = ScriptedSandbox(reply=passing)
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, again, run)
        assert write_reports(run)["complete"] is True
    assert [job.name for job in again.jobs] == ["demo__waypost-3"]


@pytest.mark.anyio
async def test_a_repository_that_cannot_be_read_stops_no_other_instance(demo_config: RunConfig) -> None:
    work = Runner(demo_config)
    reading = work.source.snapshot

    async def snapshot(instance: Instance) -> Snapshot:
        if instance.instance_id == "demo__ledgerly-1":
            message = "no repository"
            raise SourceError(message)
        return await reading(instance)

    work.source.snapshot = snapshot  # type: ignore[method-assign]
    with work.open_run() as run:
        parts = Parts(work.source, work.prompts, open_sampler(demo_config, work.source), ScriptedSandbox(reply=passing))
        pipeline = Pipeline(run, parts, settings(demo_config), Progress(), Workers(2))
        await pipeline.run(work.instances)
        report = write_reports(run)
    assert pipeline.failures == {"demo__ledgerly-1": "no repository"}
    rows = {row["instance_id"]: row for row in report["instances"]}
    assert rows["demo__ledgerly-1"] == {
        "instance_id": "demo__ledgerly-1",
        "verdict": "missing",
        "reason": "no repository",
        "repo": "demo/ledgerly",
        "difficulty": "<15 min fix",
        "year": "2025",
        "files_hit": None,
    }
    assert [record.reason for record in Run(run.folder).failures.values()] == ["no repository"]
    with work.open_run() as run:
        del work.source.snapshot
        await execute(demo_config, ScriptedSandbox(reply=passing), run)
        assert len(run.failures) == 0
        assert rows["demo__ledgerly-1"] != write_reports(run)["instances"][3]
    assert len(Run(run.folder).failures) == 0
    assert report["verdicts"]["missing"] == 1


@pytest.mark.anyio
async def test_instances_overlap_and_containers_stay_within_the_workers(demo_config: RunConfig) -> None:
    running = most = 0
    two = anyio.Event()

    class Watched(ScriptedSandbox):
        async def run(self, job: Job) -> JobResult:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 2:
                two.set()
            with anyio.fail_after(240):
                await two.wait()
            await anyio.sleep(0.05)
            running -= 1
            return await super().run(job)

    with Runner(demo_config).open_run() as run:
        await execute(demo_config, Watched(reply=passing), run)
    assert most == demo_config.workers == 2


@pytest.mark.anyio
async def test_an_empty_patch_waits_for_no_container(demo_config: RunConfig) -> None:
    work, workers = Runner(demo_config), Workers(1)
    with work.open_run() as run:
        parts = Parts(work.source, work.prompts, open_sampler(demo_config, work.source), ScriptedSandbox(reply=passing))
        pipeline = Pipeline(run, parts, settings(demo_config), Progress(), workers)
        async with workers.limiter, anyio.create_task_group() as group:  # somebody has the only one
            group.start_soon(pipeline.run, work.instances)
            with anyio.fail_after(240):
                while len(run.evaluations) == 0:
                    await anyio.sleep(0.02)
            evaluations = {evaluation.instance_id: evaluation.verdict for evaluation in run.evaluations.values()}
            assert evaluations == {"demo__ledgerly-3": Verdict.EMPTY_PATCH}
            group.cancel_scope.cancel()


def test_given_patches_skip_the_stages_before_evaluation(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"sandbox": "scripted", "run_id": "given"})
    given = Predictions("someone", {"demo__inkwell-1": "diff", "demo__waypost-2": ""})
    work = WithSandbox(config, given, ScriptedSandbox(reply=passing))
    with work.open_run() as run:
        outcome = work.execute(run)
    assert outcome.complete
    report = orjson.loads((outcome.folder / "report.json").read_bytes())
    assert (report["total"], report["submitted"], report["complete"]) == (9, 2, True)
    assert (report["verdicts"]["empty_patch"], report["verdicts"]["missing"]) == (1, 7)
    assert len(report["without_prediction"]) == 7
    assert not set(report["without_prediction"]) & set(given.patches)
    assert report["sampling"] is None
    assert report["model"] == "someone"


def test_a_patch_that_no_file_can_hold_fails_alone_and_runs_nothing(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"sandbox": "scripted", "run_id": "given"})
    given = Predictions("m", {"demo__inkwell-1": "diff", "demo__waypost-2": "x"}, {"demo__waypost-2": "a surrogate"})
    sandbox = ScriptedSandbox(reply=passing)
    for _ in range(2):
        work = WithSandbox(config, given, sandbox)
        with work.open_run() as run:
            assert work.execute(run).complete
            found = run.evaluation_of("demo__waypost-2")
            stored = len(run.evaluations)
        assert found is not None
        assert (found.verdict.value, found.strict, found.reason) == ("patch_failed", found.verdict, "a surrogate")
        assert stored == 2
    assert {job.name for job in sandbox.jobs} == {"demo__inkwell-1"}
    swebench = orjson.loads((run.folder / "m.given.json").read_bytes())
    assert swebench["error_ids"] == ["demo__waypost-2"]


class WithSandbox(Runner):
    """Runs its jobs on a given sandbox, which has no images to check."""

    def __init__(self, config: RunConfig, predictions: Predictions, sandbox: ScriptedSandbox) -> None:
        super().__init__(config, predictions=predictions)
        self._sandbox = sandbox

    async def _open(self, parts: Parts, run: Run, order: Sequence[Instance]) -> None:
        parts.sandbox = self._sandbox


@pytest.mark.anyio
async def test_a_run_with_one_verdict_an_instance_can_be_given_all_verdicts_later(demo_config: RunConfig) -> None:
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, ScriptedSandbox(reply=passing), run)
        first = len(run.evaluations)
    config = demo_config.model_copy(update={"evaluate": "all"})
    assert config.default_run_id() == demo_config.default_run_id()
    again = ScriptedSandbox(reply=passing)
    with Runner(config).open_run() as run:
        await execute(config, again, run)
        valid = [each for each in run.candidates.values() if each.rejection is None]
        unique = len({(each.instance_id, each.normal_form) for each in valid})
        assert run.manifest.config["evaluate"] == "all"
        assert (first, len(run.evaluations)) == (9, unique + 1)  # and the one empty patch
    assert len(again.jobs) == unique - 8


@pytest.mark.anyio
async def test_the_strict_verdict_can_be_asked_for_later(demo_config: RunConfig) -> None:
    lax = demo_config.model_copy(update={"strict": False})
    with Runner(lax).open_run() as run:
        await execute(lax, ScriptedSandbox(reply=passing), run)
        assert write_reports(run)["strict"] is None
    with Runner(demo_config).open_run() as run:
        await execute(demo_config, ScriptedSandbox(reply=passing), run)
        assert write_reports(run)["strict"] is not None


def test_given_file_lists_stand_in_for_localization(demo_config: RunConfig, tmp_path: Path) -> None:
    lists = tmp_path / "loc.jsonl"
    lists.write_text('{"instance_id": "demo__inkwell-1", "found_files": ["inkwell/slugs.py"]}\n')
    config = demo_config.model_copy(update={"localization": str(lists), "instances": ("demo__inkwell-1",)})
    work = Runner(config, until="localize")
    with work.open_run() as run:
        assert work.execute(run).complete
        found = run.localizations.get("demo__inkwell-1")
    assert found is not None
    assert found.file_lists == (("inkwell/slugs.py",),)
    assert found.origin == str(lists)


@pytest.mark.anyio
async def test_another_model_may_write_the_tests(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"tests": 1, "test_samples": 6, "instances": ("demo__inkwell-1",)})
    work = Runner(config)
    repairs, tests = (Counting(open_sampler(config, work.source)) for _ in range(2))
    sandbox = ScriptedSandbox(reply=passing)
    with work.open_run() as run:
        parts = Parts(work.source, work.prompts, repairs, sandbox, tests)
        await Pipeline(run, parts, settings(config), Progress(), Workers(2)).run(work.instances)
        outcomes = {test.outcome for test in run.reproductions.values() if test.script}
    assert {request.stage for request in repairs.requests} == {"localize", "repair"}
    assert {request.stage for request in tests.requests} == {"guide", "reproduce"}
    assert outcomes == {Outcome.NOT_RUN}  # this sandbox runs nothing
    scripts = [job for job in sandbox.jobs if job.name.endswith(".tests")]
    assert scripts
    assert {job.limits.network for job in scripts} == {"none"}
    held = [span.stage for span in read_timeline(run.folder).containers]
    assert held.count("reproduce") == len(scripts)
    assert held.count("evaluate") == len(sandbox.jobs) - len(scripts) == 1


def test_a_disk_that_is_nearly_full_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, demo_config: RunConfig
) -> None:
    monkeypatch.setattr(compose, "MIN_FREE_BYTES", 2**60)
    work = Runner(demo_config)
    with work.open_run() as run, pytest.raises(PreflightError, match=r"GiB are free on the disk of .*images prune"):
        work.execute(run)
    assert not (demo_config.run_folder / "samples.jsonl").read_bytes()


@pytest.mark.anyio
async def test_a_machine_that_fails_while_candidates_are_tested_chooses_nothing_for_that_instance(
    demo_config: RunConfig,
) -> None:
    """No patch is chosen on half of the evidence; a resume runs what is missing."""
    config = demo_config.model_copy(update={"regression": True})
    ready = re.compile(rb"[0-9a-f]{32}")

    def tested(job: Job) -> Reply:
        if not job.name.endswith(".tests"):
            return passing(job)
        token = next(content for path, content in job.files if path == TOKEN_FILE)
        assert ready.match(token)
        mark = token.strip().decode()
        names = re.findall(r"run '(tests \d+)'", job.script)
        parts = [f"{mark} BEGIN {n}\nPASSED t.py::a\n\n{mark} END {n} 0 1.0 2.0 same\n" for n in names]
        return Reply(f"{mark} READY\n{''.join(parts)}".encode())

    class Failing(ScriptedSandbox):
        async def run(self, job: Job) -> JobResult:
            if job.name == "demo__waypost-1.tests" and any(path == PATCH_FILE for path, _ in job.files):
                message = "the engine went away"
                raise SandboxError(message)
            return await super().run(job)

    with Runner(config).open_run() as run:
        pipeline = await execute(config, Failing(reply=tested), run)
        assert pipeline.failures == {"demo__waypost-1": "the engine went away"}
        assert "demo__waypost-1" not in run.selections
        assert len(run.selections) == 8
    again = ScriptedSandbox(reply=tested)
    with Runner(config).open_run() as run:
        assert (await execute(config, again, run)).failures == {}
        assert len(run.selections) == 9
    assert {job.name.removesuffix(".tests") for job in again.jobs} == {"demo__waypost-1"}


def test_a_run_folder_holds_the_issues_from_the_start_and_the_gold_patches_of_what_was_evaluated(
    demo_config: RunConfig,
) -> None:
    config = demo_config.model_copy(update={"sandbox": "scripted"})
    work = Runner(config, until="localize")
    with work.open_run() as run:
        work.execute(run)
        texts = {issue.instance_id: issue.text for issue in run.issues.values()}
        assert texts == {instance.instance_id: instance.problem_statement for instance in work.instances}
        assert len(run.gold_patches) == 0
    stored = (run.folder / "issues.jsonl").read_bytes()
    work = Runner(config)
    with work.open_run() as run:
        work.execute(run)
        gold = {record.instance_id: record.patch for record in run.gold_patches.values()}
    assert gold == {name: work.source.oracle(name).patch for name in EXPECTED_CHOICE}
    assert (run.folder / "issues.jsonl").read_bytes() == stored
    gold_file = (run.folder / "gold_patches.jsonl").read_bytes()
    with Runner(config).open_run() as run:
        Runner(config).execute(run)
    assert (run.folder / "gold_patches.jsonl").read_bytes() == gold_file


def test_patches_that_were_handed_in_have_their_gold_patches_and_all_issues_beside_them(demo_config: RunConfig) -> None:
    patches = {"demo__waypost-1": "", "demo__waypost-2": "no diff"}
    work = Runner(
        demo_config.model_copy(update={"sandbox": "scripted"}),
        predictions=Predictions("m", patches, unusable={"demo__waypost-2": "it cannot be written"}),
    )
    with work.open_run() as run:
        work.execute(run)
        assert sorted(run.gold_patches.keys()) == sorted(patches)
        assert len(run.issues) == 9


def test_a_second_run_takes_its_verdicts_from_the_cache_and_says_so(demo_config: RunConfig, tmp_path: Path) -> None:
    config = demo_config.model_copy(update={"sandbox": "scripted", "reuse": True, "cache": str(tmp_path / "cache")})
    reports = []
    for run_id, cache_hits_expected in (("one", 0), ("two", 8), ("two", 0)):
        work = Runner(config.model_copy(update={"run_id": run_id}))
        with work.open_run() as run:
            assert work.execute(run).complete
            assert [machine.engine for machine in run.machines.values()] == ["scripted"]
        assert work.progress.cache_hits == cache_hits_expected
        events = [orjson.loads(line) for line in (run.folder / "events.jsonl").read_bytes().splitlines()]
        said = [event["instance_id"] for event in events if event["event"].startswith("from the cache: ")]
        assert len(said) == (0 if run_id == "one" else 8)
        reports.append((run.folder / "report.json").read_bytes().replace(b'"two"', b'"one"'))
    assert reports[0] == reports[1] == reports[2]
    uncached = Runner(config.model_copy(update={"run_id": "three", "reuse": False}))
    with uncached.open_run() as run:
        uncached.execute(run)
    assert uncached.progress.cache_hits == 0


@pytest.mark.anyio
@pytest.mark.parametrize("reuse", [True, False])
async def test_a_strict_verdict_that_the_machine_prevented_is_tried_again_alone_where_the_official_one_is_known(
    demo_config: RunConfig, tmp_path: Path, reuse: bool
) -> None:
    config = demo_config.model_copy(update={"instances": ("demo__ledgerly-2",)})
    verdicts = VerdictCache(tmp_path / "verdicts") if reuse else None
    work = Runner(config)
    oracle = work.source.oracle("demo__ledgerly-2")
    tests = specification.grading_inputs(oracle.row)
    names = [*tests["FAIL_TO_PASS"], *tests["PASS_TO_PASS"]]
    log = "\n".join([">>>>> Start Test Output", *(f"PASSED {name}" for name in names), ">>>>> End Test Output", ""])

    class Failing(ScriptedSandbox):
        async def run(self, job: Job) -> JobResult:
            if any(path == CONTROL_FILE for path, _ in job.files):
                self.jobs.append(job)
                message = "the engine went away"
                raise SandboxError(message)
            return await super().run(job)

    for expected in (2, 1 if reuse else 2):
        sandbox = Failing(lambda job: evaluation_reply(job, log.encode()))
        with Runner(config).open_run() as run:
            parts = Parts(work.source, work.prompts, open_sampler(config, work.source), sandbox, verdicts=verdicts)
            await Pipeline(run, parts, settings(config), Progress(), Workers(2)).run(work.instances)
            report = write_reports(run)
        assert report["resolved"] == 1
        assert report["complete"] is False
        assert report["instances"][0]["strict"] == "infra_error"
        assert report["instances"][0]["strict_reason"] == "the engine went away"
        assert len(sandbox.jobs) == expected
