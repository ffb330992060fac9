"""Verdicts of real containers on the bundled suite, compared with those of the official harness."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from official import swebench_eval

from swerl_eval.compose import open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.jobs.scripts import APPLY_LADDER
from swerl_eval.core.types import Evaluation, Oracle, Verdict
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluation_run import EvaluationRun
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.ports import SandboxSettings
from swerl_eval.records.log_files import OFFICIAL_FILES
from swerl_eval.reports.exports.swebench import SwebenchExporter
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.docker.sandbox import DockerSandbox
from swerl_eval.sources.datasets import DatasetSource, load_rows
from swerl_eval.sources.user_files import Predictions, read_predictions

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images")]
NAME = "demo__ledgerly-2"


@pytest.fixture
async def sandbox() -> AsyncIterator[DockerSandbox]:
    opened = DockerSandbox.open(SandboxSettings("tests-of-evaluate", workers=2))
    yield opened
    await opened.aclose()


@pytest.fixture
def source(demo_config: RunConfig) -> DatasetSource:
    return open_source(demo_config)


async def verdict_on(
    source: DatasetSource, sandbox: DockerSandbox, patch: str, logs: Path, oracle: Oracle | None = None
) -> Evaluation:
    instance = next(i for i in source.instances() if i.instance_id == NAME)
    how = settings(RunConfig(timeout=300)).evaluate
    return await Evaluator(sandbox, how).evaluate(EvaluationRun(instance, oracle or source.oracle(NAME), patch, logs))


def with_eval_script(oracle: Oracle, script: str) -> Oracle:
    return replace(oracle, row={**oracle.row, "eval_script": script})


def crlf(patch: str) -> str:
    return patch.replace("\n", "\r\n")


def shifted(patch: str) -> str:
    """The same hunk with context that no longer fits exactly: only the last rung takes it."""
    lines = patch.split("\n")
    first = next(number for number, line in enumerate(lines) if line.startswith("@@"))
    lines[first + 1] = " something else stands here"
    return "\n".join(lines)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "rung"),
    [(lambda patch: patch, 0), (crlf, 3), (lambda patch: f"A remark.\n\n{patch}", 0), (shifted, 3)],
    ids=["as it is", "CRLF", "a remark before it", "a context line that is wrong"],
)
async def test_each_rung_of_the_ladder_takes_its_patches(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path, change: object, rung: int
) -> None:
    evaluation = await verdict_on(source, sandbox, change(source.oracle(NAME).patch), tmp_path)  # type: ignore[operator]
    assert evaluation.verdict is Verdict.RESOLVED
    assert f">>>>> Applied Patch: {APPLY_LADDER[rung]}\n" in (tmp_path / "run_instance.log").read_text()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "patch",
    ["no diff at all", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-not there\n+y\n", "diff --git a/x b/x\n@@ broken", "\n"],
)
async def test_a_patch_that_no_rung_takes_is_no_infrastructure_error(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path, patch: str
) -> None:
    evaluation = await verdict_on(source, sandbox, patch, tmp_path)
    assert evaluation.verdict is Verdict.PATCH_FAILED
    assert evaluation.report is None
    assert not (tmp_path / "report.json").exists()
    assert ">>>>> Patch Apply Failed" in (tmp_path / "run_instance.log").read_text()


@pytest.mark.anyio
async def test_tests_that_never_end_are_a_timeout_with_the_official_notice(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    slow = with_eval_script(source.oracle(NAME), "#!/bin/bash\n: '>>>>> Start Test Output'\nsleep 600\n")
    instance = next(i for i in source.instances() if i.instance_id == NAME)
    how = replace(settings(RunConfig()).evaluate, timeout=3.0)
    evaluation = await Evaluator(sandbox, how).evaluate(EvaluationRun(instance, slow, slow.patch, tmp_path))
    assert evaluation.verdict is Verdict.TIMED_OUT
    assert (tmp_path / "test_output.txt").read_text().endswith("\n\nTimeout error: 3 seconds exceeded.")
    assert not (tmp_path / "report.json").exists()


@pytest.mark.anyio
async def test_output_that_is_not_utf8_loses_no_verdict(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    oracle = source.oracle(NAME)
    noisy = with_eval_script(
        oracle, oracle.row["eval_script"].replace("python3 -m pytest", "printf '\\xff\\xfe\\n'; python3 -m pytest")
    )
    evaluation = await verdict_on(source, sandbox, oracle.patch, tmp_path, noisy)
    assert evaluation.verdict is Verdict.RESOLVED
    assert "\ufffd\ufffd" in (tmp_path / "test_output.txt").read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_a_known_verdict_and_its_files_are_those_of_the_containers(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    oracle = source.oracle(NAME)
    instance = next(i for i in source.instances() if i.instance_id == NAME)
    evaluator = Evaluator(sandbox, settings(RunConfig(timeout=300)).evaluate)
    cached = CachedEvaluator(evaluator, VerdictCache(tmp_path / "cache"))
    first, second = (EvaluationRun(instance, oracle, oracle.patch, tmp_path / name) for name in ("first", "second"))
    known = await cached.lookup(first)
    assert known.whole is None
    run = await cached.evaluate(first, known)
    assert (run.verdict, run.strict) == (Verdict.RESOLVED, Verdict.RESOLVED)
    assert run.image_id == await sandbox.image_id(instance.image)
    assert (await cached.lookup(second)).whole == run
    names = {path.name for path in first.logs.iterdir()}
    assert {*OFFICIAL_FILES, "control.json", "control_output.txt"} <= names
    assert {path.name: path.read_bytes() for path in second.logs.iterdir()} == {
        path.name: path.read_bytes() for path in first.logs.iterdir()
    }


ODD_IDS = ("demo__c++-1", "démo__ledgerly-2", "日本__ledgerly-2")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ODD_IDS)
async def test_an_id_with_plus_signs_or_letters_beyond_ascii_runs_like_others(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path, name: str
) -> None:
    oracle = source.oracle(NAME)
    odd = Oracle(name, oracle.patch, oracle.test_patch, {**oracle.row, "instance_id": name})
    instance = replace(next(i for i in source.instances() if i.instance_id == NAME), instance_id=name)
    how = settings(RunConfig(timeout=300)).evaluate
    evaluation = await Evaluator(sandbox, how).evaluate(EvaluationRun(instance, odd, odd.patch, tmp_path / name))
    assert (evaluation.verdict, evaluation.strict, evaluation.reason) == (Verdict.RESOLVED, Verdict.RESOLVED, "")
    assert list(json.loads((tmp_path / name / "report.json").read_text())) == [name]


@pytest.mark.anyio
async def test_a_row_that_names_no_test_is_officially_resolved_and_strictly_not(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    oracle = source.oracle(NAME)
    empty = replace(oracle, row={**oracle.row, "FAIL_TO_PASS": [], "PASS_TO_PASS": []})
    evaluation = await verdict_on(source, sandbox, oracle.patch, tmp_path, empty)
    assert (evaluation.verdict, evaluation.strict) == (Verdict.RESOLVED, Verdict.UNRESOLVED)
    assert evaluation.strict_reason == "the row names no test, so nothing can bear the verdict out"
    assert not (tmp_path / "control.json").exists()


@pytest.mark.anyio
async def test_gold_under_a_script_without_marks_is_unresolved_and_says_why(
    source: DatasetSource, sandbox: DockerSandbox, tmp_path: Path
) -> None:
    bare = with_eval_script(source.oracle(NAME), "#!/bin/bash\ncd /testbed\n")
    evaluation = await verdict_on(source, sandbox, bare.patch, tmp_path, bare)
    assert (evaluation.verdict, evaluation.strict) == (Verdict.UNRESOLVED, Verdict.UNRESOLVED)
    assert evaluation.remark.startswith(
        "no test results: the log has no '>>>>> Start Test Output', which the eval script"
    )


def official(work: Path, rows: list[dict[str, object]], predictions: Path, run_id: str) -> dict[str, object]:
    """Run `swebench eval` in a folder of its own and give its run report."""
    dataset = work / "rows.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = swebench_eval(work, dataset, predictions, run_id, workers=4, timeout=1800)
    reports = list(work.glob(f"*.{run_id}.json"))
    assert reports, output
    report: dict[str, object] = json.loads(reports[0].read_text())
    return report


def test_verdicts_and_reports_equal_those_of_the_official_harness(demo_config: RunConfig, tmp_path: Path) -> None:
    """Gold, recorded, failing and empty patches, side by side on the same images."""
    plain = Runner(demo_config)
    with plain.open_run() as run:
        plain.execute(run)
        chosen = {record.instance_id: record.patch for record in run.selections.values()}
    gold = plain.source.oracle("demo__inkwell-3").patch
    patches = {
        **chosen,
        "demo__inkwell-3": gold,
        "demo__waypost-1": "no diff",
        "demo__waypost-3": crlf(chosen["demo__waypost-3"]),
    }
    config = demo_config.model_copy(update={"run_id": "differential"})
    work = Runner(config, predictions=Predictions("someone/model", patches))
    with work.open_run() as run:
        outcome = work.execute(run)
    assert outcome.complete
    theirs_folder, ours_folder = tmp_path / "official", tmp_path / "ours"
    theirs_folder.mkdir()
    theirs = official(
        theirs_folder, load_rows(demo_config.dataset, None), outcome.folder / "all_preds.jsonl", "differential"
    )
    SwebenchExporter().export(outcome.folder, ours_folder, {})
    ours = json.loads((ours_folder / "someone__model.differential.json").read_text())
    engine_only = {"unstopped_instances", "unstopped_containers", "unremoved_images"}
    assert ours == {key: value for key, value in theirs.items() if key not in engine_only}
    assert ours["resolved_ids"] == [
        "demo__inkwell-1",
        "demo__inkwell-3",
        "demo__ledgerly-1",
        "demo__ledgerly-2",
        "demo__waypost-3",
    ]
    assert ours["error_ids"] == ["demo__waypost-1"]
    logs = Path("logs/run_evaluation/differential/someone__model")
    reports = sorted(path.relative_to(theirs_folder / logs) for path in (theirs_folder / logs).glob("*/report.json"))
    assert len(reports) == 7
    for report in reports:
        assert (ours_folder / logs / report).read_bytes() == (theirs_folder / logs / report).read_bytes(), report
    assert (
        sorted(path.relative_to(ours_folder / logs) for path in (ours_folder / logs).glob("*/report.json")) == reports
    )


def test_partial_predictions_are_counted_as_the_official_harness_counts_them(
    demo_config: RunConfig, tmp_path: Path
) -> None:
    """Two patches that resolve, an empty one, one that no file can hold, and five instances without any."""
    suite = open_source(demo_config)
    patches: dict[str, str | None] = {
        name: suite.oracle(name).patch for name in ("demo__inkwell-1", "demo__ledgerly-2", "demo__waypost-2")
    }
    patches["demo__waypost-2"] = f"{patches['demo__waypost-2']}\udce9\n"
    patches["demo__waypost-3"] = None
    file = tmp_path / "predictions.jsonl"
    file.write_text(
        "".join(
            json.dumps({"instance_id": name, "model_name_or_path": "m", "model_patch": patch, "cost": float("nan")})
            + "\n"
            for name, patch in patches.items()
        )
    )
    config = demo_config.model_copy(update={"run_id": "partial"})
    work = Runner(config, predictions=read_predictions(file, suite.all_ids))
    with work.open_run() as run:
        assert work.execute(run).complete
    (tmp_path / "official").mkdir()
    theirs = official(tmp_path / "official", load_rows(demo_config.dataset, None), file, "partial")
    ours = json.loads((run.folder / "m.partial.json").read_text())
    engine_only = {"unstopped_instances", "unstopped_containers", "unremoved_images"}
    assert ours == {key: value for key, value in theirs.items() if key not in engine_only}
    assert {key: ours[f"{key}_instances"] for key in ("total", "submitted", "resolved", "empty_patch", "error")} == {
        "total": 9,
        "submitted": 4,
        "resolved": 2,
        "empty_patch": 1,
        "error": 1,
    }
    assert (ours["error_ids"], len(ours["incomplete_ids"])) == (["demo__waypost-2"], 5)
    report = json.loads((run.folder / "report.json").read_text())
    assert (report["resolved"], report["total"], report["complete"]) == (2, 9, True)
    assert report["without_prediction"] == ours["incomplete_ids"]
