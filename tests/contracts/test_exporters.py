"""The contract of `ports.Exporter` over the table, and the layouts that others read (design/FORMATS.md).

The run is made through the real pipeline from the bundled suite's recorded answers; only the containers' output is
scripted, so that every kind of verdict occurs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
import yaml
from inspect_ai.log import read_eval_log

from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SandboxError, UsageError
from swerl_eval.core.types import Job
from swerl_eval.demo.setup import LOCALIZATION_SAMPLES, SAMPLES, SUITE, demo_settings
from swerl_eval.pipeline import Pipeline
from swerl_eval.prompts import NAMES
from swerl_eval.records.run_folder import Run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts

MODEL, SAFE_MODEL, RUN_ID = "org/model-7b", "org__model-7b", "nightly"
VERDICTS = {
    "demo__inkwell-1": "resolved",
    "demo__inkwell-2": "unresolved",
    "demo__inkwell-3": "unresolved",
    "demo__ledgerly-1": "timed_out",
    "demo__ledgerly-2": "patch_failed",
    "demo__ledgerly-3": "empty_patch",
    "demo__waypost-1": "infra_error",
    "demo__waypost-2": "resolved",
    "demo__waypost-3": "missing",
}
"""How the run is made to end. Nothing was done for the last one, and no recorded answer of ledgerly-3 can be used."""
GRADED = ("demo__inkwell-1", "demo__inkwell-2", "demo__inkwell-3", "demo__waypost-2")
LOGS = {
    **dict.fromkeys(GRADED, ("eval.sh", "patch.diff", "report.json", "run_instance.log", "test_output.txt")),
    "demo__ledgerly-1": ("eval.sh", "patch.diff", "run_instance.log", "test_output.txt"),
    "demo__ledgerly-2": ("eval.sh", "patch.diff", "run_instance.log"),
    "demo__waypost-1": ("eval.sh", "patch.diff", "run_instance.log"),
}
"""The official files that each of these endings leaves."""
DETAILS = {
    "name": "Model 7B + swerl-eval",
    "site": "https://example.org",
    "authors": "A. Author",
    "logo": ["https://example.org/logo.png"],
    "model_display": "Model 7B",
    "model_org": "Org",
    "os_model": True,
}


def configuration(mirrors: Path, results: Path) -> RunConfig:
    own = {
        "model": MODEL,
        "run_id": RUN_ID,
        "repositories": str(mirrors),
        "results": str(results),
        "sandbox": "swerl_eval.sandboxes.scripted:ScriptedSandbox",
    }
    vote = {"tests": 0, "test_samples": 0, "regression": False, "evaluate": "selected"}
    return RunConfig(**{**demo_settings(), **vote, **own})


def reply_to(job: Job, runner: Runner) -> Reply:
    """The container of an instance ends as `VERDICTS` says."""
    verdict = VERDICTS[job.name]
    if verdict == "infra_error":
        message = "Error response from daemon: the container is gone"
        raise SandboxError(message)
    if verdict == "patch_failed":
        return evaluation_reply(job, b"", applied=False)
    row = runner.source.oracle(job.name).row
    tests = [name for kind in ("FAIL_TO_PASS", "PASS_TO_PASS") for name in _names(row[kind])]
    states = ["PASSED"] * len(tests) if verdict == "resolved" else ["FAILED", *["PASSED"] * (len(tests) - 1)]
    lines = ["+ : '>>>>> Start Test Output'", *map(" ".join, zip(states, tests, strict=True))]
    if job.name == "demo__inkwell-3":
        lines.append("ModuleNotFoundError: No module named 'inkwell.charset'")
    output = "\n".join([*lines, "+ : '>>>>> End Test Output'", ""]).encode()
    return evaluation_reply(job, output, timed_out=verdict == "timed_out")


def _names(value: Any) -> list[str]:
    return json.loads(value) if isinstance(value, str) else list(value)


def make_run(config: RunConfig, until: str = "evaluate") -> Path:
    runner = Runner(config, until)
    sandbox = ScriptedSandbox(reply=lambda job: reply_to(job, runner))
    parts = Parts(runner.source, runner.prompts, sampler=open_sampler(config, runner.source), sandbox=sandbox)
    begun = [instance for instance in runner.instances if VERDICTS[instance.instance_id] != "missing"]
    with runner.open_run() as run:
        pipeline = Pipeline(run, parts, settings(config), runner.progress, Workers(1), until)
        anyio.run(pipeline.run, begun)
        assert pipeline.failures == {}
        write_reports(run)
    return run.folder


@pytest.fixture(scope="module")
def run_folder(mirrors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(configuration(mirrors, tmp_path_factory.mktemp("results")))


@pytest.fixture(scope="module")
def date(run_folder: Path) -> str:
    """Of the run, as YYYY-MM-DD."""
    return Run(run_folder).manifest.created_at[:10]


@pytest.fixture
def variant(run_folder: Path, tmp_path: Path) -> Any:
    """A function that copies the run with changes of its manifest."""

    def copy(**changes: Any) -> Path:
        folder = Path(shutil.copytree(run_folder, tmp_path / "variant"))
        manifest = orjson.loads((folder / "run.json").read_bytes())
        manifest["config"] |= changes.pop("config", {})
        (folder / "run.json").write_bytes(orjson.dumps(manifest | changes))
        return folder

    return copy


def export(name: str, run: Path, destination: Path, details: dict[str, Any] | None = None) -> list[Path]:
    written: list[Path] = load("exporter", name, EXPORTERS)().export(run, destination, details or {})
    return written


def tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_run_under_test_has_every_kind_of_verdict(run_folder: Path) -> None:
    report = read(run_folder / "report.json")
    assert {row["instance_id"]: row["verdict"] for row in report["instances"]} == VERDICTS
    assert set(VERDICTS.values()) == set(report["verdicts"])
    assert report["recorded"] is True


# -- what every exporter owes


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_export_lies_below_its_destination_and_names_what_to_look_at(
    name: str, run_folder: Path, tmp_path: Path
) -> None:
    before = tree(run_folder)
    destination = tmp_path / "new" / "folder"
    written = export(name, run_folder, destination)
    assert written
    for path in written:
        assert path.exists()
        assert path.is_relative_to(destination)
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    assert tree(run_folder) == before


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_same_run_exports_to_the_same_bytes_also_over_an_earlier_export(
    name: str, run_folder: Path, tmp_path: Path
) -> None:
    export(name, run_folder, tmp_path / "one", DETAILS)
    export(name, run_folder, tmp_path / "two", DETAILS)
    first = tree(tmp_path / "one")
    assert first
    assert tree(tmp_path / "two") == first
    export(name, run_folder, tmp_path / "two", DETAILS)
    assert tree(tmp_path / "two") == first


RECORDED = "the answers were recorded, not sampled: this is no result of a model"
UNKNOWN = {
    "handed in": "the patches were handed in: who made them, with what, and in how many attempts is not known here",
    "gold": "the patches are the dataset's own answers (gold), and no model's",
}


@pytest.mark.parametrize("patches", UNKNOWN)
def test_of_patches_that_the_run_did_not_make_the_grading_alone_is_claimed(
    patches: str, variant: Any, tmp_path: Path
) -> None:
    folder = variant(recorded=False, patches=patches, submitted=[n for n in VERDICTS if VERDICTS[n] != "missing"])
    row = leaderboard_row(folder, tmp_path / "l", DETAILS)
    assert (row["agent"], row["os_system"]) == ("", False)
    assert row["warning"] == f"graded by swerl-eval alone: {UNKNOWN[patches]}"
    assert row["tags"] == ["Model: Model 7B", "Org: Org"]
    assert {details["api_calls"] for details in row["per_instance_details"].values()} == {None}
    assert (row["resolved"], row["pins"]["denominator"]) == (22.22, 9)
    given = leaderboard_row(folder, tmp_path / "l", {"agent": "Theirs", "os_system": True})
    assert (given["agent"], given["os_system"]) == ("Theirs", True)
    (submission,) = export("experiments", folder, tmp_path / "e", DETAILS)
    readme = (submission / "README.md").read_text("utf-8")
    assert f"**Only the grading is claimed here: {UNKNOWN[patches]}.**" in readme
    assert "1 of them have no prediction." in readme
    assert (readme.count("- [ ] "), readme.count("- [x] "), readme.count("Agentless")) == (4, 0, 0)
    assert yaml.safe_load((submission / "metadata.yaml").read_text("utf-8"))["tags"]["system"] == {"attempts": None}
    export("swebench", folder, tmp_path / "s")
    assert read(tmp_path / "s" / "logs" / "run_evaluation" / RUN_ID / "run.json")["patches"] == patches


def test_a_run_of_handed_in_patches_from_before_that_was_recorded_claims_no_more(variant: Any) -> None:
    folder = variant(identity={"predictions": "0" * 64})
    assert Run(folder).manifest.patch_origin == "handed in"


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_folder_that_holds_another_run_s_export_is_refused_and_left_as_it_is(
    name: str, run_folder: Path, variant: Any, tmp_path: Path
) -> None:
    export(name, run_folder, tmp_path / "out")
    before = tree(tmp_path / "out")
    other = variant(run_id="another", created_at=f"{Run(run_folder).manifest.created_at[:10]}T23:59:59+00:00")
    with pytest.raises(UsageError, match=f"holds the export of another run, {RUN_ID} of .*; choose another folder"):
        export(name, other, tmp_path / "out")
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_mark_of_an_export_is_another_run_s(content: str, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / ".swerl-eval-export.json").write_text(content)
    with pytest.raises(UsageError, match="holds the export of another run, unknown; "):
        export("swebench", run_folder, tmp_path)


def test_somebody_s_files_are_not_overwritten_by_an_export(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "all_preds.jsonl").write_text("mine\n")
    with pytest.raises(UsageError, match=r"holds all_preds\.jsonl, which would be overwritten; choose another folder"):
        export("swebench", run_folder, tmp_path)
    assert (tmp_path / "all_preds.jsonl").read_text() == "mine\n"


def says_recorded(name: str, destination: Path) -> list[bool]:
    """Each place where a format says whether the answers were recorded."""
    if name == "swebench":
        (file,) = destination.rglob("run.json")
        return [read(file)["recorded"]]
    if name == "leaderboard":
        return [RECORDED in str(read(destination / "leaderboard.json")["warning"])]
    if name == "inspect":
        (file,) = destination.glob("*.eval")
        log = read_eval_log(file.as_posix(), header_only=True)
        return ["recorded answers" in log.tags, RECORDED in log.metadata.get("warning", ""), log.metadata["recorded"]]
    (readme,) = destination.rglob("README.md")
    return [
        f"**Only the grading is claimed here: {RECORDED}.**" in readme.read_text("utf-8"),
        *(read(file)["recorded"] for file in destination.rglob("trajs/*.json")),
    ]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", EXPORTERS)
def test_every_export_says_whether_the_answers_were_recorded(
    name: str, recorded: bool, variant: Any, tmp_path: Path
) -> None:
    destination = tmp_path / "out"
    export(name, variant(recorded=recorded), destination)
    assert set(says_recorded(name, destination)) == {recorded}


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_run_without_instances_such_as_an_empty_shard_can_be_exported(
    name: str, variant: Any, tmp_path: Path
) -> None:
    folder = variant(instances={})
    report = build_report(Run(folder))
    assert (report["total"], report["resolved"], report["solve_rate"]) == (0, 0, 0.0)
    assert export(name, folder, tmp_path / "out")


@pytest.mark.parametrize("value", ["false", "true", 0, None])
@pytest.mark.parametrize("name", ["leaderboard", "experiments"])
def test_a_yes_or_no_of_the_submitters_that_is_none_is_refused(
    name: str, value: object, run_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"submission\.os_model must be true or false, not "):
        export(name, run_folder, tmp_path / "out", {"os_model": value})


# -- swebench


@pytest.fixture(scope="module")
def swebench(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("swebench")
    written = export("swebench", run_folder, destination)
    assert [path.relative_to(destination).as_posix() for path in written] == [
        "all_preds.jsonl",
        f"{SAFE_MODEL}.{RUN_ID}.json",
        f"logs/run_evaluation/{RUN_ID}/{SAFE_MODEL}",
    ]
    return destination


def test_the_swebench_layout_is_that_of_the_harness(swebench: Path, run_folder: Path) -> None:
    logs = f"logs/run_evaluation/{RUN_ID}"
    exported = tree(swebench)
    assert set(exported) == {
        ".swerl-eval-export.json",
        "all_preds.jsonl",
        f"{SAFE_MODEL}.{RUN_ID}.json",
        f"{logs}/run.json",
        *(f"{logs}/{SAFE_MODEL}/{name}/{file}" for name, files in LOGS.items() for file in files),
    }
    for name, files in LOGS.items():
        for file in files:
            assert exported[f"{logs}/{SAFE_MODEL}/{name}/{file}"] == (run_folder / "logs" / name / file).read_bytes()
    assert json.loads(exported[f"{logs}/run.json"]) == {
        "dataset": str(SUITE),
        "split": "test",
        "task_repo": str(SUITE.resolve()),
        "created_at": Run(run_folder).manifest.created_at,
        "recorded": True,
        "patches": "made",
    }


def test_swebench_is_not_told_to_load_a_pinned_dataset_since_it_knows_no_revisions(
    variant: Any, tmp_path: Path
) -> None:
    export("swebench", variant(config={"dataset": "verified@v1"}), tmp_path)
    run_json = read(tmp_path / "logs" / "run_evaluation" / RUN_ID / "run.json")
    assert (run_json["dataset"], run_json["pinned_dataset"], run_json["task_repo"]) == (None, "verified@v1", None)


def test_a_report_of_an_instance_has_the_official_fields(swebench: Path) -> None:
    for name in GRADED:
        file = swebench / "logs" / "run_evaluation" / RUN_ID / SAFE_MODEL / name / "report.json"
        (only,) = read(file).items()
        assert only[0] == name
        entry = only[1]
        assert {"patch_is_None", "patch_exists", "patch_successfully_applied", "resolved"} <= set(entry)
        for field in ("patch_is_None", "patch_exists", "patch_successfully_applied", "resolved", "infra_failure"):
            assert type(entry[field]) is bool
        assert entry["resolved"] is (VERDICTS[name] == "resolved")
        assert set(entry["tests_status"]) == {"FAIL_TO_PASS", "PASS_TO_PASS", "FAIL_TO_FAIL", "PASS_TO_FAIL"}
        for state in entry["tests_status"].values():
            assert set(state) == {"success", "failure"}


HARNESS = """
import json, sys
from swebench.harness.reporting import make_run_report
from swebench.harness.utils import get_predictions_from_file
from swebench.task.repo import load_task_repo

