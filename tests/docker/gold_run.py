"""`swerl-eval evaluate` with gold patches as a process, whose tests pause until a test lets them go on.

Nothing here takes a certain time, so that a machine that is busy with something else changes no outcome.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from own_engine import OwnEngine, kill, wait_until

from swerl_eval.demo.setup import SUITE
from swerl_eval.official.specification import START_MARKER
from swerl_eval.sources.datasets import load_rows

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
NAMES = ("demo__waypost-1", "demo__waypost-2", "demo__waypost-3")
IMAGES = {name: f"swebench/sweb.eval.x86_64.{name.replace('__', '_1776_')}:latest" for name in NAMES}
RESOLVED = dict.fromkeys(NAMES, "resolved")
SOON = 300.0
"""Seconds within which things happen, also on a machine that is busy with something else."""
PAUSE = "sleep 3000"


def rows_with_pauses(folder: Path, pausing: Collection[str] = NAMES) -> Path:
    """A dataset of the bundled suite's rows; the tests of some begin with a pause."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for row in load_rows(str(SUITE), None):
            if row["instance_id"] in NAMES:
                mark = f": '{START_MARKER}'\n"
                assert mark in row["eval_script"]
                pause = f"{PAUSE}\n" if row["instance_id"] in pausing else ""
                script = row["eval_script"].replace(mark, f"{pause}{mark}")
                file.write(json.dumps({**row, "eval_script": script}, default=str) + "\n")
    return rows


class GoldRun:
    """A run of `swerl-eval evaluate` with the gold patches. `engines` are those that its containers may be on."""

    def __init__(
        self, rows: Path, results: Path, environment: Mapping[str, str], engines: Iterable[OwnEngine], *options: str
    ) -> None:
        self.rows, self.folder = rows, results / "run"
        self._engines = tuple(engines)
        self._command = [PROGRAM, "evaluate", "--predictions", "gold", "--dataset", str(rows)]
        self._command += ["--results", str(results), "--run-id", "run", "--network", "none", "-c", "strict=off"]
        self._command += ["--timeout", "2000", "--no-cache", *options]
        # a cache of its own: with durations of other tests the instances would start in another order
        self.cache = Path(os.environ["SWERL_EVAL_CACHE"]) / uuid.uuid4().hex
        self._environment = {**environment, "SWERL_EVAL_CACHE": str(self.cache)}
        self._process: subprocess.Popen[str] | None = None
        self._errors = ""

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was not started"
        return self._process

    def start(self, environment: Mapping[str, str] | None = None) -> GoldRun:
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**self._environment, **(environment or {})},
            start_new_session=True,
        )
        STARTED.append(self._process)
        return self

    def wait(self) -> tuple[int, str]:
        """Exit code and the error output."""
        try:
            _, self._errors = self.process.communicate(timeout=SOON)
        finally:
            self.process.kill()
        assert "Traceback" not in self._errors, self._errors
        return self.process.returncode, self._errors

    def finish(self, *engines: OwnEngine) -> tuple[int, str]:
        """The same, and the pauses end; on these engines if some are given."""

        def has_ended() -> bool:
            time.sleep(0.2)
            for engine in engines or self._engines:
                kill(pauses(engine))
            return self.process.poll() is not None

        wait_until(has_ended, SOON, "the run ends")
        return self.wait()

    def resume(self) -> None:
        """The same command again: everything is resolved then."""
        code, errors = self.start().finish()
        assert (code, self.verdicts) == (0, RESOLVED), errors

    def wait_for_tests(self, *names: str, engine: OwnEngine | None = None) -> None:
        """Until the tests of these instances pause, or those of any on this engine."""

        def pause() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            on = [engine] if engine else self._engines
            return all(any(pauses(one, name) for one in on) for name in names or [""])

        wait_until(pause, SOON, f"the tests of {names or 'any instance'} run")

    @property
    def report(self) -> bytes:
        report = self.folder / "report.json"
        assert report.exists(), self._errors
        return report.read_bytes()

    @property
    def verdicts(self) -> dict[str, str]:
        return {row["instance_id"]: row["verdict"] for row in json.loads(self.report)["instances"]}

    def records(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / name).read_bytes().splitlines()]


STARTED: list[subprocess.Popen[str]] = []


def kill_what_was_started() -> None:
    """Kill the runs that a failed test has left."""
    while STARTED:
        STARTED.pop().kill()


def pauses(engine: OwnEngine, instance: str = "") -> list[int]:
    """The processes with which the tests of an instance, or of any, pause. They go on when it is killed."""
    found = engine.processes(f"swerl-eval.{instance}")
    return [number for number, command in found.items() if command == PAUSE]
