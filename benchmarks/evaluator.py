"""Both harnesses over the same instances on the same engine: wall time, overhead per instance, the client's memory.

    python benchmarks/evaluator.py [--dataset FILE] [--instances ID,…] [--workers N] [--output FILE]

Gold patches, every image in place, no verdict from a cache. The official harness runs first, then ours without and with
the control runs of the strict verdict. Overhead is the time that a worker is held for an instance, less the time that
the eval script itself runs. Reports are compared byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from _machine import machine, versions

from swerl_eval.demo.setup import SUITE, prepare
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sources.datasets import load_rows

BIN = Path(sys.executable).parent
MODEL, RUN = "gold", "benchmark"
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - ", re.MULTILINE)
_RUNTIME = re.compile(r"Test runtime: ([\d_.]+) seconds")


@dataclass(frozen=True)
class Measured:
    """What one harness took."""

    wall: float
    peak: int
    """Bytes, of the client."""
    held: Mapping[str, float]
    """Seconds that a worker was held, by instance."""
    scripts: Mapping[str, float]
    """Of these, the eval script's own."""
    reports: Mapping[str, bytes]

    @property
    def overheads(self) -> list[float]:
        """Seconds beside the eval script, sorted."""
        return sorted(self.held[name] - self.scripts[name] for name in self.held)


def watched(command: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, int]:
    """Run a command; its seconds, and the most memory that it was seen to hold."""
    started, peak = time.monotonic(), 0
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env={**os.environ, **environment})
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                peak = max(peak, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
            except (OSError, IndexError):
                pass  # it has just ended
            time.sleep(0.05)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command[:3])} failed:\n{(folder / 'output.txt').read_text()[-2000:]}")
    return time.monotonic() - started, peak


def official(folder: Path, rows: list[dict[str, object]], workers: int) -> Measured:
    """`swebench eval`."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [
        str(BIN / "swebench"), "eval", "rows.jsonl", "-p", "predictions.jsonl", "--run-id", RUN, "-j", str(workers),
    ]  # fmt: skip
    wall, peak = watched(command, folder, {"HF_DATASETS_OFFLINE": "1"})
    held, scripts, reports = {}, {}, {}
    for logs in sorted((folder / "logs" / "run_evaluation" / RUN / MODEL).iterdir()):
        text = (logs / "run_instance.log").read_text(encoding="utf-8", errors="replace")
        stamps = [datetime.strptime(found, "%Y-%m-%d %H:%M:%S,%f") for found in _STAMP.findall(text)]
        held[logs.name] = (stamps[-1] - stamps[0]).total_seconds()
        scripts[logs.name] = float(_RUNTIME.findall(text)[0].replace("_", ""))
        reports[logs.name] = (logs / "report.json").read_bytes()
    return Measured(wall, peak, held, scripts, reports)


def ours(folder: Path, dataset: str, workers: int, strict: str) -> Measured:
    """`swerl-eval evaluate`."""
    command = [
        str(BIN / "swerl-eval"), "evaluate", "--dataset", dataset, "-p", "predictions.jsonl", "--strict", strict,
        "--workers", str(workers), "--results", ".", "--run-id", f"strict-{strict}", "-c", "reuse=false",
    ]  # fmt: skip
    wall, peak = watched(command, folder, {"SWERL_EVAL_CACHE": str(folder / "cache")})
    run = folder / f"strict-{strict}"
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    held = {event["instance_id"]: event["seconds"] for event in events if event["event"] == "worker free"}
    records = [json.loads(line) for line in (run / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()]
    refused = [each["instance_id"] for each in records if strict == "on" and each["strict"] != each["verdict"]]
    if refused:
        sys.exit(f"the strict verdict refuses gold patches: {', '.join(refused)}")
    scripts = {record["instance_id"]: record["test_seconds"] for record in records}
    reports = {name: (run / "logs" / name / "report.json").read_bytes() for name in scripts}
    return Measured(wall, peak, held, scripts, reports)


def table(dataset: str, chosen: list[str], workers: int, command: str) -> Iterator[str]:
    """The lines of the report."""
    rows = [row for row in load_rows(dataset, None) if not chosen or row["instance_id"] in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        predictions = [
            {"instance_id": row["instance_id"], "model_name_or_path": MODEL, "model_patch": row["patch"]}
            for row in rows
        ]
        (folder / "predictions.jsonl").write_text(
            "".join(json.dumps(each) + "\n" for each in predictions), encoding="utf-8"
        )
        theirs = official(folder, rows, workers)
        plain, strict = (ours(folder, dataset, workers, how) for how in ("off", "on"))
    engine = connect().version()["Version"]
    yield "# The evaluator beside the official harness"
    yield ""
    yield f"Made by `{command}`;"
    yield f"{versions('swerl-eval', 'swebench', 'docker')}, Docker engine {engine}; {machine()}."
    yield f"{len(rows)} instances with their gold patches, {workers} workers, images in place, no cache; one run each,"
    yield "one after the other."
    yield ""
    equal = sum(plain.reports[each] == strict.reports[each] == content for each, content in theirs.reports.items())
    yield f"{equal} of {len(theirs.reports)} `report.json` are equal, byte for byte, in all three runs."
    yield ""
    yield "| | wall time | overhead per instance, median | highest | eval script, median | client memory, peak |"
    yield "|---|---|---|---|---|---|"
    named = {"swebench eval": theirs, "swerl-eval evaluate --strict off": plain, "swerl-eval evaluate": strict}
    for label, found in named.items():
        script = statistics.median(found.scripts.values())
        yield (
            f"| {label} | {found.wall:.1f} s | {statistics.median(found.overheads):.2f} s "
            f"| {found.overheads[-1]:.2f} s "
            f"| {script:.2f} s | {found.peak / 1e6:,.0f} MB |"
        )
    yield ""
    yield "Overhead with the strict verdict holds its control run, which is a second container with the tests."
    yield ""
    ratio = statistics.median(theirs.overheads) / statistics.median(plain.overheads)
    yield f"- Overhead per instance: the official harness has {ratio:.0f} times ours."
    yield f"- Wall time: it takes {theirs.wall / plain.wall:.1f} times as long for the same verdicts, "
    yield f"  {theirs.wall / strict.wall:.1f} times with the strict verdicts beside them."
    yield f"- Client memory: {theirs.peak / plain.peak:.1f} times ours."


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--dataset", default="", help="rows whose images are here; default: the bundled suite")
    parser.add_argument("--instances", default="", help="only these ids, with commas")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if not arguments.dataset:
        prepare(print)
    shown = [f"--{name} {value}" for name, value in (
        ("dataset", Path(arguments.dataset).name), ("instances", arguments.instances),
        ("workers", arguments.workers if arguments.workers != 2 else ""),
        ("output", f"results/{arguments.output.name}" if arguments.output else ""),
    ) if value]  # fmt: skip
    dataset = str(Path(arguments.dataset or SUITE).resolve())
    chosen = [name for name in arguments.instances.split(",") if name]
    lines = []
    for line in table(dataset, chosen, arguments.workers, " ".join(["python benchmarks/evaluator.py", *shown])):
        print(line, flush=True)
        lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
