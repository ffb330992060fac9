"""What exports for the public refuse, what lets a run through, and what the exports then say."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import HANDED_IN
from swerl_eval.records.run_folder import Run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.exports import splits, submission
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import refuse_unfit
from swerl_eval.reports.exports.schemas import LeaderboardRow, Prediction, Results, RunReport, Trajectory
from swerl_eval.reports.exports.splits import named_split, public_split
from tests.reports.comparison_runs import facts
from tests.reports.public_runs import CONFIG, NAMES, SPLITS, public_run

PUBLIC = ("leaderboard", "experiments", "submission")
WITH_TRAJECTORIES = ("experiments", "submission")


@pytest.fixture(autouse=True)
def _small_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SPLITS", SPLITS)


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public_run(tmp_path_factory.mktemp("results") / "fit")


@pytest.fixture
def changed(fit: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that copies the run with changes of its manifest; `config` is merged."""

    def copy(**changes: Any) -> Path:
        folder = Path(shutil.copytree(fit, tmp_path / "fit"))
        manifest = json.loads((folder / "run.json").read_text())
        manifest["config"] |= changes.pop("config", {})
        (folder / "run.json").write_text(json.dumps(manifest | changes))
        return folder

    return copy


def export(name: str, run: Path, destination: Path, details: Mapping[str, Any] | None = None) -> list[Path]:
    written: list[Path] = load("exporter", name, EXPORTERS)().export(run, destination, details or {})
    return written


def read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_whole_run_of_a_public_split_is_exported_without_a_remark(name: str, fit: Path, tmp_path: Path) -> None:
    export(name, fit, tmp_path)
    if name == "leaderboard":
        row = read(tmp_path / "leaderboard.json")
        assert (row["warning"], row["name"], row["resolved"]) == (None, "org/model", 33.33)
    else:
        (readme,) = tmp_path.rglob("README.md")
        assert readme.read_text().splitlines()[:3] == [
            "# org/model",
            "",
            "2 of 6 instances resolved: 33.3 %",
        ]


