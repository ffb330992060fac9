"""What is read from a patch about the files that decide its verdict."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swerl_eval.core.suspicions import RULES, python_files, suspicions
from swerl_eval.demo.setup import SUITE


def patch_of(path: str, old: str = "a/", new: str = "b/") -> str:
    return f"--- {old}{path}\n+++ {new}{path}\n@@ -1 +1 @@\n-x\n+y\n"


def added(path: str, mode: str = "100644") -> str:
    return f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"


def paths(patch: str, test_patch: str = "", runner: tuple[str, ...] = ()) -> list[str]:
    return [touch.path for touch in suspicions(patch, test_patch, runner)]


FOUND = {
    "conftest.py": RULES[0],
    "a/b/conftest.py": RULES[0],
    "pytest.ini": RULES[1],
    ".pytest.ini": RULES[1],
    "tox.ini": RULES[1],
    "setup.cfg": RULES[1],
    "pyproject.toml": RULES[1],
    "sitecustomize.py": RULES[2],
    "lib/usercustomize.py": RULES[2],
    "x.pth": RULES[2],
    "x.egg-link": RULES[2],
    "x.egg-info/entry_points.txt": RULES[3],
    "x-1.dist-info/METADATA": RULES[3],
    "setup.py": RULES[4],
    ".gitattributes": RULES[5],
    ".gitmodules": RULES[5],
    "sympy/testing/runtests.py": RULES[6],
    "sympy/utilities/runtests.py": RULES[6],
    "django/test/runner.py": RULES[6],
    "src/_pytest/main.py": RULES[7],
    "pytest.py": RULES[7],
    "bin/git": RULES[8],
    "python3.11": RULES[8],
    "tox": RULES[8],
}


@pytest.mark.parametrize(("path", "rule"), FOUND.items(), ids=FOUND.keys())
def test_each_rule_finds_its_files(path: str, rule: tuple[str, str, bool]) -> None:
    (touch,) = suspicions(patch_of(path), "", ())
    assert (touch.path, touch.reason, touch.reset_for_confirmation) == (path, rule[1], rule[2])
    assert str(touch) == f"{path} {rule[1]}"


def test_every_rule_is_tried_by_a_path() -> None:
    assert set(FOUND.values()) == set(RULES)


@pytest.mark.parametrize(
    "path",
    [
        "package/module.py",
        "package/setup.py",
        "package/github.py",
        "package/git.py",
        "package/conftest.pyi",
        "docs/pytest.rst",
        "package/re.py",
        "package/contest/x.py",
        "testament.py",
    ],
)
def test_ordinary_files_are_none_of_it(path: str) -> None:
    assert paths(patch_of(path) + added(f"new_{path.rpartition('/')[2]}" if "/" in path else f"new/{path}")) == []


@pytest.mark.parametrize("path", ["re.py", "src/re.py", "unittest/__init__.py", "lib/pluggy/__init__.py", "pytest.py"])
def test_a_new_module_of_a_name_that_the_tests_rest_on_is_found(path: str) -> None:
    assert paths(added(path)) == [path]


def test_a_module_that_was_there_shadows_nothing_new() -> None:
    assert paths(patch_of("unittest/__init__.py")) == []


def test_new_test_files_are_welcome_and_all_else_among_the_tests_is_shown() -> None:
    assert paths(added("tests/test_new.py")) == []
    assert paths(added("tests/helper.py")) == ["tests/helper.py"]
    assert paths(patch_of("tests/test_old.py")) == ["tests/test_old.py"]


def test_the_files_of_the_tests_that_decide_come_first() -> None:
    (touch,) = suspicions(added("tests/test_new.py"), added("tests/test_new.py"), ())
    assert touch.reason == "is a file of the tests that decide"
    assert touch.reset_for_confirmation


def test_a_file_of_the_test_command_is_the_runner_but_for_the_tests_that_it_names() -> None:
    command = ("./bin/test", "-C", "--verbose", "sympy/core/tests/test_x.py")
    (touch,) = suspicions(patch_of("bin/test"), patch_of("sympy/core/tests/test_x.py"), command)
    assert touch.reason == "is the test runner"


@pytest.mark.parametrize(("mode", "what"), [("120000", "symbolic link"), ("160000", "another repository")])
def test_links_and_submodules_are_found_by_their_mode(mode: str, what: str) -> None:
    (touch,) = suspicions(added("docs/x", mode), "", ())
    assert what in touch.reason
    changed = f"diff --git a/docs/x b/docs/x\nindex 1234567..89abcde {mode}\n"
    assert paths(changed + patch_of("docs/x")) == ["docs/x"]


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/hooks/post-checkout", "sub/.git/config"])
def test_places_outside_of_the_repository_are_found_and_cannot_be_reset(path: str) -> None:
    (touch,) = suspicions(added(path), "", ())
    assert not touch.reset_for_confirmation


def test_an_absolute_path_is_found_and_the_file_that_it_makes_too() -> None:
    assert paths("--- /dev/null\n+++ /etc/conftest.py\n@@ -0,0 +1 @@\n+x\n") == ["/etc/conftest.py", "etc/conftest.py"]


@pytest.mark.parametrize(("old", "new"), [("i/", "w/"), ("c/", "i/"), ("old/", "new/")])
def test_the_first_folder_is_taken_off_whatever_it_is_called(old: str, new: str) -> None:
    assert paths(patch_of("setup.py", old, new)) == ["setup.py"]
    assert paths(f"diff --git {old}setup.py {new}setup.py\nold mode 100644\nnew mode 100755\n") == ["setup.py"]


def test_both_names_of_a_move_count() -> None:
    moved = "diff --git a/x.py b/conftest.py\nsimilarity index 100%\nrename from x.py\nrename to conftest.py\n"
    assert paths(moved) == ["conftest.py"]
    assert paths(moved.replace("conftest.py", "y.py").replace("x.py", "conftest.py")) == ["conftest.py"]


def test_lines_of_a_hunk_are_no_headers() -> None:
    within = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n--- a/conftest.py\n+++ b/conftest.py\n x\n"
    assert paths(within) == []
    assert paths(within + patch_of("conftest.py")) == ["conftest.py"]


@pytest.mark.parametrize("separator", ["\f", "\v", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_line_end_ends_a_line(separator: str) -> None:
    within = f"--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n x{separator}y\n-a\n+b\n"
    assert paths(within + patch_of("conftest.py")) == ["conftest.py"]
    assert paths(within.replace(f"{separator}y\n", f"{separator}--- a/conftest.py\n")) == []


def test_crlf_changes_nothing() -> None:
    patch = patch_of("conftest.py") + added("docs/x", "120000")
    assert paths(patch.replace("\n", "\r\n")) == paths(patch) == ["conftest.py", "docs/x"]


HEADERS = [
    "diff --git a/x b/conftest.py\n",
    'diff --git "a/\\x" b\n',
    "--- a/x\n",
    "+++ b/conftest.py\n",
    '+++ "b/\\303\n',
    "@@ -1,9 +1,9 @@\n",
    "@@ -1 +1 @@\n",
    " x\n",
    "-\r\n",
    "rename to \n",
    "index \n",
    "new file mode \n",
    "\\ No newline\n",
]


@given(st.text() | st.lists(st.sampled_from(HEADERS), max_size=12).map("".join))
def test_no_text_at_all_raises(text: str) -> None:
    suspicions(text, text, text.split())
    python_files(text)


def git(tree: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *arguments], cwd=tree, env=environment, check=True, stdout=subprocess.PIPE
    ).stdout.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    git(folder, "init", "--quiet")
    return folder


NAMES = ["a.py", "b c.py", "größe.py", 'q"q.py', "t\tt.py", "-- d.py", "d e/x y.py", "b/b.py", "a b/a.py", "x\\y.py"]
CONTENTS = [
    "",
    "x\n",
    "x",
    "--- a/z.py\n+++ b/z.py\n",
    "x\r\ny\r\n",
    "\f\n\u2028\n",
    "x\n" * 20,
    "-- z\n++ z\n",
    "\0\x01\n",
]
trees = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(CONTENTS), st.booleans()), max_size=5)


def written(tree: Path, files: Mapping[str, tuple[str, bool]]) -> str:
    """The id of git's tree of these files."""
    git(tree, "rm", "-r", "-q", "-f", "--ignore-unmatch", ".")
    for name, (content, executable) in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content.encode())
        (tree / name).chmod(0o755 if executable else 0o644)
    git(tree, "add", "--all")
    return git(tree, "write-tree").strip()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(before=trees, after=trees, renames=st.booleans())
def test_exactly_the_files_are_named_that_a_diff_of_git_touches(
    tree: Path, before: Mapping[str, tuple[str, bool]], after: Mapping[str, tuple[str, bool]], renames: bool
) -> None:
    trees = written(tree, before), written(tree, after)
    patch = git(tree, "diff", "--binary", "--find-renames" if renames else "--no-renames", *trees)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    # every file of the test patch is one that decides, so this names them all
    assert set(paths(patch, patch)) == changed
    assert set(python_files(patch)) == changed & after.keys()


def test_no_gold_patch_of_the_bundled_suite_is_suspicious() -> None:
    tasks = sorted((SUITE / "tasks").iterdir())
    assert len(tasks) == 9
    for task in tasks:
        command = ("python3", "-m", "pytest", "-rA", "-p", "no:cacheprovider", "tests/test_slugs.py")
        assert suspicions((task / "gold.patch").read_text(), (task / "test.patch").read_text(), command) == []
