"""Saved logs graded again, over a run of the bundled suite whose containers were scripted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import RunLockedError
from swerl_eval.core.jobs.control_run import CONTROL, CONTROL_FILE
from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, TOKEN_FILE
from swerl_eval.core.types import Evaluation, Job, Oracle, Verdict
from swerl_eval.evaluation import regrade as module
from swerl_eval.evaluation.regrade import regrade
from swerl_eval.official import specification
from swerl_eval.pipeline import Pipeline
from swerl_eval.progress import Progress
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts
from swerl_eval.sources.datasets import DatasetSource

ONE, CHEAT = "demo__ledgerly-2", "demo__inkwell-1"


class Changed(DatasetSource):
    """The suite with other columns in some rows."""

    def __init__(self, source: DatasetSource, columns: Mapping[str, Mapping[str, str]]) -> None:
        self._source, self._columns = source, columns
        self.fingerprint = "0" * 64

    def instances(self) -> list:
        return [each for each in self._source.instances() if self._columns.get(each.instance_id) != {}]

    def oracle(self, instance_id: str) -> Oracle:
        oracle = self._source.oracle(instance_id)
        return replace(oracle, row={**oracle.row, **self._columns.get(instance_id, {})})


def log_of(oracle: Oracle, status: str) -> bytes:
    tests = specification.grading_inputs(oracle.row)
    lines = [f"{status} {name}" for name in (*tests["FAIL_TO_PASS"], *tests["PASS_TO_PASS"])]
    return "\n".join(["+ : '>>>>> Start Test Output'", *lines, "+ : '>>>>> End Test Output'", ""]).encode()


@pytest.fixture
def folder(demo_config: RunConfig) -> Path:
    """A finished run: everything resolved; one of them says success in its control run too."""
    config = demo_config.model_copy(update={"evaluate": "all"})
    work = Runner(config)

    def reply(job: Job) -> Reply:
        oracle = work.source.oracle(job.name)
        if not any(path == CONTROL_FILE for path, _ in job.files):
            return evaluation_reply(job, log_of(oracle, "PASSED"))
        token = dict(job.files)[TOKEN_FILE].decode().strip()
        cheats = job.name == CHEAT and dict(job.files)["/tmp/patch.diff"] != oracle.patch.encode()
        begun = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
        end = f"\n{token} {CONTROL} {0 if cheats else 1} 2.0\n".encode()
        return Reply(begun + log_of(oracle, "PASSED" if cheats else "FAILED") + end)

    async def carried_out(run: Run) -> None:
        parts = Parts(work.source, work.prompts, work._sampler, ScriptedSandbox(reply))
        await Pipeline(run, parts, settings(config), Progress(), Workers(2)).run(work.instances)

    with work.open_run() as run:
        anyio.run(carried_out, run)
        return run.folder


@pytest.fixture
def source(demo_config: RunConfig) -> DatasetSource:
    return open_source(demo_config)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluation_of(folder: Path, name: str) -> Evaluation:
    evaluation = Run(folder).evaluation_of(name)
    assert evaluation is not None
    return evaluation


def test_the_same_rows_give_the_same_verdicts_and_change_no_file(folder: Path, source: DatasetSource) -> None:
    before = content(folder / "logs")
    evaluations = list(Run(folder).evaluations.values())
    assert evaluation_of(folder, CHEAT).strict is Verdict.UNRESOLVED
    assert evaluation_of(folder, ONE).strict is Verdict.RESOLVED
    with reopen_run(folder) as run:
        found = regrade(run, source)
    assert (found.graded, found.changes, found.ungraded) == (29, [], {})
    assert list(Run(folder).evaluations.values()) == evaluations
    assert content(folder / "logs") == before
    assert [record.dataset_fingerprint for record in Run(folder).regrades.values()] == [source.fingerprint]


def test_a_changed_row_changes_its_verdicts_and_no_other(folder: Path, source: DatasetSource) -> None:
    changed = Changed(source, {ONE: {"FAIL_TO_PASS": '["tests/test_money.py::test_that_never_ran"]'}})
    before = Run(folder).evaluation_of(ONE)
    with reopen_run(folder) as run:
        found = regrade(run, changed)
    assert {change.instance_id for change in found.changes} == {ONE}
    chosen = next(change for change in found.changes if change.before == before)
    assert (chosen.after.verdict, chosen.after.strict) == (Verdict.UNRESOLVED, Verdict.UNRESOLVED)
    assert Run(folder).evaluation_of(ONE) == chosen.after
    written = orjson.loads((folder / "logs" / ONE / "report.json").read_bytes())
    assert written == {ONE: chosen.after.report}
    with reopen_run(folder) as run:  # and back
        assert len(regrade(run, source).changes) == len(found.changes)
    assert Run(folder).evaluation_of(ONE) == before


@pytest.mark.parametrize("whole", [False, True], ids=["half of a file", "another program's file"])
def test_a_control_run_whose_facts_cannot_be_read_was_not_run(folder: Path, source: DatasetSource, whole: bool) -> None:
    file = folder / "logs" / ONE / "control.json"
    content = file.read_bytes()
    file.write_bytes(b'{"aside": 1}' if whole else content[: len(content) // 2])
    with reopen_run(folder) as run:
        (change,) = regrade(run, source).changes
    assert (change.before.strict, change.after.strict) == (Verdict.RESOLVED, Verdict.INFRA_ERROR)
    assert change.after.strict_reason == "it had no control run; the same command again does it"
    file.write_bytes(content)
    with reopen_run(folder) as run:
        (change,) = regrade(run, source).changes
    assert change.after.strict is Verdict.RESOLVED


def test_the_strict_verdict_is_computed_from_the_saved_control_run(folder: Path, source: DatasetSource) -> None:
    log = folder / "logs" / CHEAT / "control_output.txt"
    log.write_bytes(log_of(source.oracle(CHEAT), "FAILED"))
    facts = log.parent / "control.json"
    facts.write_bytes(orjson.dumps({**orjson.loads(facts.read_bytes()), "exit_code": 1}))
    with reopen_run(folder) as run:
        (change,) = regrade(run, source).changes
    assert (change.before.strict, change.after.strict) == (Verdict.UNRESOLVED, Verdict.RESOLVED)
    assert change.before.verdict is change.after.verdict is Verdict.RESOLVED
    assert (change.after.strict_reason, change.after.suspicious) == ("", ())


def test_a_resolved_patch_without_a_saved_control_run_is_left_to_a_resume(folder: Path, source: DatasetSource) -> None:
    (folder / "logs" / ONE / "control.json").unlink()
    with reopen_run(folder) as run:
        regrade(run, source)
    found = evaluation_of(folder, ONE)
    assert (found.verdict, found.strict) == (Verdict.RESOLVED, Verdict.INFRA_ERROR)
    assert found.strict_reason == "it had no control run; the same command again does it"
    assert not found.settled(strict=True)


def test_what_cannot_be_graded_stays_as_it_was_and_is_named(folder: Path, source: DatasetSource) -> None:
    shutil.rmtree(folder / "logs" / ONE)
    before = list(Run(folder).evaluations.values())
    with reopen_run(folder) as run:
        found = regrade(run, Changed(source, {CHEAT: {}}))
    assert found.ungraded[CHEAT] == "the dataset has no such instance any more"
    assert found.ungraded[ONE].endswith("test_output.txt is gone")
    assert found.graded == sum(each.instance_id not in {ONE, CHEAT} for each in before if each.report)
    assert list(Run(folder).evaluations.values()) == before


def test_an_older_run_folder_gets_the_gold_patches_of_what_is_graded(folder: Path, source: DatasetSource) -> None:
    (folder / "gold_patches.jsonl").unlink()
    with reopen_run(folder) as run:
        regrade(run, source)
    gold = {record.instance_id: record.patch for record in Run(folder).gold_patches.values()}
    assert gold == {name: source.oracle(name).patch for name in gold}
    assert len(gold) == 8
    stored = (folder / "gold_patches.jsonl").read_bytes()
    with reopen_run(folder) as run:
        regrade(run, source)
    assert (folder / "gold_patches.jsonl").read_bytes() == stored


def test_several_processes_give_what_one_gives(
    folder: Path, source: DatasetSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [module._Task(each, source.oracle(each.instance_id)) for each in source.instances()]
    by_name = {task.instance.instance_id: task for task in tasks}
    for stored, logs in module._evaluations(Run(folder)):
        by_name[stored.instance_id].evaluations.append((stored, logs))
    tasks = [task for task in tasks if task.evaluations]
    alone = [each for graded in module._grade_all(tasks) for each in graded]
    monkeypatch.setattr(module, "BYTES_PER_PROCESS", 1)
    monkeypatch.setattr(module, "EVALUATIONS_PER_PIECE", 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert [each for graded in module._grade_all(tasks) for each in graded] == alone
    assert len(alone) == 29


def test_a_run_that_another_process_writes_is_not_graded(folder: Path) -> None:
    with reopen_run(folder), pytest.raises(RunLockedError, match="is being written by another process"):
        reopen_run(folder)
