"""`swebench eval` as it is, but for the 15 seconds that it waits for each container to end: none does by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from swerl_eval.official.specification import START_MARKER

END_MARKER = ">>>>> End Test Output"
TRIES = 3
_KILLS = """#!/bin/sh
[ "$1 $2" = "stop --time=15" ] && shift 2 && set -- kill "$@"
exec {docker} "$@"
"""


def swebench_eval(folder: Path, dataset: Path, predictions: Path, run_id: str, *, workers: int, timeout: int) -> str:
    """Evaluate the predictions in a folder, which takes its logs and its report; returns the end of its output.

    There is no report where it stumbles, at its end, over a container that somebody else removes while it lists them.
    On a busy machine it was seen to lose the beginning of an output: such instances are evaluated again.
    """
    with tempfile.TemporaryDirectory() as first:
        docker = Path(first) / "docker"
        docker.write_text(_KILLS.format(docker=shutil.which("docker")))
        docker.chmod(0o755)
        path = os.pathsep.join([first, os.environ["PATH"]])
        command = [Path(sys.executable).parent / "swebench", "eval", dataset, "-p", predictions]
        options = ["--run-id", run_id, "-j", str(workers), "--timeout", str(timeout)]
        for _ in range(TRIES):
            done = subprocess.run(
                [*map(str, command), *options],
                cwd=folder,
                env={**os.environ, "HF_DATASETS_OFFLINE": "1", "PATH": path},
                capture_output=True,
                check=False,
            )
            lost = without_beginning(folder / "logs" / "run_evaluation" / run_id)
            if not lost:
                break
            for logs in lost:
                shutil.rmtree(logs)  # it evaluates those that have no report
    return done.stderr.decode(errors="replace")[-2000:]


def without_beginning(logs: Path) -> list[Path]:
    """The folders of instances whose output has its end marker and not its start marker."""
    outputs = {output.parent: output.read_text(errors="replace") for output in logs.glob("*/*/test_output.txt")}
    return [folder for folder, text in outputs.items() if END_MARKER in text and START_MARKER not in text]
