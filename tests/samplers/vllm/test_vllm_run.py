"""`swerl-eval run` on the bundled suite through the real engine: a model that knows nothing, kills, a dying engine.

No container is started: the sandbox is the scripted one, which says of every patch that no test passes.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from swerl_eval.demo.setup import SUITE
from tests.tiny_model import CONTEXT, ENGINE

pytestmark = pytest.mark.vllm

SAMPLES = 4
REPAIRED = 8
"""Instances with a file to show: the gold patch of the ninth only adds one."""
PATIENCE = 240.0
"""Seconds for a run, an engine's start included, on a machine that does other things too."""


@pytest.fixture(scope="module")
def command(model: str, mirrors: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("settings")
    settings = {
        "dataset": str(SUITE),
        "repositories": str(mirrors),
        "cache": str(folder / "cache"),
        "sampler": "vllm",
        "model": model,
        "localization": "oracle",
        "samples": SAMPLES,
        "max_tokens": 48,
        "sandbox": "scripted",
        "run_id": "tiny",
        "requests": 1,  # one after the other, so that there is a middle to be killed in
        "engine": ENGINE | {"max_model_len": CONTEXT},
    }
    (folder / "run.toml").write_text(tomli_w.dumps(settings))
    return [sys.executable, "-m", "swerl_eval.cli.app", "run", "--config", str(folder / "run.toml")]


def finish(command: list[str], results: Path, *options: str) -> str:
    """Run to the end; what it said on standard error. What the engine said is in a file, and only there."""
    whole = [*command, "--results", str(results), *options]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " INFO " in (results / "tiny" / "logs" / "engine.log").read_text(encoding="utf-8")
    assert "pid=" not in done.stdout + done.stderr
    return done.stderr


@contextmanager
def under_way(command: list[str], results: Path, samples: int) -> Iterator[subprocess.Popen[str]]:
    """A run that has stored so many answers and goes on."""
    with (results.parent / f"{results.name}.txt").open("w+") as said:
        process = subprocess.Popen([*command, "--results", str(results)], stdout=said, stderr=said, text=True)
        try:
            deadline = time.monotonic() + PATIENCE
            while len(stored(results)) < samples:
                assert process.poll() is None, Path(said.name).read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.wait()


def stored(results: Path) -> list[str]:
    """Whole lines of answers; the order in which they came says nothing."""
    file = results / "tiny" / "samples.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return sorted(line for line in lines if line.endswith("\n"))


def report(results: Path) -> Any:
    return json.loads((results / "tiny" / "report.json").read_bytes())


def below(process: subprocess.Popen[str]) -> list[Any]:
    """The engine's processes, and their watchdog."""
    psutil: Any = importlib.import_module("psutil")
    processes: list[Any] = psutil.Process(process.pid).children(recursive=True)
    return processes


def assert_ended(processes: list[Any]) -> None:
    psutil: Any = importlib.import_module("psutil")

    def alive() -> list[Any]:
        running = []
        for process in processes:
            # a zombie holds nothing; of a parent that was killed, they may stay where nothing reaps them
            with suppress(psutil.NoSuchProcess):
                running += [process] if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else []
        return running

    deadline = time.monotonic() + 120
    while alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive()


@pytest.fixture(scope="module")
def undisturbed(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    finish(command, results)
    return results


def test_a_model_that_knows_nothing_solves_nothing_and_everything_else_is_right(undisturbed: Path) -> None:
    whole = report(undisturbed)
    assert whole["recorded"] is False
    assert "resolved" not in {row["verdict"] for row in whole["instances"]}
    assert len(whole["instances"]) == 9
    samples = [json.loads(line) for line in stored(undisturbed)]
    assert len(samples) == whole["sampling"]["samples"] == REPAIRED * SAMPLES
    assert whole["sampling"]["valid"] == 0
    assert whole["sampling"]["rejections"]["no_edit"] > REPAIRED
    errors = [sample["completion"]["error"] for sample in samples if sample["completion"]["error"]]
    assert errors, "no prompt of the suite was too long for the context"
    assert all(f"max_model_len is {CONTEXT}" in error for error in errors)
    assert whole["sampling"]["rejections"]["sample_failed"] == len(errors)
    answers = [sample["completion"]["text"] for sample in samples if not sample["completion"]["error"]]
    rewards = [json.loads(line) for line in (undisturbed / "tiny" / "rewards.jsonl").read_text().splitlines()]
    assert [reward["value"] for reward in rewards] == [-1.0] * len(answers), "what was never answered has no reward"
    assert len(set(answers)) == len(answers), "no answer is there twice"
    usage = [json.loads(line) for line in (undisturbed / "tiny" / "usage.jsonl").read_text().splitlines()]
    assert [record["gpus"] for record in usage] == [None], "there is none here, so no GPU-seconds"


def test_preflight_says_beforehand_what_the_run_then_shows(command: list[str], undisturbed: Path) -> None:
    def before(*options: str) -> tuple[int, str, str]:
        asked = ["preflight" if word == "run" else word for word in command]
        done = subprocess.run(
            [*asked, *options],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "COLUMNS": "300"},
        )
        return done.returncode, " ".join(done.stdout.split()), done.stderr

    code, output, said = before()
    assert (code, said) == (1, ""), "one prompt is too long"
    assert "│ vLLM │ fine │ it takes the model and the engine's settings │" in output
    samples = [json.loads(line) for line in stored(undisturbed)]
    long = {sample["instance_id"] for sample in samples if sample["completion"]["error"]}
    assert f"{len(long)} prompts do not fit in {CONTEXT:,} and would be skipped" in output
    assert f"longest {max(sample['completion']['prompt_tokens'] for sample in samples):,} │" in output
    assert "│ memory │ fine │" in output
    assert "│ room for the cache │ estimate │ 0.06 GiB, " in output
    assert "GPU" not in output
    code, output, _ = before(
        "-c", "engine.kv_cache_memory_bytes=99999999999999", "-c", "engine.enable_chunked_prefill=true"
    )
    assert code == 1
    assert "│ room for the cache │ too little │" in output
    assert "│ chunked prefill │ refused │" in output
    code, output, _ = before("-c", "engine.dtype=floaty", "--limit", "1")
    assert code == 1
    assert "│ vLLM │ refused │ dtype: Input should be 'auto'" in output


def test_an_engine_that_does_not_start_says_where_its_own_messages_are(command: list[str], tmp_path: Path) -> None:
    whole = [*command, "--results", str(tmp_path), "-c", "engine.dtype=floaty"]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    (complaint,) = [line for line in done.stderr.splitlines() if line.startswith("swerl-eval: ")]
    assert "vLLM does not start with" in complaint
    assert "dtype: Input should be 'auto'" in complaint
    assert complaint.endswith(f"for the full output see {tmp_path}/tiny/logs/engine.log")


def test_an_interrupted_run_ends_in_order_and_takes_its_engine_along(command: list[str], tmp_path: Path) -> None:
    results = tmp_path / "results"
    with under_way([*command, "--localization", "model"], results, 2) as process:
        engine = below(process)
        assert engine
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert_ended(engine)
    assert "the same command finishes the run" in (tmp_path / "results.txt").read_text()
    samples = [json.loads(line) for line in stored(results)]
    assert {sample["stage"] for sample in samples} == {"localize"}
    assert 2 <= len(samples) < 9


def test_killed_resumed_and_with_its_engine_killed_a_run_ends_as_an_undisturbed_one(
    command: list[str], undisturbed: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    with under_way(command, results, SAMPLES) as process:
        engine = below(process)
        assert engine
        process.kill()
        process.wait()
    assert SAMPLES <= len(stored(results)) < REPAIRED * SAMPLES
    assert_ended(engine)
    with under_way(command, results, 3 * SAMPLES) as process:
        (core,) = [child for child in below(process) if "EngineCore" in " ".join(child.cmdline())]
        os.kill(core.pid, signal.SIGKILL)
        assert process.wait(PATIENCE) == 0
    assert "restart 1 of at most 3" in " ".join((tmp_path / "results.txt").read_text().split())
    assert "restart 1 of at most 3" in (results / "tiny" / "events.jsonl").read_text()
    assert stored(results) == stored(undisturbed)
    assert report(results) == report(undisturbed)
