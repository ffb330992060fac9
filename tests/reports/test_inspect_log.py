"""The export to inspect_ai, read back by inspect_ai itself."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
from inspect_ai.scorer import SampleScore, accuracy, stderr

from swerl_eval.core.errors import UsageError
from swerl_eval.core.metrics import wilson
from swerl_eval.reports.exports.inspect_log import InspectExporter
from tests.reports.comparison_runs import made
from tests.reports.exported_runs import (
    ANSWER,
    BROKEN,
    EMPTY,
    FACTS,
    FAILING,
    FIXED,
    GOLD,
    PATCH,
    STUCK,
    WAITING,
    make,
)

OLD = Path(__file__).parents[1] / "data" / "run-folder-0.1"
UNSCORED = (BROKEN, STUCK, WAITING)


def exported(run: Path, destination: Path) -> Path:
    (file,) = InspectExporter().export(run, destination, {})
    return file


def log_of(run: Path) -> Any:
    return read_eval_log(exported(run, run.parent / "out").as_posix())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    return exported(make(folder / "run"), folder / "out")


@pytest.fixture(scope="module")
def samples(file: Path) -> dict[Any, Any]:
    return {sample.id: sample for sample in read_eval_log(file.as_posix()).samples or ()}


# -- the head


def test_a_folder_of_logs_lists_the_export_by_its_name_alone(file: Path) -> None:
    (info,) = list_eval_logs(file.parent.as_posix())
    assert (info.task, info.task_id, info.suffix) == ("verified", file.stem.rpartition("_")[2], None)
    assert file.name.startswith("2026-01-01T00-00-00-00-00_verified_")


def test_the_head_says_what_was_run_and_with_what(file: Path) -> None:
    head = read_eval_log(file.as_posix(), header_only=True)
    spec = head.eval
    assert (spec.task, spec.model, spec.run_id) == ("verified", "org/model", "run")
    assert spec.created == "2026-01-01T00:00:00+00:00"
    assert spec.task_args == {"dataset": "verified", "split": "test"}
    assert (spec.dataset.name, spec.dataset.samples, spec.dataset.sample_ids) == ("verified", 6, sorted(FACTS))
    assert (spec.config.epochs, spec.config.limit) == (1, None)
    assert spec.packages == {"swebench": "5.0.2"}
    assert spec.tags == []
    assert spec.model_generate_config.model_dump(exclude_none=True) == {
        "temperature": 0.5, "max_tokens": 900, "seed": 7,
    }  # fmt: skip
    assert [(step.solver, step.params) for step in head.plan.steps] == [("swerl-eval (Agentless Mini)", {"samples": 3})]
    metadata = spec.metadata or {}
    assert metadata["dataset_sha256"] == "f" * 64
    assert metadata["limits"]["memory"] == "8g"
    assert metadata["verdicts"] == {
        "resolved": 1, "unresolved": 1, "empty_patch": 1, "infra_error": 1, "missing": 2,
    }  # fmt: skip
    assert metadata["prompts_sha256"] == {"repair": "ab"}
    assert (metadata["recorded"], metadata["patches"], metadata["denominator"]) == (False, "made", 6)
    assert "warning" not in metadata


def test_the_accuracy_is_the_solve_rate_over_all_chosen_instances(file: Path) -> None:
    results = read_eval_log(file.as_posix(), header_only=True).results
    assert results is not None
    assert (results.total_samples, results.completed_samples) == (6, 3)
    official, strict = results.scores
    low, high = wilson(1, 6)
    assert {name: metric.value for name, metric in official.metrics.items()} == {
        "accuracy": 1 / 6, "stderr": pytest.approx(1 / 6), "low_95": low, "high_95": high,
    }  # fmt: skip
    assert (official.name, official.scored_samples, official.unscored_samples) == ("official", 3, 3)
    assert official.metadata == {"resolved": 1, "denominator": 6}
    assert (strict.name, strict.metrics["accuracy"].value) == ("strict", 0.0)
    assert results.metadata is not None
    assert results.metadata["clustered_by_repository"]["repositories"] == 2


def test_the_tokens_are_summed_by_model_and_the_times_come_from_the_timeline(file: Path) -> None:
    stats = read_eval_log(file.as_posix(), header_only=True).stats
    (usage,) = stats.model_usage.values()
    assert list(stats.model_usage) == ["org/model"]
    # five instances with three repair answers (100 + 10, 40 of them cached) and one test (7 + 3)
    assert (usage.input_tokens, usage.input_tokens_cache_read) == (5 * (3 * 60 + 7), 5 * 3 * 40)
    assert (usage.output_tokens, usage.total_tokens) == (5 * 33, 5 * 340)
    assert (stats.started_at, stats.completed_at) == ("1970-01-01T00:16:40+00:00", "1970-01-01T00:17:40+00:00")


def test_the_tests_model_has_tokens_of_its_own(tmp_path: Path) -> None:
    usage = log_of(make(tmp_path / "run", FIXED, config={"test_model": "org/tester"})).stats.model_usage
    assert {model: used.output_tokens for model, used in usage.items()} == {"org/model": 30, "org/tester": 3}


# -- the samples


def test_a_sample_has_the_issue_the_gold_patch_and_the_chosen_answer_with_its_thinking_apart(
    samples: dict[Any, Any],
) -> None:
    sample = samples[FIXED]
    assert (sample.epoch, sample.input, sample.target) == (1, f"Issue {FIXED}\n\n<b>wrong</b>", GOLD)
    question, answer = sample.messages
    assert (question.role, question.content) == ("user", sample.input)
    reasoning, text = answer.content
    assert (reasoning.reasoning, text.text) == ("It is one too few.", ANSWER.partition("</think>\n")[2])
    assert (sample.output.completion, sample.output.stop_reason) == (text.text, "stop")
    assert sample.output.usage.output_tokens == 10
    assert sample.total_time == 60.5
    assert sample.model_usage["org/model"].output_tokens == 33


def test_the_scores_are_the_two_verdicts_with_the_failing_tests(samples: dict[Any, Any]) -> None:
    fixed, failing, empty = (samples[name].scores for name in (FIXED, FAILING, EMPTY))
    assert {name: score.value for name, score in fixed.items()} == {"official": "C", "strict": "I"}
    assert (fixed["official"].answer, failing["official"].answer, empty["official"].answer) == ("f.py", "f.py", "")
    assert fixed["official"].explanation == "**resolved**\n\nFAIL_TO_PASS: 2 of 2 pass\n\nPASS_TO_PASS: 2 of 2 pass"
    assert fixed["strict"].explanation == "**unresolved**: `'t.py::p1' passes without the change`"
    assert {name: score.value for name, score in failing.items()} == {"official": "I", "strict": "I"}
    assert failing["official"].explanation == (
        "**unresolved**\n\nFAIL_TO_PASS: 1 of 2 pass; these do not:\n\n- `t.py::f2`\n\nPASS_TO_PASS: 2 of 2 pass"
    )
    assert empty["official"].value == "I"
    assert empty["official"].explanation == "**empty_patch**: `no valid sample`"


def test_an_instance_without_a_verdict_is_an_error_and_no_zero(samples: dict[Any, Any]) -> None:
    assert {name: samples[name].error.message for name in UNSCORED} == {
        BROKEN: "infra_error: the engine is gone",
        STUCK: "no verdict: the clone failed",
        WAITING: "no verdict: the run has not come so far",
    }
    assert {samples[name].scores for name in UNSCORED} == {None}
    assert {name for name, sample in samples.items() if sample.error is None} == {FIXED, FAILING, EMPTY}


def test_the_metadata_of_a_sample_says_how_its_patch_came_about(samples: dict[Any, Any]) -> None:
    assert samples[FIXED].metadata == {
        "repo": "a/a",
        "year": "2020",
        "difficulty": "<15 min fix",
        "verdict": "resolved",
        "strict": "unresolved",
        "strict_reason": "`t.py::p1` passes without the change",
        "suspicious": ["conftest.py is loaded"],
        "sample": 0,
        "selection": "majority: 2 of 2 valid samples agree",
        "votes": 2,
        "valid": 2,
        "unique": 1,
        "tests": {"FAIL_TO_PASS": "2/2", "PASS_TO_PASS": "2/2"},
        "reward": 0.75,
        "files": ["f.py, g.py", "g.py"],
        "gold_files": ["f.py"],
        "files_hit": "all",
        "image_id": "sha256:1",
        "candidates": ["2 votes: 0, 1 (chosen)"],
        "rejected": {"no_edit": "2"},
        "seconds": {"container": 12.5, "tests": 10.0},
        "patch": PATCH,
    }
    assert samples[EMPTY].metadata["rejected"] == {"no_edit": "2", "no_match": "0, 1"}
    assert samples[EMPTY].messages[1:] == []


# -- how the run ended


def test_a_complete_run_is_a_success(tmp_path: Path) -> None:
    log = log_of(make(tmp_path / "run", FIXED, FAILING, EMPTY))
    assert (log.status, log.error) == ("success", None)


def test_a_run_that_the_machine_or_a_failure_kept_from_its_end_is_an_error_in_words(file: Path) -> None:
    log = read_eval_log(file.as_posix(), header_only=True)
    assert (log.status, log.error.message if log.error else "") == (
        "error",
        "The run is not complete. Of 6 instances, the machine failed: 1; work on the instance failed: 1; not evaluated "
        "yet: 1. An instance without a verdict counts as not solved. A resume of the run does what is left.",
    )
    assert log.error is not None
    assert log.error.traceback.splitlines()[0] == f"{BROKEN}: infra_error: the engine is gone"


def test_a_run_that_was_stopped_is_cancelled(tmp_path: Path) -> None:
    log = log_of(make(tmp_path / "run", FIXED, WAITING))
    assert log.status == "cancelled"
    assert "Of 2 instances, not evaluated yet: 1. " in log.error.message


def test_a_run_whose_strict_verdicts_are_missing_is_not_complete(tmp_path: Path) -> None:
    log = log_of(made(tmp_path / "run", "R" * 12, strict="R" * 11 + "i"))
    assert (log.status, log.results.scores[1].scored_samples) == ("error", 11)
    assert log.samples[-1].scores.keys() == {"official"}


def test_a_run_without_the_strict_verdict_has_the_official_score_alone(tmp_path: Path) -> None:
    log = log_of(made(tmp_path / "run", "R" * 12, config={"strict": False}))
    assert [score.name for score in log.results.scores] == ["official"]
    assert {tuple(sample.scores) for sample in log.samples} == {("official",)}


def test_an_instance_without_a_handed_in_patch_has_neither_score_nor_error(tmp_path: Path) -> None:
    log = log_of(make(tmp_path / "run", FIXED, WAITING, patches="handed in", submitted=(FIXED,)))
    (missing,) = [sample for sample in log.samples if sample.id == WAITING]
    assert (log.status, missing.scores, missing.error) == ("success", None, None)
    assert log.eval.metadata["without_prediction"] == [WAITING]
    assert log.results.scores[0].metrics["accuracy"].value == 0.5


def test_the_figures_are_those_of_inspect_ai_s_own_metrics(tmp_path: Path) -> None:
    log = log_of(made(tmp_path / "run", "RRuueRuRRuuu"))
    scores = [SampleScore(score=sample.scores["official"]) for sample in log.samples]
    official = log.results.scores[0]
    assert official.metrics["accuracy"].value == accuracy()(scores) == 5 / 12
    assert official.metrics["stderr"].value == pytest.approx(stderr()(scores), abs=1e-15)


# -- what is claimed


@pytest.mark.parametrize(
    ("changes", "tag"),
    [
        ({"recorded": True}, "recorded answers"),
        ({"patches": "handed in", "submitted": (FIXED,)}, "handed in patches"),
        ({"patches": "gold"}, "gold patches"),
    ],
)
def test_patches_that_the_run_did_not_make_are_said_to_be_so(changes: dict[str, Any], tag: str, tmp_path: Path) -> None:
    log = log_of(make(tmp_path / "run", FIXED, **changes))
    assert log.tags == sorted(["grading only", tag])
    assert log.metadata["warning"].startswith("graded by swerl-eval alone: the ")
    assert log.samples[0].metadata["warning"] in log.metadata["warning"]
    assert log.plan.steps == []
    assert log.eval.model_generate_config.model_dump(exclude_none=True) == {}


# -- the file


def test_an_old_run_folder_is_exported_without_what_it_does_not_hold(tmp_path: Path) -> None:
    log = read_eval_log(exported(OLD, tmp_path).as_posix())
    assert (log.status, [sample.id for sample in log.samples or ()]) == (
        "success",
        ["demo__ledgerly-1", "demo__ledgerly-3"],
    )
    first, second = log.samples or ()
    assert first.input == "demo__ledgerly-1 (this run folder does not hold the issue's text)"
    assert (first.target, second.target) == ("", "")
    assert first.scores is not None
    assert (first.scores["official"].value, first.metadata["suspicious"]) == (
        "C",
        ["conftest.py is loaded by pytest beside the tests"],
    )


def test_the_data_frames_of_inspect_ai_have_a_row_for_each_sample(file: Path) -> None:
    from inspect_ai.analysis import evals_df, samples_df

    frame = samples_df(file.as_posix(), parallel=False)
    rows = {row["id"]: row for row in frame.to_dict("records")}
    assert set(rows) == set(FACTS)
    assert (rows[FIXED]["score_official"], rows[FAILING]["score_official"]) == ("C", "I")
    assert rows[BROKEN]["error"] == "infra_error: the engine is gone"
    (run,) = evals_df(file.as_posix()).to_dict("records")
    assert (run["task_name"], run["model"], run["score_official_accuracy"]) == ("verified", "org/model", 1 / 6)


def test_single_samples_and_summaries_can_be_read_alone(file: Path) -> None:
    assert read_eval_log_sample(file.as_posix(), FAILING).metadata["verdict"] == "unresolved"
    summaries = {summary.id: summary for summary in read_eval_log_sample_summaries(file.as_posix())}
    assert summaries[STUCK].error == "no verdict: the clone failed"


def test_all_parts_of_the_file_have_one_date(file: Path) -> None:
    with zipfile.ZipFile(file) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_without_inspect_ai_the_error_has_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path / "run", FIXED)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(
        UsageError, match=r"^--to inspect needs the package inspect-ai .*; pip install 'swerl-eval\[inspect\]'$"
    ):
        InspectExporter().export(run, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
