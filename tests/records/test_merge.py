"""Shards of a run, made by the real pipeline with the scripted sandbox, merge to the run that was never divided."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import RunConflictError, UsageError
from swerl_eval.core.types import Evaluation, Failure, Job, ModelUsage, Verdict
from swerl_eval.pipeline import Pipeline
from swerl_eval.progress import Progress
from swerl_eval.records.manifest import read_manifest, write_manifest
from swerl_eval.records.merge import merge, merged_manifest, missing_line
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.exports.swebench import SwebenchExporter
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts

RUN_ID = "whole"
NAME = "demo__inkwell-1"
"""An instance of the first shard."""


def passing(job: Job) -> Reply:
    return evaluation_reply(job, b"+ : '>>>>> Start Test Output'\nPASSED tests/x.py::y\n+ : '>>>>> End Test Output'\n")


def carried_out(config: RunConfig) -> Path:
    """Carry out a run with recorded answers, and containers whose output is scripted."""
    runner = Runner(config)
    parts = Parts(runner.source, runner.prompts, open_sampler(config, runner.source), ScriptedSandbox(reply=passing))
    with runner.open_run() as run:
        pipeline = Pipeline(run, parts, settings(config), Progress(), Workers(2))
        anyio.run(pipeline.run, runner.instances)
        assert pipeline.failures == {}
        write_reports(run)
    return run.folder


@pytest.fixture(scope="module")
def made(mirrors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the undivided run and its three shards."""
    from swerl_eval.demo.setup import demo_settings

    folder = tmp_path_factory.mktemp("made")
    vote = {"tests": 0, "test_samples": 0, "regression": False, "evaluate": "selected"}
    own = {"repositories": str(mirrors), "reuse": False, "sandbox": "swerl_eval.sandboxes.scripted:ScriptedSandbox"}
    config = RunConfig(**{**demo_settings(), **vote, **own, "run_id": RUN_ID, "results": str(folder)})
    carried_out(config)
    for part in (1, 2, 3):
        carried_out(config.model_copy(update={"shard": f"{part}/3", "run_id": f"shard-{part}"}))
    return folder


@pytest.fixture
def parts(made: Path, tmp_path: Path) -> list[Path]:
    """Copies of the shards, to be changed."""
    return [Path(shutil.copytree(made / f"shard-{part}", tmp_path / f"shard-{part}")) for part in (1, 2, 3)]


def merged(parts: list[Path], folder: Path, run_id: str = RUN_ID) -> Path:
    runs = [Run(part) for part in parts]
    merge(runs, folder / run_id, merged_manifest(runs, run_id))
    with reopen_run(folder / run_id) as run:
        write_reports(run)
    return folder / run_id


def change_evaluation(folder: Path, change: Callable[[Evaluation], Evaluation], name: str = NAME) -> None:
    with reopen_run(folder) as run:
        evaluation = run.evaluation_of(name)
        assert evaluation is not None
        run.evaluations.append(change(evaluation))


def shard_of(parts: list[Path], name: str = NAME) -> Path:
    return next(part for part in parts if name in read_manifest(part).instances)


def test_the_shards_divide_the_instances(made: Path) -> None:
    shards = [set(read_manifest(made / f"shard-{part}").instances) for part in (1, 2, 3)]
    assert sorted(map(len, shards)) == [2, 3, 4]
    assert set.union(*shards) == set(read_manifest(made / RUN_ID).instances)


def test_merged_shards_give_the_reports_of_the_undivided_run_byte_for_byte(
    made: Path, parts: list[Path], tmp_path: Path
) -> None:
    whole, united = made / RUN_ID, merged(parts, tmp_path / "out")
    for name in ("report.json", "all_preds.jsonl", f"replay.{RUN_ID}.json"):
        assert (united / name).read_bytes() == (whole / name).read_bytes(), name
    first, second = read_manifest(whole), read_manifest(united)
    assert first.instances == second.instances
    assert list(first.instances) == list(second.instances)
    assert first.dataset_fingerprint == second.dataset_fingerprint
    assert first.identity == second.identity
    assert second.unsharded is None


