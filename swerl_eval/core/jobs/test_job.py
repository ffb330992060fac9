"""Runs tests in one container: builds the script, and reads its output.

Lines with the job's token (`core.jobs.scripts`) separate the tests' outputs.
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
"""Bytes of a reproduction script's output that are read; its phrases come early or never."""
TEST_OUTPUT = 32_000_000
"""Bytes of a test file's output that are read."""
HELD_WEIGHT = 2 * TEST_OUTPUT
"""Weight of one output that is held in memory (`core.jobs.sections.Bounded`): all, unless most lines are very short."""
TAIL_WEIGHT = 2**20
"""Weight of the end of an output that exceeds this."""

PHRASES = {
    "Issue reproduced": Outcome.REPRODUCED,
    "Issue resolved": Outcome.RESOLVED,
    "Other issues": Outcome.OTHER,
}
KILLED = 137
"""Exit code of a process that was killed by its time limit."""


@dataclass(frozen=True)
class Section:
    """What one test file or script did in a job."""

    name: str
    """`script 3` or `tests 0`."""
    exit_code: int
    seconds: float
    changed_repository: bool
    """Whether it left the repository's files changed; after a script that did, nothing else was run."""
    phrases: frozenset[str] = frozenset()
    """The phrases of `PHRASES` that a script printed."""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """The status of each test of a test file."""


@dataclass(frozen=True)
class TestLimits:
    """Time limits of tests, in seconds."""

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
    """Return the job's script: apply the patch, run each test file, then each reproduction script.

    The repository's own tests come first, since a generated script may do anything to the tree. After each script the
    tree is compared with its state before the tests. Once it has changed, the job ends, so that no later result depends
    on the change. Processes that a test leaves behind are killed. Every test has its own time limit and a limit on the
    size of files.

    Args:
        plan: How the repository runs tests.
        patch: Whether a patch is applied first.
        test_files: Paths of the test files to run.
        scripts: Numbers of the reproduction scripts to run.
        limits: Of time.
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
    """Return a test file's name for the repository's runner: its path, or Django's dotted label."""
    if "runtests.py" in plan.command:
        return file.removeprefix("tests/").removesuffix(".py").replace("/", ".")
    return file


def script_name(number: int) -> str:
    """Return the name of a script's section."""
    return f"script {number}"


def tests_name(number: int) -> str:
    """Return the name of a test file's section."""
    return f"tests {number}"


_TOKEN_LINE = re.compile(r"((?:BEGIN|END) \w+ \d+|\S+) ?(.*)")
_ENDED = re.compile(r"(-?\d+) ([\d.,]+) ([\d.,]+) (same|changed)")


class OutputReader:
    """Reads a job's output piece by piece. Holds the output of one test at a time in memory."""

    def __init__(self, token: str, names: Sequence[str], parse: Callable[[str], dict[str, str]]) -> None:
        """Prepare for the output of one job.

        Args:
            token: The job's token.
            names: Of the sections, in the order in which they are run.
            parse: Reads the statuses of tests from a test file's output.
        """
        self._names = names
        self._parse = parse
        takers: dict[str, Take] = {f"BEGIN {name}": functools.partial(self._take, name) for name in names}
        self._sections = Sections(token.encode(), takers, split=_split)
        self._current = ""
        self._output: list[bytes] = []
        """Of the current section."""
        self._bounded = Bounded(self._output.append, HELD_WEIGHT, TAIL_WEIGHT)
        self._phrases: dict[str, frozenset[str]] = {}
        self._statuses: dict[str, dict[str, str]] = {}

    def feed(self, line: bytes) -> None:
        """Take a line, or a piece of one that is overlong."""
        self._sections.feed(line)

    def end(self) -> list[Section] | None:
        """Return the tests that ran to their end, in order; None when the set-up did not."""
        self._sections.end()
        self._close_current()
        marks = self._sections.marks
        if "READY" not in marks:
            return None
        ends = ((name, _ENDED.fullmatch(marks.get(f"END {name}", ""))) for name in self._names)
        return [self._section(name, end) for name, end in ends if end is not None]

    def _take(self, name: str, piece: bytes) -> None:
        if name != self._current:
            self._close_current()
            self._current = name
        self._bounded.take(piece)

    def _close_current(self) -> None:
        """Read what the current section printed, and drop its output."""
        self._bounded.end()
        text = b"".join(self._output).decode("utf-8", "replace")
        self._output.clear()
        if self._current.startswith("script"):
            self._phrases[self._current] = frozenset(line.strip() for line in text.splitlines()) & PHRASES.keys()
        elif self._current:
            self._statuses[self._current] = self._parse(text)

    def _section(self, name: str, end: re.Match[str]) -> Section:
        exit_code, begun, ended, tree = end.groups()
        return Section(
            name,
            exit_code=int(exit_code),
            seconds=max(0.0, _number(ended) - _number(begun)),
            changed_repository=tree == "changed",
            phrases=self._phrases.get(name, frozenset()),
            statuses=self._statuses.get(name, {}),
        )


def _number(text: str) -> float:
    """Read a decimal number; bash writes it with the locale's decimal sign."""
    return float(text.replace(",", "."))


def _split(line: str) -> tuple[str, str]:
    """Split a token line as `Sections` asks: `BEGIN` and `END` count with the section's name."""
    match = _TOKEN_LINE.fullmatch(line)
    return (match[1], match[2]) if match else (line, "")


def outcome_of(section: Section) -> Outcome:
    """Return the outcome of a script. Only whole lines count, so an echo of its source or a traceback does not."""
    if len(section.phrases) == 1:
        return PHRASES[next(iter(section.phrases))]
    return Outcome.TIMED_OUT if section.exit_code == KILLED and not section.phrases else Outcome.UNCLEAR
