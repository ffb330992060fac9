"""Running tests in one container: the script that does it, and what is read from its output.

The parts of the output are set apart by lines with the job's token (`core.jobs.scripts`).
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from swerl_eval.core.jobs.scripts import PATCH_FILE, PREAMBLE, WORKDIR
from swerl_eval.core.jobs.sections import Bounded, Sections, Take
from swerl_eval.core.types import Outcome, TestPlan

SCRIPTS = "/swerl-eval/scripts"
_OUTPUT = "/swerl-eval/output"
SCRIPT_OUTPUT = 200_000
"""Bytes of a reproduction script's output that are read; its phrases come early or not at all."""
TEST_OUTPUT = 32_000_000
"""Bytes of a test file's output that are read."""
HELD_WEIGHT = 2 * TEST_OUTPUT
"""Of these, what is held in memory (`core.jobs.sections.Bounded`): all, unless most lines are very short."""
TAIL_WEIGHT = 2**20
"""Of this, for its end, where there is more."""

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
    changed_repository: bool
    """Files of the repository are other than before; nothing was run after it."""
    said: frozenset[str] = frozenset()
    """Of the phrases, those that a script printed."""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """Of each test of a test file."""


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
        'printf "\\n%s READY\\n" "$token"',
    ]
    for number, file in enumerate(test_files):
        command = shlex.quote(f"{plan.command} {shlex.quote(runner_label(plan, file))}")
        lines.append(f"run '{tests_name(number)}' {limits.file_seconds:g} {TEST_OUTPUT} bash -c {command}")
    for number in scripts:
        lines.append(
            f"run '{script_name(number)}' {limits.script_seconds:g} {SCRIPT_OUTPUT} \"$python\" {SCRIPTS}/{number}.py"
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
    printf "\\n%s BEGIN %s\\n" "$token" "$name"
    head -c "$bytes" {_OUTPUT}
    printf "\\n%s END %s %s %s %s %s\\n" "$token" "$name" "$code" "$begun" "$ended" "$changed"
    [ $changed = same ] || [ "${{name%% *}}" = tests ] || exit 95
}}"""


def runner_label(plan: TestPlan, file: str) -> str:
    """A test file as the repository's runner names it: a path, or Django's dotted label."""
    if "runtests.py" in plan.command:
        return file.removeprefix("tests/").removesuffix(".py").replace("/", ".")
    return file


def script_name(number: int) -> str:
    """What the section of a script is called."""
    return f"script {number}"


def tests_name(number: int) -> str:
    """What the section of a test file is called."""
    return f"tests {number}"


_TOKEN_LINE = re.compile(r"((?:BEGIN|END) \w+ \d+|\S+) ?(.*)")
_ENDED = re.compile(r"(-?\d+) ([\d.,]+) ([\d.,]+) (same|changed)")


class OutputReader:
    """Reads a job's output piece by piece: what each test printed is held in memory only until it is understood."""

    def __init__(self, token: str, names: Sequence[str], parse: Callable[[str], dict[str, str]]) -> None:
        """`names` are those of the sections, in the order in which they are run; `parse` reads a test file's output."""
        self._names = names
        self._parse = parse
        takers: dict[str, Take] = {f"BEGIN {name}": functools.partial(self._take, name) for name in names}
        self._sections = Sections(token.encode(), takers, split=_split)
        self._open = ""
        self._kept: list[bytes] = []
        self._bounded = Bounded(self._kept.append, HELD_WEIGHT, TAIL_WEIGHT)
        self._said: dict[str, frozenset[str]] = {}
        self._statuses: dict[str, dict[str, str]] = {}

    def feed(self, line: bytes) -> None:
        """Take a line, or a piece of one that is overlong."""
        self._sections.feed(line)

    def end(self) -> list[Section] | None:
        """The tests that ran to their end, in order; None when not even the set-up did."""
        self._sections.end()
        self._understand()
        if "READY" not in self._sections.marks:
            return None
        found = ((name, _ENDED.fullmatch(self._sections.marks.get(f"END {name}", ""))) for name in self._names)
        return [self._section(name, ended) for name, ended in found if ended is not None]

    def _take(self, name: str, piece: bytes) -> None:
        if name != self._open:
            self._understand()
            self._open = name
        self._bounded.take(piece)

    def _understand(self) -> None:
        """Read what the open section printed, and let go of it."""
        self._bounded.end()
        text = b"".join(self._kept).decode("utf-8", "replace")
        self._kept.clear()
        if self._open.startswith("script"):
            self._said[self._open] = frozenset(line.strip() for line in text.splitlines()) & PHRASES.keys()
        elif self._open:
            self._statuses[self._open] = self._parse(text)

    def _section(self, name: str, ended: re.Match[str]) -> Section:
        begun, end = (float(ended[k].replace(",", ".")) for k in (2, 3))
        return Section(
            name,
            int(ended[1]),
            max(0.0, end - begun),
            ended[4] == "changed",
            self._said.get(name, frozenset()),
            self._statuses.get(name, {}),
        )


def _split(line: str) -> tuple[str, str]:
    match = _TOKEN_LINE.fullmatch(line)
    return (match[1], match[2]) if match else (line, "")


def outcome_of(section: Section) -> Outcome:
    """What a script said. Only whole lines of its own output count: an echo of its source or a traceback does not."""
    if len(section.said) == 1:
        return PHRASES[next(iter(section.said))]
    return Outcome.TIMED_OUT if section.exit_code == KILLED and not section.said else Outcome.UNCLEAR
