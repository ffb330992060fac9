"""The control run: tests that are made to fail have to be reported as failing.

A resolved patch is run once more, in a fresh container, by the same steps, with one difference: every test function in
the files of the test patch raises at its first line. Honest code cannot prevent that. So each graded test has to be
reported as failing, and the runner has to say so by its exit status, which the harness reads itself. Printed lines,
rewritten outcomes, a replaced runner, an early `os._exit(0)`, skipped or expected failures still report success, and
are caught.

Some tests do not fail even with the gold patch: expected failures, tests inherited from another file, tests that are
not Python functions. Where a candidate's control run has such tests, the gold patch has a control run too, and only the
differences count.

Where the patch touches files that can influence the verdict (`core.suspicions`), the tests are run once more with these
files reset, and have to pass: the confirmation.

Not covered: code that tells the control run from the official run (by reading the test's source, say) and behaves
accordingly, or that cheats by chance and did so in the official run only; tests that do not fail in the gold patch's
control run either; and code that recognises tests and gives them what they expect, which no run can tell from a fix.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swerl_eval.core.jobs.scripts import PREAMBLE, WORKDIR, apply_lines, run_lines

CONTROL_FILE = "/swerl-eval/control.sh"
CONFIRM_FILE = "/swerl-eval/confirm.sh"
RESET_LIST_FILE = "/swerl-eval/reset_list"
"""Holds the files that are reset for the confirmation; each path ends in a NUL."""
FAIL_TESTS_FILE = "/swerl-eval/fail_tests.py"
CONTROL, CONFIRMED = "CONTROL", "CONFIRMED"

NOTHING_DECIDES = "the row names no test, so nothing can bear the verdict out"
FAILING = frozenset({"FAILED", "ERROR"})


@dataclass(frozen=True)
class ControlResult:
    """What a control run reported."""

    statuses: Mapping[str, str | None]
    """Of each graded test, by its official name; None where it was not reported."""
    exit_code: int
    """Of the test command, as the harness reads it."""

    @property
    def unmoved(self) -> frozenset[str]:
        """Graded tests that were not reported as failing."""
        return frozenset(name for name, status in self.statuses.items() if status not in FAILING)

    @property
    def clean(self) -> bool:
        """Whether every graded test failed and the runner said so."""
        return not self.unmoved and self.exit_code != 0


def discrepancy(candidate: ControlResult, gold: ControlResult) -> str:
    """Say how a control run differs from the gold patch's, so that it contradicts a resolved verdict.

    Returns:
        Empty where it confirms the verdict.
    """
    forged = sorted(candidate.unmoved - gold.unmoved)
    if forged:
        status = candidate.statuses[forged[0]]
        report = f"reported as {status}" if status else "not reported"
        return f"{len(forged)} tests that were made to fail did not, such as {forged[0]} ({report})"
    if candidate.exit_code == 0 and gold.exit_code != 0:
        return "the test command says success by its exit status though its tests were made to fail"
    return ""


def fail_tests_command(message: str, test_files: Sequence[str]) -> str:
    """Return the shell command that makes the tests of some files fail; it is run right before the test command."""
    python = '"$(command -v python || command -v python3)"'
    files = " ".join(shlex.quote(f"{WORKDIR}/{path}") for path in test_files)
    return f"{python} -I -S {FAIL_TESTS_FILE} {shlex.quote(message)} {files}"


def control_script(*, confirm: bool, base_commit: str) -> str:
    """Return the job's script: apply the patch, do the control run and, with `confirm`, the confirmation.

    The control run comes first, so that code which behaves at its first run and cheats from the second on is caught by
    the official run. Processes that it leaves behind are killed before the confirmation.
    """
    lines = [*PREAMBLE, *apply_lines(apply_patch=True), *run_lines(CONTROL_FILE, CONTROL)]
    if confirm:
        lines += [
            "kill -9 -1 2>/dev/null",
            f"cd {WORKDIR} || exit 97",
            "while IFS= read -r -d '' path; do",
            f'    git checkout --quiet {shlex.quote(base_commit)} -- "./$path" || rm -rf -- "./$path"',
            f"done < {RESET_LIST_FILE}",
            'cd "$OLDPWD"',
            *run_lines(CONFIRM_FILE, CONFIRMED),
        ]
    return "\n".join([*lines, "exit 0"]) + "\n"