def test_every_record_is_carried_over_whatever_the_order_of_the_parts(
    made: Path, parts: list[Path], tmp_path: Path
) -> None:
    whole, united = Run(made / RUN_ID), Run(merged(parts[::-1], tmp_path / "out"))
    compared = 0
    for journal, other in zip(whole.journals, united.journals, strict=True):
        assert set(journal.keys()) == set(other.keys()), journal.path.name
        compared += len(other)
    assert compared > 200
    for name in ("samples", "candidates", "selections", "localizations", "rewards"):
        assert set(getattr(united, name).values()) == set(getattr(whole, name).values())


def test_logs_and_timelines_are_carried_over(made: Path, parts: list[Path], tmp_path: Path) -> None:
    whole, united = made / RUN_ID, merged(parts, tmp_path / "out")
    logs = {file.relative_to(whole): file.read_bytes() for file in (whole / "logs").rglob("*") if file.is_file()}
    assert logs
    assert {file.relative_to(united) for file in (united / "logs").rglob("*") if file.is_file()} == set(logs)
    lines = [line for part in parts for line in (part / "events.jsonl").read_bytes().splitlines()]
    assert sorted((united / "events.jsonl").read_bytes().splitlines()) == sorted(lines)


def test_a_merged_run_is_resumed_by_the_command_of_the_undivided_one(
    made: Path, parts: list[Path], tmp_path: Path
) -> None:
    missing = [part for part in parts if part != shard_of(parts)]
    united = merged(missing, tmp_path / "out")
    config = RunConfig(**{**read_manifest(made / RUN_ID).config, "results": str(tmp_path / "out")})
    assert Runner(config).pending(Run(united)) != []
    carried_out(config)
    assert (united / "report.json").read_bytes() == (made / RUN_ID / "report.json").read_bytes()


def test_instances_of_a_shard_that_is_not_there_are_missing_and_said_so(parts: list[Path], tmp_path: Path) -> None:
    absent = shard_of(parts)
    rest = [part for part in parts if part != absent]
    runs = [Run(part) for part in rest]
    names = sorted(read_manifest(absent).instances)
    assert missing_line(merged_manifest(runs, "x"), runs) == (
        f"{len(names)} of 9 instances are in none of the folders: {', '.join(names)}"
    )
    assert missing_line(merged_manifest([Run(part) for part in parts], "x"), [Run(part) for part in parts]) == ""
    report = Run(merged(rest, tmp_path / "out"))
    assert [name for name in report.manifest.instances if report.evaluation_of(name) is None] != []


def test_the_same_part_twice_adds_nothing(made: Path, parts: list[Path], tmp_path: Path) -> None:
    united = merged([*parts, made / "shard-1"], tmp_path / "out")
    assert (united / "report.json").read_bytes() == (made / RUN_ID / "report.json").read_bytes()


def test_times_of_the_same_verdict_may_differ(made: Path, parts: list[Path], tmp_path: Path) -> None:
    again = Path(shutil.copytree(shard_of(parts), tmp_path / "again"))
    change_evaluation(again, lambda evaluation: dataclasses.replace(evaluation, seconds=1e6))
    united = merged([*parts, again], tmp_path / "out")
    assert (united / "report.json").read_bytes() == (made / RUN_ID / "report.json").read_bytes()


