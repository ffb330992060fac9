"""The control run: a verdict is worth something where the same run, with tests made to fail, says that they fail.

A resolved patch is run once more, in a fresh container, after the same steps, with one difference: every test function
in the files of the test patch raises at its first line. Honest code cannot help that, so each graded test has to be
reported as failing, and the runner has to say so by its exit status, which the harness takes itself. Printed lines,
rewritten outcomes, a replaced runner, an early `os._exit(0)`, skipped or expected failures all go on reporting success.

Some tests do not fail even with the gold patch: expected failures, tests inherited from another file, tests that are
no Python functions. Only where a candidate's run has such tests is the gold patch put through the same control, and
only what differs from it counts.

Where the patch touches files that decide (`core.suspicions`) the tests are run a third time, without these, and have to
pass.

Not covered: code that tells the control run from the real one (by reading the test's source, say) and behaves
accordingly; tests that do not fail under control with the gold patch either; and code that recognises tests and gives
them what they expect, which no run can tell from a fix.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.jobs.scripts import PREAMBLE, WORKDIR, apply_lines, run_lines

CONTROL_FILE = "/swerl-eval/control.sh"
CONFIRM_FILE = "/swerl-eval/confirm.sh"
ASIDE_FILE = "/swerl-eval/aside"
TOOL_FILE = "/swerl-eval/fail_tests.py"
CONTROL, CONFIRMED = "CONTROL", "CONFIRMED"

NOTHING_DECIDES = "the row names no test, so nothing can bear the verdict out"
FAILING = frozenset({"FAILED", "ERROR"})


@dataclass(frozen=True)
class ControlResult:
    """What a control run said."""

    statuses: Mapping[str, str | None]
    """Of each graded test, by its official name; None: not reported at all."""
    exit_code: int
    """Of the test command, taken by the harness."""

    @property
    def unmoved(self) -> frozenset[str]:
        """Graded tests that were not reported as failing."""
        return frozenset(name for name, status in self.statuses.items() if status not in FAILING)

    @property
    def clean(self) -> bool:
        """Whether every graded test failed and the runner said so."""
        return not self.unmoved and self.exit_code != 0


def discrepancy(candidate: ControlResult, gold: ControlResult) -> str:
    """Why a control run does not bear out a resolved verdict, beside the gold patch's; empty where it does."""
    forged = sorted(candidate.unmoved - gold.unmoved)
    if forged:
        reported = candidate.statuses[forged[0]]
        said = f"reported as {reported}" if reported else "not reported"
        return f"{len(forged)} tests that were made to fail did not, such as {forged[0]} ({said})"
    if candidate.exit_code == 0 and gold.exit_code != 0:
        return "the test command says success by its exit status though its tests were made to fail"
    return ""


def fail_tests_command(message: str, test_files: Sequence[str]) -> str:
    """The line that makes the tests of some files fail; it stands right before the test command."""
    python = '"$(command -v python || command -v python3)"'
    files = " ".join(shlex.quote(f"{WORKDIR}/{path}") for path in test_files)
    return f"{python} -I -S {TOOL_FILE} {shlex.quote(message)} {files}"


def control_script(*, confirm: bool, base_commit: str) -> str:
    """The job: the patch applied, the control run, and with `confirm` the tests again without the files set aside.

    The control comes first, so that code which behaves at its first run and cheats from the second on is caught by the
    official one. Whatever it leaves running is killed before the confirmation.
    """
    lines = [*PREAMBLE, *apply_lines(apply_patch=True), *run_lines(CONTROL_FILE, CONTROL)]
    if confirm:
        lines += [
            "kill -9 -1 2>/dev/null",
            f"cd {WORKDIR} || exit 97",
            "while IFS= read -r -d '' path; do",
            f'    git checkout --quiet {shlex.quote(base_commit)} -- "./$path" || rm -rf -- "./$path"',
            f"done < {ASIDE_FILE}",
            'cd "$OLDPWD"',
            *run_lines(CONFIRM_FILE, CONFIRMED),
        ]
    return "\n".join([*lines, "exit 0"]) + "\n"