predictions = get_predictions_from_file("all_preds.jsonl", "", "test")
by_id = {prediction["instance_id"]: prediction for prediction in predictions}
written = make_run_report(by_id, load_task_repo(sys.argv[1]), sys.argv[2], None, sys.argv[3])
print(json.dumps({"predictions": predictions, "written": written.name}))
"""


def harness_report(exported: Path, reports: Path) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """What swebench itself says of an exported folder: its report, the predictions as it reads them, the name."""
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, str(SUITE), RUN_ID, str(reports)],
        cwd=exported,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return read(reports / answer["written"]), answer["predictions"], answer["written"]


@pytest.mark.slow
def test_swebench_reads_the_predictions_and_makes_the_same_run_report(
    swebench: Path, run_folder: Path, tmp_path: Path
) -> None:
    theirs, predictions, name = harness_report(swebench, tmp_path)
    ours = read(swebench / name)
    assert ours == theirs
    assert {key: ours[key] for key in ours if not key.endswith("_ids")} == {
        "total_instances": 9,
        "submitted_instances": 8,
        "completed_instances": 4,
        "resolved_instances": 2,
        "unresolved_instances": 2,
        "infra_failure_instances": 1,
        "ambiguous_failure_instances": 2,
        "empty_patch_instances": 1,
        "error_instances": 3,
        "failure_reasons": {
            "demo__inkwell-3": "missing_module",
            "demo__ledgerly-1": "tests_timed_out",
            "demo__waypost-1": "container_unavailable",
        },
        "schema_version": 2,
    }
    assert ours["resolved_ids"] == ["demo__inkwell-1", "demo__waypost-2"]
    assert ours["incomplete_ids"] == ["demo__waypost-3"]
    assert ours["empty_patch_ids"] == ["demo__ledgerly-3"]
    assert ours["error_ids"] == ["demo__ledgerly-1", "demo__ledgerly-2", "demo__waypost-1"]
    selections = {selection.instance_id: selection for selection in Run(run_folder).selections.values()}
    assert predictions == [
        {"instance_id": instance, "model_name_or_path": MODEL, "model_patch": selections[instance].patch}
        for instance in sorted(VERDICTS)
        if VERDICTS[instance] != "missing"
    ]


def test_the_derived_files_of_the_run_folder_are_the_exported_ones(swebench: Path, run_folder: Path) -> None:
    for name in ("all_preds.jsonl", f"{SAFE_MODEL}.{RUN_ID}.json"):
        assert (run_folder / name).read_bytes() == (swebench / name).read_bytes()


@pytest.mark.slow
def test_a_run_that_ended_before_evaluation_has_the_same_report_as_swebench_makes(
    mirrors: Path, tmp_path: Path
) -> None:
    folder = make_run(configuration(mirrors, tmp_path / "results"), until="select")
    export("swebench", folder, tmp_path / "out")
    theirs, _, name = harness_report(tmp_path / "out", tmp_path / "reports")
    assert read(tmp_path / "out" / name) == theirs
    assert theirs["empty_patch_ids"] == ["demo__ledgerly-3"]
    assert theirs["error_instances"] == 7


# -- leaderboard


ROW_KEYS = [
    "name", "folder", "date", "resolved", "agent", "agent_org", "model_display", "model_org", "reasoning_effort",
    "model_release_date", "tags", "logo", "os_model", "os_system", "checked", "cost", "instance_cost", "instance_calls",
    "per_instance_details", "logs", "trajs", "site", "warning", "pins",
]  # fmt: skip
"""Of leaderboards.json, in its order, and `pins`, which is ours."""


def leaderboard_row(run: Path, destination: Path, details: dict[str, Any]) -> dict[str, Any]:
    (file,) = export("leaderboard", run, destination, details)
    assert file == destination / "leaderboard.json"
    content: dict[str, Any] = read(file)
    return content


def test_the_leaderboard_row_has_the_fields_of_leaderboards_json(variant: Any, tmp_path: Path, date: str) -> None:
    row = leaderboard_row(variant(recorded=False), tmp_path / "out", DETAILS)
    assert list(row) == ROW_KEYS
    assert row["name"] == "Model 7B + swerl-eval"
    assert row["folder"] == f"{date.replace('-', '')}_model-7b"
    assert row["date"] == date
    assert row["model_display"] == "Model 7B"
    assert row["tags"] == ["Model: Model 7B", "Org: Org", "System: Attempts - 2+"]
    assert row["logo"] == ["https://example.org/logo.png"]
    assert row["site"] == "https://example.org"


def test_the_score_has_two_decimals_and_the_denominator_is_every_chosen_instance(
    run_folder: Path, tmp_path: Path
) -> None:
    row = leaderboard_row(run_folder, tmp_path, {})
    assert row["resolved"] == 22.22
    assert row["pins"]["denominator"] == 9


def test_booleans_of_the_row_are_booleans(variant: Any, tmp_path: Path) -> None:
    folder = variant(recorded=False)
    row = leaderboard_row(folder, tmp_path / "out", {"os_model": True})
    assert (row["os_model"], row["os_system"], row["checked"]) == (True, True, False)
    assert {type(row[key]) for key in ("os_model", "os_system", "checked")} == {bool}
    assert {type(entry["resolved"]) for entry in row["per_instance_details"].values()} == {bool}
    assert leaderboard_row(folder, tmp_path / "out", {})["os_model"] is False


def test_each_instance_stands_once_in_the_row_and_the_resolved_ones_make_the_score(
    variant: Any, tmp_path: Path
) -> None:
    (file,) = export("leaderboard", variant(recorded=False), tmp_path / "out")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert max(Counter(key for key, _ in pairs).values(), default=1) == 1
        return dict(pairs)

    row = json.loads(file.read_text("utf-8"), object_pairs_hook=once)
    details = row["per_instance_details"]
    calls = LOCALIZATION_SAMPLES + SAMPLES
    assert details == {
        name: {
            "resolved": verdict == "resolved",
            "cost": None,
            "api_calls": 0 if verdict == "missing" else calls,
        }
        for name, verdict in VERDICTS.items()
    }
    assert row["resolved"] == round(100 * sum(entry["resolved"] for entry in details.values()) / len(details), 2)


def test_the_pins_say_what_the_score_was_measured_with(run_folder: Path, tmp_path: Path) -> None:
    manifest = Run(run_folder).manifest
    pins = leaderboard_row(run_folder, tmp_path, {})["pins"]
    assert pins == {
        "dataset": str(SUITE),
        "dataset_sha256": manifest.dataset_fingerprint,
        "denominator": 9,
        "strictly_resolved": 0,
        "limits": {
            "memory": RunConfig().memory,
            "cpus": 2.0,
            "pids": 4096,
            "written": "16g",
            "network": "bridge",
            "timeout": pins["limits"]["timeout"],
        },
        "machines": [],
        "versions": manifest.versions,
        "prompts_sha256": manifest.prompts,
        "images": dict.fromkeys([*GRADED, "demo__ledgerly-1", "demo__ledgerly-2"], "scripted"),
    }
    assert len(pins["dataset_sha256"]) == 64
    assert pins["versions"]["swebench"].startswith("5.")
    assert set(pins["prompts_sha256"]) == set(NAMES)


def test_one_sample_is_one_attempt_and_a_choice_among_several_is_two_plus(variant: Any, tmp_path: Path) -> None:
    row = leaderboard_row(variant(recorded=False, config={"samples": 1}), tmp_path / "out", {"logo": "one.png"})
    assert row["tags"] == [f"Model: {MODEL}", "System: Attempts - 1"]
    assert row["logo"] == ["one.png"]


# -- experiments


@pytest.fixture(scope="module")
def submission(run_folder: Path, date: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("experiments")
    (folder,) = export("experiments", run_folder, destination, DETAILS)
    assert folder == destination / "evaluation" / "test" / f"{date.replace('-', '')}_model-7b"
    return folder


def test_the_submission_layout_is_that_of_the_experiments_repository(submission: Path) -> None:
    carried = {"eval.sh", "patch.diff", "report.json", "test_output.txt"}
    assert set(tree(submission)) == {
        ".swerl-eval-export.json",
        "all_preds.jsonl",
        "metadata.yaml",
        "README.md",
        "results/results.json",
        "results/resolved_by_repo.json",
        "results/resolved_by_time.json",
        *(f"trajs/{name}.json" for name in VERDICTS),
        *(f"logs/{name}/{file}" for name, files in LOGS.items() for file in files if file in carried),
    }


@pytest.mark.parametrize(
    ("dataset", "split"),
    [
        ("SWE-bench/SWE-bench_Verified", "verified"),
        ("verified@lite", "verified"),
        ("SWE-bench/SWE-bench_Lite@verified", "lite"),
        ("owner/name@refs/verified", "test"),
    ],
)
def test_the_split_of_a_submission_is_that_of_the_dataset(
    dataset: str, split: str, variant: Any, tmp_path: Path
) -> None:
    (written,) = export("experiments", variant(config={"dataset": dataset}), tmp_path / "out")
    assert written.parent == tmp_path / "out" / "evaluation" / split


def test_the_metadata_parses_to_the_fields_of_a_submission(variant: Any, tmp_path: Path) -> None:
    (submission,) = export("experiments", variant(recorded=False), tmp_path / "out", DETAILS)
    assert yaml.safe_load((submission / "metadata.yaml").read_text("utf-8")) == {
        "info": {
            "name": "Model 7B + swerl-eval",
            "site": "https://example.org",
            "report": None,
            "authors": "A. Author",
            "logo": ["https://example.org/logo.png"],
        },
        "tags": {
            "checked": False,
            "model": ["Model 7B"],
            "org": "Org",
            "os_model": True,
            "os_system": True,
            "system": {"attempts": "2+"},
        },
        "assets": {"repo": None, "logs": None, "trajs": None},
    }


def test_a_single_attempt_is_a_number_in_the_metadata(variant: Any, tmp_path: Path) -> None:
    (folder,) = export("experiments", variant(recorded=False, config={"samples": 1}), tmp_path / "out")
    assert yaml.safe_load((folder / "metadata.yaml").read_text("utf-8"))["tags"]["system"] == {"attempts": 1}


def test_the_results_list_each_instance_at_most_once_and_count_all(submission: Path) -> None:
    assert read(submission / "results" / "results.json") == {
        "no_generation": ["demo__ledgerly-3", "demo__waypost-3"],
        "no_logs": ["demo__ledgerly-2", "demo__waypost-1"],
        "resolved": ["demo__inkwell-1", "demo__waypost-2"],
    }
    assert read(submission / "results" / "resolved_by_repo.json") == {
        "demo/inkwell": {"resolved": 1, "total": 3},
        "demo/ledgerly": {"resolved": 0, "total": 3},
        "demo/waypost": {"resolved": 1, "total": 3},
    }
    assert read(submission / "results" / "resolved_by_time.json") == {"2025": {"resolved": 2, "total": 9}}


def test_a_trajectory_holds_every_rollout_and_the_selection_with_its_reason(submission: Path, run_folder: Path) -> None:
    run = Run(run_folder)
    for name in VERDICTS:
        trajectory = read(submission / "trajs" / f"{name}.json")
        assert list(trajectory) == ["instance_id", "recorded", "rollouts", "selection"]
        if VERDICTS[name] == "missing":
            assert (trajectory["rollouts"], trajectory["selection"]) == ([], None)
            continue
        rollouts = {(rollout["stage"], rollout["sample"]): rollout for rollout in trajectory["rollouts"]}
        assert len(trajectory["rollouts"]) == len(rollouts) == LOCALIZATION_SAMPLES + SAMPLES
        for (stage, index), rollout in rollouts.items():
            sample = run.samples.get((name, stage, index))
            assert sample is not None
            assert rollout["answer"] == sample.completion.text
            if stage == "repair":
                candidate = run.candidates.get((name, index))
                assert candidate is not None
                assert rollout["patch"] == candidate.patch
                assert rollout["rejected"] == (candidate.rejection.value if candidate.rejection else None)
            else:
                assert (rollout["patch"], rollout["rejected"]) == (None, None)
        selection = run.selections.get(name)
        assert selection is not None
        assert trajectory["selection"] == {"sample": selection.index, "reason": selection.reason}


def test_the_readme_of_a_submission_has_the_score_and_the_checklist(variant: Any, tmp_path: Path) -> None:
    (submission,) = export("experiments", variant(recorded=False), tmp_path / "out")
    text = (submission / "README.md").read_text("utf-8")
    assert "2 of 9 instances resolved: 22.2 %" in text
    assert text.count("- [x] ") == 3
    assert "- [ ] pass@1" in text  # a choice among eight samples is best@k
    for item in ("pass@1", "`PASS_TO_PASS`", "`FAIL_TO_PASS`", "hints", "web"):
        assert item in text
