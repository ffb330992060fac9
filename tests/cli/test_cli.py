"""Commands as a user types them, without Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.types import ModelUsage
from swerl_eval.demo.setup import ANSWERS, SUITE
from swerl_eval.records.run_folder import reopen_run

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")


def run(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=300)


def replayed(mirrors: Path, results: Path, *more: object) -> list[object]:
    return [
        "--dataset", SUITE, "--repositories", mirrors, "--sampler", "replay", "--answers", ANSWERS, "--samples", 8,
        "-c", "localization_samples=2", "--results", results, *more,
    ]  # fmt: skip


def test_the_stages_run_one_after_another_over_one_folder(mirrors: Path, tmp_path: Path) -> None:
    first = run("localize", *replayed(mirrors, tmp_path, "--run-id", "r"))
    assert (first.returncode, first.stdout.splitlines()[0]) == (
        0,
        "Localized 9 instances; all gold files found in 7 of 9.",
    )
    # the later stages take their settings from the run
    second = run("repair", "--results", tmp_path, "--run-id", "r")
    assert (second.returncode, second.stdout.splitlines()[0]) == (0, "72 samples, 51 valid, 29 unique.")
    third = run("select", "--results", tmp_path, "--run-id", "r")
    assert third.stdout.splitlines()[0].endswith("a patch chosen for 8 of 9 instances.")
    predictions = [json.loads(line) for line in (tmp_path / "r/all_preds.jsonl").read_text().splitlines()]
    assert len(predictions) == 9


def test_a_later_stage_does_first_what_is_missing(mirrors: Path, tmp_path: Path) -> None:
    done = run("select", *replayed(mirrors, tmp_path, "--limit", 2))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "16 samples, 12 valid, 7 unique; a patch chosen for 2 of 2 instances."


def test_the_same_command_finds_its_run_again(mirrors: Path, tmp_path: Path) -> None:
    run("localize", *replayed(mirrors, tmp_path))
    run("localize", *replayed(mirrors, tmp_path, "--workers", 1))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", SUITE, "-i", "demo__inkwel-1"], "no instance 'demo__inkwel-1'; did you mean demo__inkwell-1"),
        (["--dataset", "verfied"], "unknown dataset 'verfied': neither a file"),
        (["--dataset", "nowhere.parquet"], "there is no dataset file nowhere.parquet"),
        (["--dataset", SUITE, "-c", "sampels=3"], "unknown setting 'sampels'; did you mean samples?"),
        (["--dataset", SUITE, "--samples", "0"], "samples: Input should be greater than or equal to 1"),
        (["--dataset", SUITE, "--shard", "5/4"], "a shard is i/n with 1 <= i <= n"),
        (["--dataset", SUITE, "--sampler", "replya", "--model", "m"], "no sampler 'replya'; did you mean replay?"),
        (
            ["--dataset", SUITE, "--sampler", "replay"],
            "the replay sampler needs the file of recorded answers: --answers",
        ),
        (["--dataset", SUITE, "--sampler", "openai"], "the openai sampler needs --model"),
        (["--dataset", SUITE, "--prompts", "nowhere"], "nowhere has no localize.jinja, repair.jinja"),
        (["--dataset", SUITE, "--repo", "demo/none"], "no instance has repo 'demo/none'; there are: demo/inkwell"),
        (["--dataset", SUITE, "--repositories", "nowhere"], "--repositories nowhere: there is no such folder"),
        (["--config", "nowhere.toml"], "cannot read the configuration nowhere.toml: No such file"),
        (["--unknown"], "No such option"),
    ],
)
def test_bad_input_is_named_with_the_remedy_before_any_work(
    arguments: list[object], message: str, tmp_path: Path
) -> None:
    done = run("localize", *arguments, cwd=tmp_path)
    assert done.returncode in {1, 2}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_torn_file_of_predictions_is_named_by_line(tmp_path: Path) -> None:
    whole = {"instance_id": "demo__inkwell-1", "model_name_or_path": "m", "model_patch": ""}
    (tmp_path / "p.jsonl").write_text(json.dumps(whole) + '\n{"inst\n')
    done = run("evaluate", "-p", "p.jsonl", "--dataset", SUITE, cwd=tmp_path)
    assert done.returncode == 2
    assert "p.jsonl, line 2: " in done.stderr
    assert not (tmp_path / "results").exists()


def test_the_printed_configuration_is_read_back_as_a_file(tmp_path: Path) -> None:
    first = run(
        "config", "--dataset", SUITE, "--samples", 5, "-c", "engine.max_model_len=2048", "-c", "model=some-model"
    )
    (tmp_path / "c.toml").write_text(first.stdout)
    second = run("config", "--config", tmp_path / "c.toml")
    assert first.returncode == second.returncode == 0
    assert second.stdout == first.stdout
    assert "samples = 5\n" in first.stdout


def test_a_report_is_made_anew_from_the_records(mirrors: Path, tmp_path: Path) -> None:
    run("select", *replayed(mirrors, tmp_path, "--run-id", "r"))
    (tmp_path / "r/report.json").unlink()
    done = run("report", tmp_path / "r", "--format", "json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["verdicts"]["missing"] == 9
    assert report["sampling"]["valid"] == 51
    table = run("report", tmp_path / "r").stdout
    assert "Solve rate: 0/9 = 0.0 %" in table
    assert "RECORDED" in table


def test_a_report_takes_prices_that_override_those_of_the_run(mirrors: Path, tmp_path: Path) -> None:
    run("select", *replayed(mirrors, tmp_path, "--run-id", "r", "-c", "prices.output=10", "-c", "prices.input=1"))
    with reopen_run(tmp_path / "r") as folder:
        folder.usage.append(ModelUsage(1.0, 10.0, 1, 2_000_000, None, 1_000_000))
    assert "Money: 12.00 (input 2.00, output 10.00)" in run("report", tmp_path / "r").stdout
    assert "Money: 17.00 (input 2.00, output 15.00)" in run("report", tmp_path / "r", "-c", "prices.output=15").stdout
    (tmp_path / "prices.toml").write_text("[prices]\ninput = 0.0\n")
    assert "Money: 10.00" in run("report", tmp_path / "r", "--config", tmp_path / "prices.toml").stdout
    wrong = run("report", tmp_path / "r", "-c", "prices.answer=15")
    assert (wrong.returncode, "'answer' is no price" in wrong.stderr) == (2, True)
    # a resume may change them
    again = replayed(mirrors, tmp_path, "--run-id", "r", "-c", "prices.output=20", "-c", "prices.input=1")
    assert run("select", *again).returncode == 0
    assert "Money: 22.00" in run("report", tmp_path / "r").stdout


def test_a_report_as_a_page_is_written_and_its_path_printed(
    mirrors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWERL_EVAL_PAGE", "")
    run("select", *replayed(mirrors, tmp_path, "--run-id", "r"))
    page = tmp_path / "r/report.html"
    first = page.read_text(encoding="utf-8")  # the run wrote it
    page.unlink()
    done = run("report", tmp_path / "r", "--format", "html")
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    assert page.read_text(encoding="utf-8") == first
    done = run("report", tmp_path / "r", "--format", "html", "-o", tmp_path / "own.html", "-c", "prices.gpu_hour=2")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'own.html'}\n")
    done = run("report", tmp_path / "r", "--format", "html", "-o", tmp_path / "no/own.html")
    assert done.returncode == 2
    assert done.stderr.endswith("own.html: No such file or directory; choose another --output\n")
    done = run("report", tmp_path / "r", "-o", tmp_path / "own.html")
    assert done.returncode == 2
    assert "add --format html" in done.stderr


def test_an_export_of_an_unknown_format_says_which_there_are(mirrors: Path, tmp_path: Path) -> None:
    run("select", *replayed(mirrors, tmp_path, "--run-id", "r"))
    done = run("export", tmp_path / "r", "--to", "leaderbord")
    assert done.returncode == 2
    assert "did you mean leaderboard?" in done.stderr


def test_the_doctor_says_what_is_missing_and_the_line_that_fixes_it(tmp_path: Path) -> None:
    done = run("doctor", "--dataset", SUITE, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert "apt-get install docker.io" in done.stdout
    assert "9 instances" in done.stdout


def test_the_doctor_says_where_a_ray_cluster_cannot_be_reached_and_how_a_node_is_started() -> None:
    done = run("doctor", "--dataset", SUITE, "--sandbox", "ray", "--ray-address", "127.0.0.1:1", COLUMNS="300")
    assert done.returncode == 1
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("│ Ray ")]
    assert "missing" in row
    assert "127.0.0.1:1" in row
    assert "ray start --resources='{\"docker\": 1}'" in row


def test_without_docker_nothing_is_sampled_in_vain(mirrors: Path, tmp_path: Path) -> None:
    done = run("run", *replayed(mirrors, tmp_path, "--run-id", "r"), DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert "no Docker engine answers" in done.stderr
    assert (tmp_path / "r/samples.jsonl").read_bytes() == b""


def test_a_locked_run_is_refused(mirrors: Path, tmp_path: Path) -> None:
    import filelock

    (tmp_path / "r").mkdir()
    with filelock.FileLock(tmp_path / "r/.lock"):
        done = run("localize", *replayed(mirrors, tmp_path, "--run-id", "r"))
    assert done.returncode == 1
    assert "is being written by another process" in done.stderr


def scripted(mirrors: Path, results: Path, *more: object) -> list[object]:
    """A whole run whose containers run nothing."""
    return replayed(mirrors, results, "-c", "sandbox=scripted", *more)


def test_a_run_says_how_many_verdicts_it_knew_and_no_cache_knows_none(mirrors: Path, tmp_path: Path) -> None:
    cache: dict[str, Any] = {"SWERL_EVAL_CACHE": str(tmp_path / "cache")}
    first = run("run", *scripted(mirrors, tmp_path, "--run-id", "a", "--no-cache"), **cache)
    second = run("run", *scripted(mirrors, tmp_path, "--run-id", "b"), **cache)
    third = run("run", *scripted(mirrors, tmp_path, "--run-id", "c"), **cache)
    fourth = run("run", *scripted(mirrors, tmp_path, "--run-id", "d", "--no-cache"), **cache)
    assert [done.returncode for done in (first, second, third, fourth)] == [0] * 4
    from_cache = ["verdicts from the cache" in done.stdout for done in (first, second, third, fourth)]
    assert from_cache == [False, False, True, False]
    assert "\n8 verdicts from the cache (--no-cache runs every patch)\n" in third.stdout
    assert b"from the cache" in (tmp_path / "c/events.jsonl").read_bytes()
    assert b"cache" not in (tmp_path / "c/report.json").read_bytes()


def test_logs_are_graded_again_by_other_rows_and_the_changes_are_named(mirrors: Path, tmp_path: Path) -> None:
    from swerl_eval.sources.datasets import load_rows

    run("run", *scripted(mirrors, tmp_path, "--run-id", "r"))
    same = run("report", tmp_path / "r", "--regrade")
    assert same.returncode == 0
    assert ", 0 changed\n" in same.stderr
    assert "8 logs graded again in " in same.stderr
    rows = load_rows(str(SUITE), None)
    for row in rows:
        if row["instance_id"] == "demo__waypost-3":
            row |= {"eval_type": "fail_only"}  # silence is a pass then, where a suite ran at all
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    log = tmp_path / "r/logs/demo__waypost-3/test_output.txt"
    log.write_text(">>>>> Start Test Output\nPASSED t.py::x\n>>>>> End Test Output\n")
    other = run("report", tmp_path / "r", "--regrade", "--dataset", tmp_path / "rows.jsonl", "--format", "json")
    assert other.returncode == 0
    assert "demo__waypost-3, patch " in other.stderr
    assert ": unresolved (strict: unresolved) before, resolved (strict: infra_error) now\n" in other.stderr
    report = json.loads(other.stdout)
    assert report["resolved"] == 1
    assert report == json.loads((tmp_path / "r/report.json").read_bytes())
    assert report["regraded"]["dataset_fingerprint"] != report["dataset_fingerprint"]


def test_a_report_honours_a_quarantine_by_option_or_setting(mirrors: Path, tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    file.write_text('{"schema_version": 1, "instances": {"demo__waypost-3": {"reason": "flaky: now and then"}}}')
    run("run", *scripted(mirrors, tmp_path, "--run-id", "r"))
    assert "quarantine" not in run("report", tmp_path / "r").stdout
    done = run("report", tmp_path / "r", "--quarantine", file)
    assert "Solve rate: 0/9" in done.stdout
    assert "Without 1 in quarantine (q.json): 0/8" in done.stdout
    assert "demo__waypost-3: in quarantine: flaky: now and then" in done.stdout
    own = run("run", *scripted(mirrors, tmp_path, "--run-id", "s", "-c", f"quarantine={file}"))
    assert "Without 1 in quarantine (q.json): 0/8" in own.stdout
    assert json.loads((tmp_path / "s/report.json").read_bytes())["without_quarantined"]["total"] == 8
    file.unlink()
    gone = run("report", tmp_path / "s")
    assert gone.returncode == 2
    assert f"cannot read the quarantine file {file}: No such file" in gone.stderr
    early = run("run", *scripted(mirrors, tmp_path, "--run-id", "t", "-c", f"quarantine={file}"))
    assert early.returncode == 2
    assert not (tmp_path / "t").exists()


def test_validate_writes_what_it_found_into_a_quarantine_file(tmp_path: Path) -> None:
    options = ["--dataset", SUITE, "-i", "demo__waypost-*", "-c", "sandbox=scripted", "--results", tmp_path]
    done = run("validate", *options, "--repeat", 2, "--quarantine", tmp_path / "mine.json")
    assert done.returncode == 1
    assert "0 of 3 instances are valid." in done.stdout
    assert f"Quarantine: 3 instances in {tmp_path}/mine.json" in done.stdout
    content = json.loads((tmp_path / "mine.json").read_bytes())
    reason = {"reason": "invalid: the gold patch does not resolve it", "image_id": "scripted"}
    assert content["instances"] == {f"demo__waypost-{number}": reason for number in (1, 2, 3)}
    assert (content["repeat"], content["checked"], content["machines"][0]["engine"]) == (2, 3, "scripted")
    assert content["versions"]["swebench"].startswith("5.")
    (folder,) = tmp_path.glob("validate-suite-*/")
    assert not (folder / "quarantine.json").exists()
    run("validate", *options)
    assert (folder / "quarantine.json").exists(), "the same settings have the same folder"
    run("validate", *options, "--shard", "1/2")
    assert len(list(tmp_path.glob("validate-suite-*/"))) == 2, "another choice has another"


VALIDATE = ("validate", "--dataset", SUITE, "-i", "demo__waypost-1")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_validate_touches_no_run(mirrors: Path, tmp_path: Path) -> None:
    run("run", *scripted(mirrors, tmp_path, "--run-id", "r"))
    before = files(tmp_path / "r")
    assert "logs/demo__waypost-1/test_output.txt" in before
    done = run(*VALIDATE, "--results", tmp_path, "--run-id", "r", "-c", "sandbox=scripted")
    assert done.returncode == 2
    assert done.stderr == f"swerl-eval: {tmp_path}/r is a run's folder; choose another --run-id, or leave it out\n"
    assert files(tmp_path / "r") == before


def test_two_validations_never_share_a_folder(tmp_path: Path) -> None:
    import filelock

    options = ("--results", tmp_path, "--run-id", "v", "-c", "sandbox=scripted")
    assert "0 of 1 instances are valid" in run(*VALIDATE, *options).stdout
    before = files(tmp_path / "v")
    with filelock.FileLock(tmp_path / "v/.lock"):
        done = run(*VALIDATE, *options)
    assert done.returncode == 1
    assert "v is being written by another process; wait for it" in done.stderr
    assert files(tmp_path / "v") == before


def test_a_validation_removes_old_logs_only_for_new_ones(tmp_path: Path) -> None:
    options = ("--results", tmp_path, "--run-id", "v", "-c", "sandbox=scripted")
    run(*VALIDATE, *options, "--repeat", 4)
    logs = tmp_path / "v/logs"
    own = (logs / "notes.txt", logs / "gold/demo__waypost-1/4/notes.txt", logs / "gold/demo__waypost-1/old/report.json")
    for file in own:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    before = files(tmp_path / "v")
    assert sum(name.endswith("test_output.txt") for name in before) == 8
    engine: dict[str, Any] = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    away = run(*VALIDATE, "--results", tmp_path, "--run-id", "v", **engine)
    assert (away.returncode, "no Docker engine answers" in away.stderr) == (1, True)
    assert files(tmp_path / "v") == before, "where no engine is reached nothing is lost"
    run(*VALIDATE, *options, "--repeat", 2)
    after = files(tmp_path / "v")
    assert sum(name.endswith("test_output.txt") for name in after) == 4, "those of a third and fourth time are gone"
    assert [file.read_text() for file in own] == ["mine"] * 3
