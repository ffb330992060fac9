"""`swebench eval` as it is, but for the 15 seconds that it waits for each container to end: none does by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_KILLS = """#!/bin/sh
[ "$1 $2" = "stop --time=15" ] && shift 2 && set -- kill "$@"
exec {docker} "$@"
"""


def swebench_eval(folder: Path, dataset: Path, predictions: Path, run_id: str, *, workers: int, timeout: int) -> str:
    """Evaluate the predictions in a folder, which takes its logs and its report; returns the end of its output.

    There is no report where it stumbles, at its end, over a container that somebody else removes while it lists them.
    """
    with tempfile.TemporaryDirectory() as first:
        docker = Path(first) / "docker"
        docker.write_text(_KILLS.format(docker=shutil.which("docker")))
        docker.chmod(0o755)
        path = os.pathsep.join([first, os.environ["PATH"]])
        command = [Path(sys.executable).parent / "swebench", "eval", dataset, "-p", predictions]
        options = ["--run-id", run_id, "-j", str(workers), "--timeout", str(timeout)]
        done = subprocess.run(
            [*map(str, command), *options],
            cwd=folder,
            env={**os.environ, "HF_DATASETS_OFFLINE": "1", "PATH": path},
            capture_output=True,
            check=False,
        )
    return done.stderr.decode(errors="replace")[-2000:]
