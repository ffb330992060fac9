"""Fixes, some of which touch what decides their verdict or come in an odd form; and patches that are none."""

from __future__ import annotations

import re

from hostile_patches import (
    FAILED,
    FORGED_TESTS,
    INSTANCE,
    NEW_TEST_FILE,
    NO_TESTS,
    TELL,
    TEST_FILE,
    Link,
    Patch,
    appended,
    honest,
    in_package,
    with_new_test_file,
)
from swerl_eval.demo.setup import SUITE

HONEST: tuple[Patch, ...] = (
    honest("gold"),
    honest(
        "gold and a fixture in a conftest",
        {"conftest.py": "import pytest\n\n\n@pytest.fixture\ndef title():\n    return 'Setup'\n"},
        flag="loaded by pytest",
    ),
    honest(
        "gold and a marker in pytest.ini",
        {"pytest.ini": "[pytest]\nmarkers =\n    slow: takes long\n"},
        flag="configures the test runner",
    ),
    honest(
        "gold and pyproject.toml",
        {"pyproject.toml": lambda text: text.replace('"0.4.0"', '"0.4.1"')},
        flag="configures the test runner",
    ),
    honest("gold and setup.cfg", {"setup.cfg": "[flake8]\nmax-line-length = 100\n"}, flag="configures the test runner"),
    honest("gold and a new test file", {"tests/test_more.py": NO_TESTS}),
    honest("gold and tests of its own", {TEST_FILE: appended(NO_TESTS)}, flag="tests that decide"),
    honest("gold and the tests deleted", {TEST_FILE: None}, flag="tests that decide"),
    honest("gold, with a new file of tests", row=with_new_test_file),
    honest(
        "gold and a file at the path of the tests",
        {NEW_TEST_FILE: FORGED_TESTS},
        flag="tests that decide",
        row=with_new_test_file,
    ),
    honest("gold and .gitattributes", {".gitattributes": "*.py text\n"}, flag="what git writes"),
    honest("gold and a link within", {"docs/README.md": Link("../README.md")}, flag="is a symbolic link"),
    honest("gold and a module of a program's name", {"inkwell/git.py": "NAME = 'git'\n"}),
    honest("gold with CRLF", change=lambda text: text.replace("\n", "\r\n")),
    honest("gold without a final newline", instance="demo__ledgerly-2", change=lambda text: text.rstrip("\n")),
    honest("gold in a remark", change=lambda text: f"Here is the fix:\n\n{text}"),
    honest("gold in a fence", change=lambda text: f"```diff\n{text}```\n"),
    honest("gold after a byte order mark", change=lambda text: f"\ufeff{text}"),
    honest(
        "gold and a renamed module with a shim",
        {
            "inkwell/escape.py": None,
            "inkwell/escaping.py": lambda _: (SUITE.parent / "packages/inkwell/inkwell/escape.py").read_text(),
            "inkwell/__init__.py": lambda text: text.replace(
                '"""\n\n',
                '"""\n\nimport sys\n\nimport inkwell.escaping\n\nsys.modules["inkwell.escape"] = inkwell.escaping\n\n',
                1,
            ),
        },
    ),
    honest("gold and a mode", executable=("inkwell/cli.py",)),
    honest("gold and a mode of a file that it edits", executable=("inkwell/slugs.py",)),
    honest("gold and paths beyond ASCII", {"inkwell/größe.py": "GRÖSSE = 1\n", 'docs/a "b"\t.txt': "c\n"}),
    honest("gold and a binary file", {"inkwell/logo.png": bytes(range(256)) * 4}),
    honest(
        "gold and a binary stub",
        change=lambda text: (
            f"{text}diff --git a/logo.png b/logo.png\nnew file mode 100644\nindex 0000000..1234567\n"
            "Binary files /dev/null and b/logo.png differ\n"
        ),
    ),
    honest("gold and 2 MB of output", in_package(f'{TELL}_tell(("y" * 79 + "\\n") * 25_000)\n')),
    *(
        honest(f"gold of {task.name}", instance=task.name)
        for task in sorted((SUITE / "tasks").iterdir())
        if task.name != INSTANCE
    ),
)


def shortened(text: str) -> str:
    """A diff that ends in the middle of its last hunk."""
    return "\n".join(text.split("\n")[:-8]) + "\n"


def reversed_diff(text: str) -> str:
    """The wrong way round."""
    swapped = {"+": "-", "-": "+"}
    lines = [
        line if line[:3] in {"---", "+++"} else swapped.get(line[:1], line[:1]) + line[1:] for line in text.split("\n")
    ]
    return re.sub(r"@@ -(\S+) \+(\S+) @@", r"@@ -\2 +\1 @@", "\n".join(lines))


BROKEN: tuple[Patch, ...] = (
    Patch("no diff at all", "broken", change=lambda _: "I could not find the bug.\n", verdict=FAILED),
    Patch("blank", "broken", change=lambda _: "\n", verdict=FAILED),
    Patch("cut off", "broken", gold=True, change=shortened, verdict=FAILED),
    Patch("no such file", "broken", gold=True, change=lambda text: text.replace("slugs", "slug"), verdict=FAILED),
    Patch("header without hunks", "broken", gold=True, change=lambda text: text[: text.index("@@")]),
    Patch(
        "ends in an added line without newline",
        "broken",
        gold=True,
        change=lambda text: text.rstrip("\n"),
        verdict=FAILED,
    ),
    Patch("wrong counts", "broken", gold=True, change=lambda text: text.replace("18,13", "18,31"), verdict=FAILED),
    Patch("the wrong way round", "broken", gold=True, change=reversed_diff),
    Patch("does nothing", "broken", {"README.md": appended("More.\n")}),
    Patch("does not parse", "broken", in_package("def (:\n")),
    Patch("ends Python with a signal", "broken", in_package("import os\n\nos.kill(os.getpid(), 11)\n")),
)
