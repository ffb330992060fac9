"""Builds the shell scripts that run inside containers. No model's text ever becomes part of one.

Token lines separate the parts of a job's output: lines that begin with a random token of the job. The shell reads the
token from a file that is deleted before any code of the repository runs, and keeps it in a variable that is not
exported. So nothing that the tests print can forge such a line. (The tests run as the same user: code that reads the
memory of another process could. No check in the same container can rule that out.)
"""

from __future__ import annotations

from swerl_eval.core.types import Limits

WORKDIR = "/testbed"
PATCH_FILE = "/tmp/patch.diff"
EVAL_FILE = "/eval.sh"
TOKEN_FILE = "/swerl-eval/token"

APPLY_LADDER = (
    "git apply --verbose",
    "git apply --verbose --3way",
    "git apply --verbose --reject",
    "patch --batch --forward --fuzz=5 -p1 -i",
)
"""The official harness's commands, in its order (swebench 5.0.2, harness/run_evaluation.py; a test compares them)."""

APPLIED = "APPLIED"
NOT_APPLIED = "NOT-APPLIED"
ENDED = "ENDED"

PREAMBLE = (
    # One pipe for both streams: read from two, lines came out of order and inside each other.
    "exec 2>&1 </dev/null",
    f'read -r token < {TOKEN_FILE}; rm -rf {TOKEN_FILE} "$0"',
)
"""The first lines of every job's script."""


def token_file(token: str) -> tuple[str, bytes]:
    """Return the path and content of the file that the preamble reads."""
    return TOKEN_FILE, f"{token}\n".encode()


def environment(limits: Limits) -> tuple[tuple[str, str], ...]:
    """Return the variables that keep scores equal on all machines: time zone, hash seed, locale, threads.

    `LANG=C` equals having no locale, as in the official harness. Variables that an image sets itself are not replaced.
    """
    threads = str(max(1, int(limits.cpus or 1)))
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    fixed = {"TZ": "UTC", "PYTHONHASHSEED": "0", "LANG": "C"}
    return tuple({**fixed, **{f"{pool}_NUM_THREADS": threads for pool in pools}}.items())


def evaluation(*, apply_patch: bool) -> str:
    """Return the script that applies the patch by the official ladder and runs the eval script.

    Before any code of the repository runs, it prints `<token> APPLIED <time> <command>` or `<token> NOT-APPLIED`. The
    test output follows, up to the line `<token> ENDED <exit code> <time>`.
    """
    return _text([*PREAMBLE, *apply_lines(apply_patch=apply_patch), *run_lines(EVAL_FILE, ENDED), "exit 0"])


def apply_lines(*, apply_patch: bool) -> list[str]:
    """Return the official ladder, with a reset of the tree between attempts, and the token line about its result."""
    lines = [f"cd {WORKDIR} || exit 97", "applied=''"]
    if apply_patch:
        for number, command in enumerate(APPLY_LADDER):
            reset = "git checkout -- . ; git clean -fd ; " if number else ""
            lines.append(f"""[ -n "$applied" ] || {{ {reset}{command} {PATCH_FILE} && applied='{command}'; }}""")
        lines.append(
            f"""[ -n "$applied" ] || {{ git apply --check --reverse {PATCH_FILE} && applied='already applied'; }}"""
        )
    else:
        lines.append("applied='nothing to apply'")
    return [
        *lines,
        f"""if [ -z "$applied" ]; then echo "$token {NOT_APPLIED}"; exit 96; fi""",
        f"""echo "$token {APPLIED} ${{EPOCHREALTIME:-0}} $applied\"""",
        'cd "$OLDPWD"',
    ]


def run_lines(file: str, word: str) -> list[str]:
    """Return the lines that run a script and print a token line with its exit code and the time."""
    return [f"/bin/bash {file}", f'printf "\\n%s {word} %s %s\\n" "$token" $? "${{EPOCHREALTIME:-0}}"']


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
