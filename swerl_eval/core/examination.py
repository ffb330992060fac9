"""Running tests in one container: the script that does it, and what is read from its output.

The parts of the output are set apart by lines with the job's token (`core.scripts`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swerl_eval.core.scripts import PATCH_FILE, PREAMBLE, WORKDIR
from swerl_eval.core.types import Outcome, TestPlan

SCRIPTS = "/swerl-eval/scripts"
_OUTPUT = "/swerl-eval/output"
SCRIPT_OUTPUT = 200_000
"""Bytes of a reproduction script's output that are read; its phrases come early or not at all."""
TEST_OUTPUT = 32_000_000
"""Bytes of a test file's output that are read."""

PHRASES = {
    "Issue reproduced": Outcome.REPRODUCED,
    "Issue resolved": Outcome.RESOLVED,
    "Other issues": Outcome.OTHER,
}
KILLED = 137


@dataclass(frozen=True)
class Section:
    """One test's part of a job."""

    name: str
    """`script 3` or `tests 0`."""
    exit_code: int
    seconds: float
    output: str
    changed_repository: bool
    """Files of the repository are other than before; nothing was run after it."""


@dataclass(frozen=True)
class TestLimits:
    """Seconds that tests may take."""

    __test__ = False

    script_seconds: float
    """For one reproduction script."""
    file_seconds: float
    """For one test file."""
    total_seconds: float
    """For all test files of an instance on the original code."""


def script(
    plan: TestPlan, *, patch: bool, test_files: Sequence[str], scripts: Sequence[int], limits: TestLimits
) -> str:
    """The job: apply the patch, run each test file, then each reproduction script, one after another.

    The repository's own tests come first, since a generated script may do anything to the tree. After each script the
    tree is compared; once it has changed, the job ends, so that no later result rests on it. What a test leaves
    running is killed. Every test has its own time limit and a limit on the size of files.
    """
    lines = [
        *PREAMBLE,
        f"cd {WORKDIR} || exit 97",
        *([f"git apply --whitespace=nowarn {PATCH_FILE} || exit 96"] if patch else []),
        f"export PYTHONPATH={WORKDIR} PIP_NO_INDEX=1",
        *plan.setup,
        f"cd {WORKDIR}",
        _FUNCTIONS,
        "pristine=$(tree)",
        'printf "%s READY\\n" "$token"',
    ]
    for number, file in enumerate(test_files):
        command = shlex.quote(f"{plan.command} {shlex.quote(runner_label(plan, file))}")
        lines.append(f"run 'tests {number}' {limits.file_seconds:g} {TEST_OUTPUT} bash -c {command}")
    for number in scripts:
        lines.append(
            f"run 'script {number}' {limits.script_seconds:g} {SCRIPT_OUTPUT} \"$python\" {SCRIPTS}/{number}.py"
        )
    return "\n".join([*lines, "exit 0"]) + "\n"


# `kill -9 -1` reaches every process but the container's first, which is the calling shell, and needs no fork.
_FUNCTIONS = f"""\
python=$(type -P python || type -P python3)
tree() {{ git status --porcelain --untracked-files=no 2>&1; git rev-parse HEAD 2>&1; }}
run() {{
    local name=$1 seconds=$2 bytes=$3 begun ended code changed=same; shift 3
    begun=$EPOCHREALTIME
    ( ulimit -f $((bytes * 2 / 1024)); exec timeout -s KILL "$seconds" "$@" ) >{_OUTPUT} 2>&1
    code=$?
    ended=$EPOCHREALTIME
    kill -9 -1 2>/dev/null
    [ "$(tree)" = "$pristine" ] || changed=changed
    printf "%s BEGIN %s\\n" "$token" "$name"
    head -c "$bytes" {_OUTPUT}
    printf "\\n%s END %s %s %s %s %s\\n" "$token" "$name" "$code" "$begun" "$ended" "$changed"
    [ $changed = same ] || [ "${{name%% *}}" = tests ] || exit 95
}}"""


def runner_label(plan: TestPlan, file: str) -> str:
    """A test file as the repository's runner names it: a path, or Django's dotted label."""
    if "runtests.py" in plan.command:
        return file.removeprefix("tests/").removesuffix(".py").replace("/", ".")
    return file


_END = re.compile(r"END (\w+ \d+) (-?\d+) ([\d.,]+) ([\d.,]+) (same|changed)")


def read_sections(output: str, token: str) -> list[Section] | None:
    """The tests that ran to their end, in order; None when not even the set-up did."""
    if f"{token} READY\n" not in output:
        return None
    return list(_sections(output.split(f"{token} READY\n", 1)[1], token))


def _sections(output: str, token: str) -> Iterator[Section]:
    for part in output.split(f"{token} BEGIN ")[1:]:
        head, _, rest = part.partition("\n")
        body, found, tail = rest.rpartition(f"\n{token} ")
        match = _END.match(tail) if found else None
        if match and match[1] == head:
            begun, ended = (float(match[k].replace(",", ".")) for k in (3, 4))
            yield Section(head, int(match[2]), max(0.0, ended - begun), body, match[5] == "changed")


def outcome_of(section: Section) -> Outcome:
    """What a script said. Only whole lines of its own output count: an echo of its source or a traceback does not."""
    said = {line.strip() for line in section.output.splitlines()} & PHRASES.keys()
    if len(said) == 1:
        return PHRASES[said.pop()]
    return Outcome.TIMED_OUT if section.exit_code == KILLED and not said else Outcome.UNCLEAR