def test_different_verdicts_on_one_patch_are_refused_and_leave_no_folder(parts: list[Path], tmp_path: Path) -> None:
    again = Path(shutil.copytree(shard_of(parts), tmp_path / "again"))
    change_evaluation(again, lambda evaluation: dataclasses.replace(evaluation, verdict=Verdict.TIMED_OUT))
    with pytest.raises(RunConflictError, match=rf"again disagrees .*evaluations \('{NAME}', "):
        merged([*parts, again], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_verdict_counts_more_than_a_failure_of_the_machine(
    order: int, made: Path, parts: list[Path], tmp_path: Path
) -> None:
    again = Path(shutil.copytree(shard_of(parts), tmp_path / "again"))
    failed: dict[str, Any] = {
        "verdict": Verdict.INFRA_ERROR,
        "strict": None,
        "report": None,
        "reason": "the engine is gone",
    }
    change_evaluation(again, lambda evaluation: dataclasses.replace(evaluation, **failed))
    united = merged([*parts, again][::order], tmp_path / "out")
    assert (united / "report.json").read_bytes() == (made / RUN_ID / "report.json").read_bytes()


def test_the_usage_of_processes_that_began_at_one_instant_is_not_lost(parts: list[Path], tmp_path: Path) -> None:
    for tokens, part in enumerate(parts, start=1):
        with reopen_run(part) as run:
            run.usage.append(ModelUsage(5.0, 1.0, 1, 10, None, tokens))
    usage = list(Run(merged(parts, tmp_path / "out")).usage.values())
    assert sorted(process.completion_tokens for process in usage) == [1, 2, 3]


@pytest.mark.parametrize("order", [1, -1])
def test_a_failure_is_carried_over_unless_another_part_has_the_verdict(
    order: int, parts: list[Path], tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(shard_of(parts), tmp_path / "broken"))
    (broken / "evaluations.jsonl").unlink()
    for part, reason in ((broken, "no such model"), (shard_of(parts), "no model")):
        with reopen_run(part) as run:
            run.failures.append(Failure(NAME, reason))
    both = Run(merged([*parts, broken][::order], tmp_path / "both"))
    assert list(both.failures.values()) == []
    rest = [part for part in parts if part != shard_of(parts)]
    alone = Run(merged([*rest, broken][::order], tmp_path / "alone"))
    assert list(alone.failures.values()) == [Failure(NAME, "no such model")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: dataclasses.replace(m, identity={**m.identity, "samples": 9}), "samples: 8 there, 9 now"),
        (lambda m: dataclasses.replace(m, versions={"swebench": "4.0"}), r"swebench 5\S+ there, 4.0 now"),
        (lambda m: dataclasses.replace(m, prompts={**m.prompts, "repair": "x"}), "the prompt templates repair"),
        (lambda m: dataclasses.replace(m, recorded=False), "whether the answers were recorded"),
        (lambda m: dataclasses.replace(m, model_name="other"), "where the patches come from"),
        (
            lambda m: dataclasses.replace(m, unsharded=dataclasses.replace(m.unsharded, dataset_fingerprint="0")),
            "the dataset's content",
        ),
    ],
)
def test_parts_of_different_runs_are_refused_with_the_difference(
    change: Callable[[Any], Any], words: str, parts: list[Path]
) -> None:
    write_manifest(parts[1], change(read_manifest(parts[1])))
    with pytest.raises(RunConflictError, match=words):
        merged_manifest([Run(part) for part in parts], "x")


def test_a_shard_that_does_not_say_of_what_is_refused_with_another_way(parts: list[Path]) -> None:
    write_manifest(parts[0], dataclasses.replace(read_manifest(parts[0]), unsharded=None))
    with pytest.raises(UsageError, match=r"is a shard of an older version .*all_preds\.jsonl"):
        merged_manifest([Run(part) for part in parts], "x")


def test_one_folder_alone_is_no_merge(parts: list[Path]) -> None:
    with pytest.raises(UsageError, match="nothing to merge with"):
        merged_manifest([Run(parts[0])], "x")


def test_a_folder_that_is_there_is_not_replaced(parts: list[Path], tmp_path: Path) -> None:
    united = merged(parts, tmp_path / "out")
    before = (united / "run.json").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        merged(parts, tmp_path / "out")
    assert (united / "run.json").read_bytes() == before


def test_a_merged_run_is_exported_like_any_other(made: Path, parts: list[Path], tmp_path: Path) -> None:
    united = merged(parts, tmp_path / "out")
    for run, target in ((united, "united"), (made / RUN_ID, "whole")):
        SwebenchExporter().export(run, tmp_path / target, {})
    assert (tmp_path / "united/all_preds.jsonl").read_bytes() == (tmp_path / "whole/all_preds.jsonl").read_bytes()
