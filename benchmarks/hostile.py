"""What both harnesses make of hostile, broken and honest patches, and what a flood of output costs.

    python benchmarks/hostile.py [--output FILE]

Runs every patch of tests/docker/hostile_patches by `swebench eval` and by our evaluator, at the same time, on the
bundled suite's images. Then a fresh process evaluates a patch that prints 500 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from _machine import machine, versions

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "docker"))

from hostile_patches import Patch
from hostile_patches.runs import LIMITS, TIMEOUT, Both, flood, run_both
from hostile_patches.table import PATCHES

from swerl_eval.core.types import Verdict
from swerl_eval.demo.setup import prepare
from swerl_eval.sandboxes.docker.engine import connect

FLOOD = 500
"""Megabytes."""
NOT_RUN = "not run"


def table(output: Path | None) -> Iterator[str]:
    """The lines of the report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(lambda _: None)
        start = time.perf_counter()
        both = run_both(PATCHES, folder / "patches")
        seconds = time.perf_counter() - start
        printed = flood(FLOOD, folder / "flood")
    made_by = "python benchmarks/hostile.py" + (f" --output results/{output.name}" if output else "")
    yield "# Hostile and broken patches"
    yield ""
    yield f"Made by `{made_by}`;"
    yield f"{versions('swerl-eval', 'swebench')}, Docker {connect().version()['Version']}; {machine()}."
    memory, disk = (LIMITS.memory or 0) / 2**20, (LIMITS.disk or 0) / 1e6
    yield f"{len(PATCHES)} patches; {TIMEOUT} s each; ours with {memory:.0f} MB of memory,"
    yield f"{LIMITS.pids} processes and {disk:.0f} MB to write. Both harnesses at once took {seconds:.0f} s."
    yield ""
    yield from summary(PATCHES, both)
    yield ""
    first, strict = f"{printed['seconds']:.1f} s", f"{printed['both_runs']:.1f} s"
    yield f"A patch that prints {FLOOD} MB, in a fresh process: {printed['verdict']} by the official verdict after"
    yield f"{first}, {printed['strict']} by the strict one after {strict} (the process's start, both containers);"
    yield f"peak memory {printed['peak'] / 1e6:.0f} MB. Goal: 10 s and 150 MB."
    yield ""
    yield "| patch | kind | official harness | ours | strict | suspicious |"
    yield "|---|---|---|---|---|---|"
    for patch, ours, official in zip(PATCHES, both.ours, both.official, strict=True):
        theirs = official.verdict.value if official else f"{NOT_RUN}: {patch.why}"
        strict = ours.strict.value if ours.strict else ""
        cells = (patch.name, patch.kind, theirs, ours.verdict.value, strict, "; ".join(ours.suspicious))
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def summary(patches: Sequence[Patch], both: Both) -> Iterator[str]:
    """How many of each kind, and what became of them."""
    rows = list(zip(patches, both.ours, both.official, strict=True))
    compared = [(ours, official) for _, ours, official in rows if official]
    same = sum(ours.verdict is official.verdict for ours, official in compared)
    forged = [(ours, official) for patch, ours, official in rows if patch.kind == "forged"]
    fooled = sum(official is not None and official.verdict is Verdict.RESOLVED for _, official in forged)
    passed = sum(ours.strict is Verdict.RESOLVED for ours, _ in forged)
    honest = [ours for patch, ours, _ in rows if patch.kind == "honest"]
    kept = sum(ours.verdict is Verdict.RESOLVED and ours.strict is Verdict.RESOLVED for ours in honest)
    yield f"- The official harness ran {len(compared)} of them; ours gives the same verdict on {same}."
    yield f"- {len(forged)} forge a verdict: {fooled} fool the official harness, {passed} the strict verdict."
    yield f"- {len(honest)} are honest fixes: {kept} pass both verdicts."


def main() -> None:
    """Print the table; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--output", type=Path, help="file to write the table to")
    arguments = parser.parse_args()
    lines = []
    for line in table(arguments.output):
        print(line, flush=True)
        lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