ORACLE = {"localization": "oracle"}
UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "recorded": ({"recorded": True}, "the answers were recorded, not sampled"),
    "gold": ({"patches": "gold"}, r"the patches are the dataset's own answers \(gold\), and no model's"),
    "oracle": ({"config": ORACLE}, "the files to change were taken from the gold patches"),
    "fewer": ({"instances": facts(NAMES[1:])}, "its 5 instances are not the 6 of multilingual"),
    "own dataset": ({"config": {"dataset": "rows.jsonl"}}, "its 6 instances are none of the public splits verified"),
    "other split": ({"config": {"split": "dev"}}, "its 6 instances are none of the public splits verified"),
}


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("case", UNFIT)
def test_what_would_mislead_is_refused_and_leaves_nothing(
    name: str, case: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    changes, reason = UNFIT[case]
    run = changed(**changes)
    with pytest.raises(UsageError, match=f"fit is not exported to {name}: .*{reason}.*-c submission.trial=true writes"):
        export(name, run, tmp_path / "out", {"partial": True})
    assert not (tmp_path / "out").exists()
    export(name, run, tmp_path / "out", {"trial": True})
    (said,) = (tmp_path / "out").rglob("leaderboard.json" if name == "leaderboard" else "README.md")
    text = said.read_text("utf-8")
    assert "trial export, not for submission" in text
    assert reason.replace("\\", "")[1:30] in text
    assert "[trial] " in text


@pytest.mark.parametrize(
    ("changes", "shown"), [({"recorded": True}, "recorded answers"), ({"patches": "gold"}, "gold")]
)
def test_recorded_and_gold_answers_never_carry_a_model_s_name(
    changes: dict[str, Any], shown: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    details = {"trial": True, "name": "Model X", "model_display": "Model X"}
    export("leaderboard", changed(**changes), tmp_path / "l", details)
    row = read(tmp_path / "l" / "leaderboard.json")
    assert shown in row["model_display"]
    assert shown in row["name"]
    assert "Model X" not in json.dumps(row)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_partial_run_has_to_be_said(name: str, tmp_path: Path) -> None:
    run = public_run(tmp_path / "part", "RRRi..")
    with pytest.raises(
        UsageError,
        match=r"part is not exported to \w+: a partial run: 3 of 6 instances have no verdict and count as not "
        r"resolved \(owner__beta-0, .*\) \(the same command as before finishes it\); -c submission\.partial=true ",
    ):
        export(name, run, tmp_path / "out")
    export(name, run, tmp_path / "out", {"partial": True})
    (said,) = (tmp_path / "out").rglob("leaderboard.json" if name == "leaderboard" else "README.md")
    text = said.read_text("utf-8")
    assert "artial run: 3 of 6 instances have no verdict and count as not resolved" in text
    assert "trial" not in text
    assert "50.0" in text


def test_what_nobody_gave_a_patch_for_is_no_gap(fit: Path, tmp_path: Path) -> None:
    run = public_run(tmp_path / "theirs", "RRRRR.", patches=HANDED_IN, submitted=tuple(NAMES[:-1]))
    assert refuse_unfit(Run(run), {}, "leaderboard") == ()


@pytest.mark.parametrize("value", ["true", 1, None])
@pytest.mark.parametrize("key", ["trial", "partial"])
def test_what_lets_a_run_through_is_true_and_nothing_else(key: str, value: object, fit: Path) -> None:
    with pytest.raises(UsageError, match=rf"submission\.{key} must be true or false"):
        refuse_unfit(Run(fit), {key: value}, "leaderboard")


# -- patches that were handed in


def test_of_handed_in_patches_agent_attempts_and_tests_are_the_submitter_s_to_say(
    changed: Callable[..., Path], tmp_path: Path
) -> None:
    run = changed(patches=HANDED_IN, submitted=NAMES)
    export("leaderboard", run, tmp_path / "l")
    row = read(tmp_path / "l" / "leaderboard.json")
    assert (row["agent"], row["agent_org"], row["model_org"], row["tags"]) == (None, None, None, ["Model: org/model"])
    assert row["warning"].startswith("graded by swerl-eval alone: the patches were handed in")
    theirs = tmp_path / "trajectories"
    theirs.mkdir()
    for name in NAMES:
        (theirs / f"{name}.traj.json").write_text("{}")
    said = {"agent": "Theirs", "attempts": "1", "tests_not_used": True, "trajectories": str(theirs)}
    export("leaderboard", run, tmp_path / "l2", said)
    row = read(tmp_path / "l2" / "leaderboard.json")
    assert (row["agent"], row["tags"]) == ("Theirs", ["Model: org/model", "System: Attempts - 1"])
    export("experiments", run, tmp_path / "e", said)
    (readme,) = (tmp_path / "e").rglob("README.md")
    ticked = [line for line in readme.read_text().splitlines() if line.startswith("- [x]")]
    assert [line.split("] ")[1].split()[0] for line in ticked] == ["pass@1:", "neither"]
    (metadata,) = (tmp_path / "e").rglob("metadata.yaml")
    assert yaml.safe_load(metadata.read_text())["tags"]["system"] == {"attempts": 1}
    assert len(list((tmp_path / "e").rglob("trajs/*.traj.json"))) == 6


@pytest.mark.parametrize("value", [2, "many", True, 1.5])
def test_attempts_are_one_or_two_plus(value: object, changed: Callable[..., Path], tmp_path: Path) -> None:
    run = changed(patches=HANDED_IN, submitted=NAMES)
    with pytest.raises(UsageError, match=r"submission\.attempts must be 1 or '2\+', not "):
        export("leaderboard", run, tmp_path / "out", {"attempts": value})


@pytest.mark.parametrize("name", WITH_TRAJECTORIES)
def test_handed_in_patches_without_trajectories_are_refused(
    name: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    run = changed(patches=HANDED_IN, submitted=NAMES)
    with pytest.raises(UsageError, match=r"are missing for 6 instances .*-c submission\.trajectories=FOLD"):
        export(name, run, tmp_path / "out")
    theirs = tmp_path / "theirs"
    for instance in NAMES[:-1]:
        (theirs / instance).mkdir(parents=True)
        (theirs / instance / "log.md").write_text("steps")
    (theirs / f"{NAMES[-1]}0.md").write_text("of another instance")
    with pytest.raises(UsageError, match=rf"trajectories are missing for 1 instances \({NAMES[-1]}\)"):
        export(name, run, tmp_path / "out", {"trajectories": str(theirs)})
    (theirs / f"{NAMES[-1]}.md").write_text("steps")
    export(name, run, tmp_path / "out", {"trajectories": str(theirs)})
    copied = sorted(file.name for file in (tmp_path / "out").rglob("trajs/*"))
    assert copied == sorted([*(f"{instance}.log.md" for instance in NAMES[:-1]), f"{NAMES[-1]}.md"])
    with pytest.raises(UsageError, match=r"submission\.trajectories: nowhere is no folder"):
        export(name, run, tmp_path / "out", {"trajectories": "nowhere"})


# -- trajectories and logs


@pytest.mark.parametrize("name", WITH_TRAJECTORIES)
def test_a_run_that_lost_an_answer_has_no_trajectory_to_show(
    name: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    run = changed()
    lines = (run / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (run / "samples.jsonl").write_bytes(b"".join(lines[1:]))
    with pytest.raises(UsageError, match=rf"are missing for 1 instances \({NAMES[0]}\) \(samples\.jsonl of"):
        export(name, run, tmp_path / "out")
    (run / "samples.jsonl").write_bytes(b"")
    with pytest.raises(UsageError, match="trajectories are missing for 6 instances"):
        export(name, run, tmp_path / "out")
    assert export("leaderboard", run, tmp_path / "row")


@pytest.mark.parametrize("file", ["patch.diff", "test_output.txt"])
@pytest.mark.parametrize("name", WITH_TRAJECTORIES)
def test_a_resolved_instance_without_its_log_is_refused(
    name: str, file: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    run = changed()
    (run / "logs" / NAMES[0] / file).unlink()
    (run / "logs" / NAMES[1] / file).unlink()  # not resolved
    with pytest.raises(UsageError, match=rf"logs are missing of 1 resolved instances \({NAMES[0]}\)"):
        export(name, run, tmp_path / "out")


def test_a_trajectory_has_every_rollout_with_its_thinking_the_evidence_and_the_choice(
    fit: Path, tmp_path: Path
) -> None:
    export("submission", fit, tmp_path)
    trajectory = read(tmp_path / "submission-repo" / "trajs" / f"{NAMES[0]}.json")
    assert [(r["sample"], r["answer"], r["reasoning"], r["normal_form"]) for r in trajectory["rollouts"]] == [
        (0, "answer 0", "thinking 0", "form 0"),
        (1, "answer 1", "thinking 1", "form 1"),
    ]
    (evidence,) = trajectory["evidence"]
    assert (evidence["normal_form"], evidence["outcomes"], evidence["broken"]) == ("form 0", ["resolved"], ["test_a"])
    assert trajectory["reproduction_tests"][0]["script"] == "print()"
    assert trajectory["regression_tests"]["passing"] == ["test_a"]
    assert (trajectory["selection"]["sample"], trajectory["selection"]["reason"]) == (0, "majority")


# -- the newer submission


def test_a_submission_has_a_repository_an_entry_and_a_file_that_names_them(fit: Path, tmp_path: Path) -> None:
    written = export("submission", fit, tmp_path, {"report": "https://example.org/report.pdf"})
    assert [path.name for path in written] == ["submission-repo", "entry", "submission.json"]
    assert read(tmp_path / "submission.json") == {
        "schema_version": 1,
        "submission_id": "20260101_model",
        "split": "multilingual",
        "model": "org/model",
        "run_dir": "fit",
    }
    repository = tmp_path / "submission-repo"
    logs = {file.name for file in (repository / "logs" / NAMES[0]).iterdir()}
    assert logs == {"patch.diff", "report.json", "test_output.txt.gz"}
    compressed = repository / "logs" / NAMES[0] / "test_output.txt.gz"
    assert gzip.decompress(compressed.read_bytes()) == b"output\n" * 100
    assert len((repository / "all_preds.jsonl").read_text().splitlines()) == 6
    entry = {
        file.relative_to(tmp_path / "entry").as_posix() for file in (tmp_path / "entry").rglob("*") if file.is_file()
    }
    assert entry == {
        "README.md", "metadata.yaml", "results/results.json", "results/resolved_by_repo.json",
        "results/resolved_by_time.json",
    }  # fmt: skip
    results = read(tmp_path / "entry" / "results" / "results.json")
    assert {key: len(names) for key, names in results.items()} == {"no_generation": 2, "no_logs": 0, "resolved": 2}
    assert read(tmp_path / "entry" / "results" / "resolved_by_time.json") == {"2024": {"resolved": 2, "total": 6}}


def test_a_file_that_a_repository_does_not_take_is_refused_by_name(
    fit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "MOST_BYTES", 1000)  # the trajectories have more
    with pytest.raises(UsageError, match=r"over 0 MB, which a repository does not take: trajs/owner__alpha-0\.json, "):
        export("submission", fit, tmp_path)
    assert not (tmp_path / "submission.json").exists()


# -- splits and schemas


def test_a_split_is_recognised_by_its_instances_or_by_name_and_number(
    changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Run(changed()).manifest
    digest = hashlib.sha256("\n".join(NAMES).encode()).hexdigest()
    known = replace(SPLITS[0], ids_sha256=digest)
    assert [split.name for split in (known, SPLITS[3])] == ["verified", "multilingual"]
    monkeypatch.setattr(splits, "SPLITS", (known, SPLITS[3]))
    elsewhere = replace(manifest, config={**CONFIG, "dataset": "rows.jsonl"})
    assert public_split(elsewhere) == known
    # as many instances as Verified has, of a dataset of that name, are not Verified
    others: dict[str, dict[str, str]] = {f"owner__x-{number}": {} for number in range(500)}
    assert public_split(replace(elsewhere, instances=others, config={"dataset": "verified"})) is None


@pytest.mark.parametrize(
    ("dataset", "split"),
    [
        ("SWE-bench/SWE-bench_Verified@abc", "verified"),
        ("verified", "verified"),
        ("SWE-bench/SWE-bench_Lite@verified", "lite"),
        ("full", "test"),
        ("SWE-bench/SWE-bench", "test"),
        ("owner/SWE-bench_Verified", None),
        ("owner/name@refs/verified", None),
    ],
)
def test_a_dataset_is_named_after_a_split_or_after_none(dataset: str, split: str | None, fit: Path) -> None:
    named = named_split(replace(Run(fit).manifest, config={"dataset": dataset}))
    assert (named.name if named else None) == split


def test_an_old_run_whose_settings_lack_the_split_is_exported(fit: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fit, tmp_path / "old"))
    manifest = read(folder / "run.json")
    del manifest["config"]["split"]
    (folder / "run.json").write_text(json.dumps(manifest))
    for name in EXPORTERS:
        if name in ("swebench", *PUBLIC):
            assert export(name, folder, tmp_path / name)
    (file,) = (tmp_path / "swebench").rglob("run.json")
    assert read(file)["split"] == "test"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"os_model": "false"}, "os_model: Input should be a valid boolean"),
        ({"resolved": 40.0}, r"the instances give 33\.33 %, not 40\.0 %"),
        ({"date": "yesterday"}, "date: String should match pattern"),
        ({"checked": True}, "checked: Input should be False"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"cost": "cheap"}, "cost: Input should be a valid number"),
    ],
)
def test_a_row_that_the_leaderboard_would_misread_is_not_written(
    change: dict[str, Any], problem: str, fit: Path, tmp_path: Path
) -> None:
    export("leaderboard", fit, tmp_path)
    row = check(LeaderboardRow, read(tmp_path / "leaderboard.json"), "leaderboard.json")
    with pytest.raises(UsageError, match=rf"leaderboard\.json is not written, since it would be rejected: .*{problem}"):
        check(LeaderboardRow, {**row, **change}, "leaderboard.json")
    first = {**row, "per_instance_details": dict(list(row["per_instance_details"].items())[1:])}
    with pytest.raises(UsageError, match="5 instances are listed, and the denominator is 6"):
        check(LeaderboardRow, first, "leaderboard.json")


def test_a_cost_of_the_submitter_that_is_no_number_is_refused(fit: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cost: Input should be a valid number; correct the setting `submission`"):
        export("leaderboard", fit, tmp_path / "out", {"cost": "cheap"})
    assert not (tmp_path / "out").exists()


ROLLOUT = {
    "stage": "repair", "sample": 0, "prompt_sha256": "0" * 64, "files_shown": [], "answer": "", "reasoning": "",
    "finish_reason": "stop", "error": "", "patch": None, "normal_form": None, "rejected": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "content", "problem"),
    [
        (Results, {"no_generation": [], "no_logs": [], "resolved": ["a", "a"]}, "listed more than once: a"),
        (Results, {"no_generation": ["a"], "no_logs": [], "resolved": ["a"]}, "listed more than once: a"),
        (
            Prediction,
            {"instance_id": "../a", "model_name_or_path": "m", "model_patch": ""},
            "instance_id: String should match",
        ),
        (
            Trajectory,
            {
                "instance_id": "a", "recorded": False, "rollouts": [ROLLOUT, ROLLOUT], "reproduction_tests": [],
                "regression_tests": None, "evidence": [], "selection": None,
            },
            "a rollout is listed more than once",
        ),
    ],
)  # fmt: skip
def test_instances_and_rollouts_that_are_there_twice_are_refused(schema: Any, content: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check(schema, content, "file.json")


def test_a_run_report_that_counts_an_instance_twice_is_refused(fit: Path, tmp_path: Path) -> None:
    export("swebench", fit, tmp_path)
    (file,) = tmp_path.glob("*.fit.json")
    report = check(RunReport, read(file), file.name)
    report["unresolved_ids"] = [*report["unresolved_ids"], report["resolved_ids"][0]]
    with pytest.raises(UsageError, match="listed more than once"):
        check(RunReport, report, file.name)
    report["unresolved_ids"] = report["unresolved_ids"][:-2]
    with pytest.raises(UsageError, match="5 instances are listed, and there are 6"):
        check(RunReport, report, file.name)
