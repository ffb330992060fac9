"""A real run of the bundled suite whose containers wait for the test (`tests.gated_sandbox`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swerl_eval.demo.setup import ANSWERS, SUITE

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
RUN_ID = "going"


@dataclass
class GoingRun:
    """A run under way."""

    folder: Path
    process: subprocess.Popen[bytes]

    def let_end(self, jobs: int) -> None:
        """Let so many containers end, all together; eight do when the run is finished."""
        gate = self.folder.parent / "gate"
        beside = gate.with_name("gate.new")
        beside.write_text(str(jobs))
        beside.replace(gate)


@contextmanager
def going_run(results: Path, mirrors: Path) -> Iterator[GoingRun]:
    """Start the run; no container ends before the test says so."""
    # a cache of its own: durations of other runs would change the order of the instances
    cache = str(results.parent / f"{results.name}-cache")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SWERL_EVAL_CACHE": cache, "SWERL_EVAL_PAGE": ""}
    command = [
        PROGRAM, "run", "--dataset", SUITE, "--repositories", mirrors, "--sampler", "replay", "--answers", ANSWERS,
        "--samples", 8, "-c", "localization_samples=2", "-c", "sandbox=tests.gated_sandbox:GatedSandbox", "--no-strict",
        "--no-cache", "-j", 2, "--results", results, "--run-id", RUN_ID,
    ]  # fmt: skip
    results.mkdir(exist_ok=True)
    (results / "gate").write_text("0")
    with subprocess.Popen(
        [*map(str, command)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield GoingRun(results / RUN_ID, process)
        finally:
            process.kill()
