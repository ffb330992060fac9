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
from swerl_eval.core.scripts import APPLY_LADDER
from swerl_eval.core.types import Evaluation, Oracle, Verdict
from swerl_eval.ports import SandboxSettings
from swerl_eval.reports.swebench_layout import OFFICIAL_FILES as SWEBENCH_FILES
from swerl_eval.reports.swebench_layout import SwebenchExporter
from swerl_eval.sandboxes.docker import DockerSandbox
from swerl_eval.sources.datasets import DatasetSource, load_rows
from swerl_eval.sources.handed_in import Predictions
from swerl_eval.stages.evaluate import Evaluator
from swerl_eval.stages.remember import Remembering
from swerl_eval.stages.trial import Trial
from swerl_eval.verdicts import Verdicts
from swerl_eval.work import Work

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
    how = settings(RunConfig(timeout=60)).evaluate
    return await Evaluator(sandbox, how).evaluate(instance, oracle or source.oracle(NAME), patch, logs)


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
    evaluation = await Evaluator(sandbox, how).evaluate(instance, slow, slow.patch, tmp_path)
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
    evaluator = Evaluator(sandbox, settings(RunConfig(timeout=60)).evaluate)
    remembering = Remembering(evaluator, Verdicts(tmp_path / "cache"))
    first, second = (Trial(instance, oracle, oracle.patch, tmp_path / name) for name in ("first", "second"))
    assert await remembering.recall(first) is None
    run = await remembering.evaluate(first)
    assert (run.verdict, run.strict) == (Verdict.RESOLVED, Verdict.RESOLVED)
    assert run.image_id == await sandbox.image_id(instance.image)
    assert await remembering.recall(second) == run
    names = {path.name for path in first.logs.iterdir()}
    assert {*SWEBENCH_FILES, "control.json", "control_output.txt"} <= names
    assert {path.name: path.read_bytes() for path in second.logs.iterdir()} == {
        path.name: path.read_bytes() for path in first.logs.iterdir()
    }


def official(work: Path, rows: list[dict[str, object]], predictions: Path, run_id: str) -> dict[str, object]:
    """Run `swebench eval` in a folder of its own and give its run report."""
    dataset = work / "rows.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = swebench_eval(work, dataset, predictions, run_id, workers=4, timeout=1800)
    reports = list(work.glob(f"*.{run_id}.json"))
    assert reports, said
    report: dict[str, object] = json.loads(reports[0].read_text())
    return report


def test_verdicts_and_reports_equal_those_of_the_official_harness(demo_config: RunConfig, tmp_path: Path) -> None:
    """Gold, recorded, failing and empty patches, side by side on the same images."""
    plain = Work(demo_config)
    with plain.open_run() as run:
        plain.carry_out(run)
        chosen = {record.instance_id: record.patch for record in run.selections.values()}
    gold = plain.source.oracle("demo__inkwell-3").patch
    patches = {
        **chosen,
        "demo__inkwell-3": gold,
        "demo__waypost-1": "no diff",
        "demo__waypost-3": crlf(chosen["demo__waypost-3"]),
    }
    config = demo_config.model_copy(update={"run_id": "differential"})
    work = Work(config, predictions=Predictions("someone/model", patches))
    with work.open_run() as run:
        outcome = work.carry_out(run)
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
