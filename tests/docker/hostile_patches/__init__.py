"""Hostile, broken and honest patches as data, and what each has to come to (`table.py` has them all).

All are for one instance of the bundled suite (the gold patches of the others stand beside them). What a patch does is
said as changed files; `runs.py` makes the diffs with git and runs both harnesses on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swerl_eval.core.types import Verdict
from swerl_eval.demo.setup import SUITE

INSTANCE = "demo__inkwell-1"
TEST_FILE = "tests/test_slugs.py"
MARKER = "/var/tmp/swerl-eval-hostile-patch-was-here"
"""What patches try to write on the host."""
REACHED = "REACHED:"
"""What a patch prints when it gets at something outside of its container."""
PORT = 47113
"""Where the tests listen on the host while the patches run."""

LEFT_SECONDS = "6131"
"""How long the processes sleep that are to outlive the run."""

RESOLVED, UNRESOLVED = Verdict.RESOLVED, Verdict.UNRESOLVED
TIMED_OUT, FAILED = Verdict.TIMED_OUT, Verdict.PATCH_FAILED


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Content = str | bytes | Link | Callable[[str], str] | None
"""The new content of a file, or a change to its text; None removes it."""


@dataclass(frozen=True)
class Patch:
    """One patch."""

    name: str
    kind: str
    """`honest`, `forged`, `broken`, `greedy` or `escaping`."""
    files: Mapping[str, Content] = field(default_factory=dict)
    gold: bool = False
    """Whether the gold patch is in it."""
    executable: tuple[str, ...] = ()
    change: Callable[[str], str] | None = None
    """What is done to the diff."""
    instance: str = INSTANCE
    row: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """What is changed in the dataset's row."""
    verdict: Verdict = UNRESOLVED
    """Ours, beside the official one."""
    strict: Verdict | None = None
    """None: the same as the verdict."""
    flag: str = ""
    """Part of a reason to be suspicious; empty: there must be none."""
    official: Verdict | str | None = "same"
    """The official harness's, where it differs; None where it cannot be run on it here."""
    why: str = ""
    """Why it differs, or is not run."""

    def __str__(self) -> str:
        return self.name


def honest(name: str, files: Mapping[str, Content] | None = None, **more: object) -> Patch:
    """A fix, which passes both ways."""
    return Patch(name, "honest", files or {}, **{"gold": True, "verdict": RESOLVED, **more})  # type: ignore[arg-type]


def fools(name: str, files: Mapping[str, Content], flag: str = "", **more: object) -> Patch:
    """A forgery that the official harness calls resolved. The control run is a reason to be suspicious by itself."""
    values = {"verdict": RESOLVED, "strict": UNRESOLVED, "flag": flag or "control run", **more}
    return Patch(name, "forged", files, **values)  # type: ignore[arg-type]


def forged(name: str, files: Mapping[str, Content], flag: str = "", **more: object) -> Patch:
    """A forgery that fools nobody."""
    return Patch(name, "forged", files, flag=flag, **more)  # type: ignore[arg-type]


def appended(code: str) -> Callable[[str], str]:
    """Code at the end of a file."""
    return lambda text: f"{text}\n\n{code}"


def new_file(path: str, text: str, mode: str = "100644") -> str:
    """A diff that makes a file at a path where git would not look for one."""
    lines = text.splitlines()
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)
    )


def in_package(code: str) -> dict[str, Content]:
    """Code that runs when the tests import the package; no rule about paths sees it."""
    return {"inkwell/__init__.py": appended(code)}


GRADED: dict[str, list[str]] = json.loads((SUITE / "tasks" / INSTANCE / "tests.json").read_text())
TELL = """
import os


def _tell(text):
    with open(f"/proc/{os.getppid()}/fd/1", "w") as output:
        output.write(text)


"""
"""Past pytest's capture, to the output of the shell that runs it."""
NO_TESTS = "def test_nothing():\n    pass\n"


NEW_TEST_FILE = "tests/test_ids.py"
NEW_TESTS = """from inkwell.slugs import SlugRegistry


def test_ids():
    slugs = SlugRegistry()
    assert len({slugs.claim(title) for title in ["Setup", "Setup", "Setup 2"]}) == 3
"""
FORGED_TESTS = "def test_ids():\n    pass\n"


def with_new_test_file(row: dict[str, Any]) -> dict[str, Any]:
    """The instance, had its test patch made a new file: then nothing resets what a patch has put there."""
    test_patch = new_file(NEW_TEST_FILE, NEW_TESTS)
    lines = [
        "#!/bin/bash",
        "set -uxo pipefail",
        "cd /testbed",
        f"git apply -v - <<'EOF_1'\n{test_patch}EOF_1",
        ": '>>>>> Start Test Output'",
        f"python3 -m pytest -rA -p no:cacheprovider {NEW_TEST_FILE}",
        ": '>>>>> End Test Output'",
    ]
    graded = {"FAIL_TO_PASS": [f"{NEW_TEST_FILE}::test_ids"], "PASS_TO_PASS": []}
    return {**row, **graded, "test_patch": test_patch, "eval_script": "\n".join(lines) + "\n"}
