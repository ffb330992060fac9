"""The package called as a library."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import swerl_eval
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.records.run_folder import Run
from tests.api.sandboxes import StuckSandbox
from tests.docs.pages import ROOT, blocks

RESOLVES_NOTHING = {"unresolved": 8, "empty_patch": 1}
STUCK = "tests.api.sandboxes:StuckSandbox"


@pytest.fixture
def config(demo_config: RunConfig) -> RunConfig:
    return demo_config.model_copy(update={"sandbox": "scripted"})


@pytest.fixture
def stuck(config: RunConfig) -> Iterator[RunConfig]:
    StuckSandbox.events.clear()
    yield config.model_copy(update={"sandbox": STUCK})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def verdicts(run: swerl_eval.StoredRun) -> dict[str, int]:
    return {name: count for name, count in run.report["verdicts"].items() if count}


def test_a_run_from_python_is_the_run_of_the_command_line(config: RunConfig) -> None:
    run = swerl_eval.run(config)
    assert run.folder == config.run_folder
    assert (run.complete, run.failures, run.infra_errors) == (True, {}, {})
    assert verdicts(run) == RESOLVES_NOTHING
    assert len(run.instances) == 9


def test_settings_by_name_go_over_the_configuration(config: RunConfig) -> None:
    run = swerl_eval.run(config, instances=("demo__waypost-1",), until="select")
    assert run.instances == ("demo__waypost-1",)
    assert [selection.index for selection in run.selections()] == [1]
    assert len(run.evaluations()) == 0


@pytest.mark.parametrize("wrong", [{"until": "the end"}, {"memroy": "8g"}, {"samples": 0}])
def test_a_wrong_setting_is_the_package_s_own_error(config: RunConfig, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        swerl_eval.run(config, **wrong)  # type: ignore[arg-type]
    assert not config.run_folder.exists()


def test_it_runs_where_a_loop_runs_already_and_in_other_threads(config: RunConfig) -> None:
    async def as_in_a_notebook() -> swerl_eval.FinishedRun:
        return swerl_eval.run(config, instances=("demo__waypost-1",))

    assert verdicts(asyncio.run(as_in_a_notebook())) == {"unresolved": 1}
    found: list[swerl_eval.FinishedRun] = []
    work = functools.partial(swerl_eval.run, config, instances=("demo__waypost-2",), run_id="thread")
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    assert verdicts(found[0]) == {"unresolved": 1}


def test_the_async_functions_run_on_the_caller_s_loop(config: RunConfig) -> None:
    threads: set[str] = set()

    async def main() -> tuple[swerl_eval.FinishedRun, swerl_eval.FinishedRun]:
        threads.add(threading.current_thread().name)
        run = await swerl_eval.arun(config, instances=("demo__waypost-1",))
        return run, await swerl_eval.aevaluate("gold", config, instances=("demo__waypost-1",), run_id="gold")

    run, graded = asyncio.run(main())
    assert threads == {"MainThread"}
    assert (verdicts(run), verdicts(graded)) == ({"unresolved": 1}, {"unresolved": 1})


def test_an_interrupt_reaches_the_caller_after_everything_is_closed_and_stored(
    stuck: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def interrupt() -> None:
        wait_until(lambda: "begin" in StuckSandbox.events)
        signal.pthread_kill(main_thread, signal.SIGINT)

    # a shell lets its background processes ignore the signal, and these tests may be in one
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            swerl_eval.run(stuck)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert StuckSandbox.events[-1] == "close"
    assert StuckSandbox.events.count("begin") == StuckSandbox.events.count("end")
    assert len(Run(stuck.run_folder).samples) > 0
    monkeypatch.setattr(StuckSandbox, "stuck", False)
    assert verdicts(swerl_eval.run(stuck)) == RESOLVES_NOTHING  # the lock is free, and the run goes on


def test_cancelling_the_async_function_closes_everything(stuck: RunConfig) -> None:
    async def main() -> None:
        task = asyncio.create_task(swerl_eval.arun(stuck))
        while "begin" not in StuckSandbox.events:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert StuckSandbox.events[-1] == "close"


def test_progress_is_told_in_lines(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from swerl_eval.api import progress_lines

    monkeypatch.setattr(progress_lines, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(progress_lines, "STATE_SECONDS", 0.0)
    lines: list[str] = []
    swerl_eval.run(config, progress=lines.append)
    assert any(line.startswith("evaluate ") and "/9; " in line for line in lines)


@pytest.mark.parametrize("shape", ["by id", "objects", "file"])
def test_predictions_are_taken_in_every_shape(config: RunConfig, tmp_path: Path, shape: str) -> None:
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n"
    one = {"instance_id": "demo__waypost-1", "model_name_or_path": "m", "model_patch": patch}
    file = tmp_path / "preds.jsonl"
    file.write_text(json.dumps(one) + "\n", encoding="utf-8")
    given = {"by id": {"demo__waypost-1": patch}, "objects": [one], "file": file}[shape]
    run = swerl_eval.evaluate(given, config, model="m", run_id="")  # type: ignore[arg-type]
    assert verdicts(run) == {"unresolved": 1, "missing": 8}
    assert run.folder.name.startswith("eval-m-")


def test_a_wrong_prediction_names_its_place(config: RunConfig) -> None:
    with pytest.raises(InputError, match="the predictions, entry 2: the dataset has no instance 'x-1'"):
        swerl_eval.evaluate({"demo__waypost-1": "", "x-1": ""}, config)


def test_the_documented_examples_run(config: RunConfig) -> None:
    settings = config.model_dump()
    scope = {"settings": settings, "run_folder": config.run_folder}
    for block in blocks(ROOT / "docs/python.md", "python"):
        exec(compile(block, "docs/python.md", "exec"), scope)
