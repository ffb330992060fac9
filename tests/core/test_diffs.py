"""Diffs as git applies them, the form that votes are counted by, and what patches touch."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.diffs import (
    differs_in_blanks_only,
    file_diff,
    files_touched,
    normal_form,
    normal_form_key,
    sha256,
    unified_diff,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"


class Checkout:
    """A working tree that `git apply` is tried in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=A", "-c", "user.email=a@example.invalid"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.folder, input=stdin, capture_output=True, env={**os.environ, **settings}
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def write(self, texts: Mapping[str, str]) -> None:
        """Make these the only files."""
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name != ".git":
                shutil.rmtree(entry)
            elif entry.name != ".git":
                entry.unlink()
        for path, text in texts.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8", "surrogateescape"))

    def read(self) -> dict[str, str]:
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = {file.relative_to(self.folder): file for file in files}
        return {
            name.as_posix(): file.read_bytes().decode("utf-8", "surrogateescape")
            for name, file in names.items()
            if name.parts[0] != ".git"
        }

    def applied(self, before: Mapping[str, str], patch: str) -> dict[str, str]:
        """What `git apply` makes of these files."""
        self.write(before)
        if patch:
            self.git("apply", "-", stdin=patch.encode("utf-8", "surrogateescape"))
        return self.read()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


# -- making a diff

PATHS = [
    "a.py",
    "pkg/b.py",
    "docs/two words.txt",
    "dir with blanks/c d.py",
    "é/ü.py",
    'q"uote.py',
    "t\tab.py",
    "x\\y.py",
]


@pytest.mark.parametrize("path", ["pkg/a.py", "two words/a b.py", "é.py"])
@pytest.mark.parametrize("after", ["1\n2\n3\n4\n5\nsix\n", "0\n1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\n4\n5\n6", ""])
def test_a_diff_is_printed_as_git_prints_it(tmp_path: Path, path: str, after: str):
    before = "1\n2\n3\n4\n5\n6\n"
    checkout = Checkout(tmp_path)
    checkout.write({path: before})
    checkout.git("add", "-A")
    checkout.write({path: after})
    # git ends a name with blanks in it by a tab, for the sake of other programs; it reads the name without one too
    assert file_diff(path, before, after) == checkout.git("diff").decode().replace(f"{path}\t\n", f"{path}\n")


def test_a_new_file_is_a_diff_against_nothing():
    assert file_diff("a.py", None, "x\n") == (
        "diff --git a/a.py b/a.py\nnew file mode 100644\nindex 0000000..587be6b\n--- /dev/null\n+++ b/a.py\n"
        "@@ -0,0 +1 @@\n+x\n"
    )


def test_no_change_is_no_diff():
    assert file_diff("a.py", "x\n", "x\n") == ""
    assert unified_diff({"a.py": "x\n", "b.py": "y\n"}, {"a.py": "x\n"}) == ""


def test_the_files_of_a_diff_are_sorted():
    after = {"b.py": "2\n", "a.py": "2\n"}
    parts = [file_diff(path, "1\n", "2\n") for path in ("a.py", "b.py")]
    assert unified_diff({"a.py": "1\n", "b.py": "1\n"}, after) == parts[0] + parts[1]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1\n2\n", "1\n3\n"),
        ("1\n2", "1\n3"),
        ("1\n2", "1\n2\n"),
        ("1\n2\n", "1\n2"),
        ("1\r\n2\r\n", "1\r\n3\r\n"),
        ("1\r\n2\n", "1\n2\r\n"),
        ("1\n", ""),
        ("", "1\n"),
        (None, "1\n"),
        (None, "1"),
        (None, ""),
        ("é \u2028 \x0c\x85\n", "ü \u2028 \x0c\x85\n"),
        ("\udcff\n", "\udcfe\n"),
    ],
)
def test_git_applies_a_diff_and_gets_the_text(checkout: Checkout, path: str, before: str | None, after: str):
    texts = {} if before is None else {path: before}
    assert checkout.applied(texts, unified_diff(texts, {path: after})) == {path: after}


LINE = st.one_of(
    st.sampled_from(["", " ", "a", "b", "+a", "-b", "--- a", "@@ -1 +1 @@", "\\ No newline at end of file", "\ta \r"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.sampled_from(["\udcff\udc80"]),
)
TEXT = st.builds(
    lambda lines, end, last: "".join(line + end for line in lines) + last,
    st.lists(LINE, max_size=12),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "", "unended"]),
)


@settings(deadline=None)
@given(
    before=st.dictionaries(st.sampled_from(PATHS), TEXT, max_size=3),
    after=st.dictionaries(st.sampled_from(PATHS), TEXT, max_size=3),
)
def test_git_applies_a_diff_of_any_texts_and_gets_exactly_these(
    checkout: Checkout, before: dict[str, str], after: dict[str, str]
):
    assert checkout.applied(before, unified_diff(before, after)) == {**before, **after}


@settings(deadline=None)
@given(
    before=st.dictionaries(st.sampled_from(PATHS), TEXT, max_size=4),
    after=st.dictionaries(st.sampled_from(PATHS), TEXT, max_size=4),
)
def test_the_files_that_a_diff_touches_are_those_that_change(before: dict[str, str], after: dict[str, str]):
    changed = [path for path in sorted(after) if before.get(path) != after[path]]
    assert list(files_touched(unified_diff(before, after))) == changed


# -- the form that votes are counted by

ORIGINAL = '''"""About."""
import os


class Shop:
    """Sells."""

    def total(self, items):
        """Sum up."""
        result = 0  # start
        for item in items:
            result += item
        return result

    def empty(self):
        return False
'''


def form(after: str, before: str = ORIGINAL) -> str:
    return normal_form({"a.py": before}, {"a.py": after})


FIXED = ORIGINAL.replace("result += item", "result += item.price")


@pytest.mark.parametrize(
    "same",
    [
        FIXED.replace("# start", "# begin at nothing"),
        FIXED.replace('"""Sum up."""', '"""Add the prices."""'),
        FIXED.replace('        """Sum up."""\n', ""),
        FIXED.replace("item.price", "(item.price)"),
        FIXED.replace("for item", "\n        for item"),
        FIXED.replace("        return result", "        # done\n\n        return result"),
        FIXED.replace("    def empty", "\n\n    def empty"),
        FIXED.replace("\n", "\r\n"),
        FIXED.replace("result += item.price", "result  +=  item . price"),
    ],
    ids=[
        "comment",
        "docstring",
        "no docstring",
        "brackets",
        "blank line",
        "new comment",
        "blank lines",
        "CRLF",
        "blanks",
    ],
)
def test_comments_docstrings_and_layout_do_not_count(same: str):
    assert form(same) == form(FIXED) != ""
    assert normal_form_key({"a.py": ORIGINAL}, {"a.py": same}) == normal_form_key({"a.py": ORIGINAL}, {"a.py": FIXED})


@pytest.mark.parametrize(
    "other",
    [
        FIXED.replace("item.price", "item.cost"),
        FIXED.replace("result = 0", "result = 0.0"),
        FIXED.replace("return result", "return 'result'"),
        FIXED.replace("return False", "return True"),
        FIXED.replace("import os\n", ""),
    ],
)
def test_behaviour_counts(other: str):
    assert form(other) != form(FIXED)


def test_the_normal_form_is_the_hunks_of_the_canonical_texts():
    assert form("x = 2  # two\n", "x = 1\n") == (
        "a.py\n@@ -1 +1 @@\n-Assign targets=[x,] value=1\n+Assign targets=[x,] value=2\n"
    )


def test_a_change_of_comments_alone_has_no_form_but_a_key_of_its_own_text():
    one, two = ORIGINAL.replace("# start", "# one"), ORIGINAL.replace("# start", "# two")
    assert form(one) == form(two) == ""
    diff = unified_diff({"a.py": ORIGINAL}, {"a.py": one})
    assert normal_form_key({"a.py": ORIGINAL}, {"a.py": one}) == hashlib.sha256(diff.encode()).hexdigest()
    assert normal_form_key({"a.py": ORIGINAL}, {"a.py": two}) != normal_form_key({"a.py": ORIGINAL}, {"a.py": one})


NEW_METHOD = "    def add(self, item):\n        self.items.append(item)\n\n"


def test_functions_that_are_only_added_are_equal_wherever_they_stand():
    above = ORIGINAL.replace("    def total", f"{NEW_METHOD}    def total")
    below = f"{ORIGINAL}\n{NEW_METHOD}"
    assert form(above) == form(below) != ""
    assert "@@" not in form(above)
    assert form(above).startswith("a.py\n def add args=")


def test_a_function_in_the_place_of_another_is_no_added_one():
    changed = form(ORIGINAL.replace("def empty(self):", "def empty(self, deep):"))
    assert "\n- def empty args=" in changed
    assert "\n+ def empty args=" in changed


def test_added_functions_with_other_bodies_are_not_equal():
    other = NEW_METHOD.replace("append", "remove")
    assert form(f"{ORIGINAL}\n{NEW_METHOD}") != form(f"{ORIGINAL}\n{other}")


def test_a_decorated_function_that_is_only_added_is_equal_wherever_it_stands():
    method = f"    @property\n{NEW_METHOD}"
    assert form(ORIGINAL.replace("    def total", f"{method}    def total")) == form(f"{ORIGINAL}\n{method}")


def test_a_decorated_function_above_another_that_is_decorated_alike_is_equal_wherever_it_stands():
    before = ORIGINAL.replace("    def", "    @property\n    def")
    method = f"    @property\n{NEW_METHOD}"
    above = before.replace("    @property\n    def total", f"{method}    @property\n    def total")
    assert form(above, before) == form(f"{before}\n{method}", before) != ""


def test_the_place_of_added_statements_counts():
    above = ORIGINAL.replace("        result = 0", "        print(1)\n        result = 0")
    below = ORIGINAL.replace("        return result", "        print(1)\n        return result")
    assert form(above) != form(below)


def test_an_added_function_beside_another_change_keeps_its_place():
    both = FIXED.replace("    def total", f"{NEW_METHOD}    def total")
    assert form(both) != form(f"{FIXED}\n{NEW_METHOD}")


def test_the_same_change_in_another_file_is_another_form():
    texts = {"a.py": "x = 1\n", "b.py": "x = 1\n"}
    assert normal_form(texts, {"a.py": "x = 2\n"}) != normal_form(texts, {"b.py": "x = 2\n"})


def test_the_order_in_which_files_are_given_does_not_count():
    texts = {"a.py": "x = 1\n", "b.py": "x = 1\n"}
    one, two = {"a.py": "x = 2\n", "b.py": "x = 3\n"}, {"b.py": "x = 3\n", "a.py": "x = 2\n"}
    assert normal_form(texts, one) == normal_form(texts, two)


def test_a_file_whose_code_is_not_changed_does_not_count_beside_one_that_is():
    texts = {"a.py": "x = 1\n", "b.py": "y = 1\n"}
    commented = {"a.py": "x = 2\n", "b.py": "y = 1  # why\n"}
    assert normal_form(texts, commented) == normal_form(texts, {"a.py": "x = 2\n"})


def test_in_files_that_are_not_python_trailing_blanks_do_not_count_and_all_else_does():
    before = {"a.txt": "x\n"}
    assert normal_form(before, {"a.txt": "y  \n"}) == normal_form(before, {"a.txt": "y\n"}) != ""
    assert normal_form(before, {"a.txt": "# y\n"}) != normal_form(before, {"a.txt": "y\n"})


def test_python_that_does_not_parse_is_compared_by_its_lines():
    assert form("x = (  \n\n", "x = 1\n") == form("x = (\n", "x = 1\n") != form("x = [\n", "x = 1\n")


def test_a_new_file_has_a_form():
    assert normal_form({}, {"a.py": "x = 1  # one\n"}) == "a.py\n@@ -0,0 +1 @@\n+Assign targets=[x,] value=1\n"


# -- the files that a patch touches

CHANGED = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"


@pytest.fixture
def history(tmp_path: Path) -> Checkout:
    """One commit with files to be renamed, deleted and changed."""
    made = Checkout(tmp_path)
    text = "".join(f"line {number}\n" for number in range(20))
    made.write({"old.py": text, "moved.py": f"# other\n{text}", "gone.py": "x\n", "kept.py": "y\n"})
    made.git("add", "-A")
    made.git("commit", "--quiet", "-m", "one")
    return made


def test_of_a_rename_the_old_path_is_touched(history: Checkout):
    history.git("mv", "moved.py", "new name.py")
    patch = history.git("diff", "-M", "HEAD").decode()
    assert "rename to new name.py" in patch
    assert files_touched(patch) == ("moved.py",)


def test_of_a_rename_with_changes_the_old_path_is_touched(history: Checkout):
    history.git("mv", "old.py", "new.py")
    (history.folder / "new.py").write_text("".join(f"line {number}\n" for number in range(19)))
    patch = history.git("diff", "-M", "HEAD").decode()
    assert "rename from old.py" in patch
    assert files_touched(patch) == ("old.py",)


def test_deleted_new_and_changed_files_are_touched_in_the_order_of_the_patch(history: Checkout):
    (history.folder / "gone.py").unlink()
    (history.folder / "kept.py").write_text("z\n")
    (history.folder / "added.py").write_text("new\n")
    history.git("add", "-A")
    assert files_touched(history.git("diff", "HEAD").decode()) == ("added.py", "gone.py", "kept.py")


def test_a_file_whose_mode_alone_changes_is_touched(history: Checkout):
    (history.folder / "kept.py").chmod(0o755)
    assert files_touched(history.git("diff", "HEAD").decode()) == ("kept.py",)


def test_a_file_that_a_patch_changes_twice_is_named_once():
    assert files_touched(CHANGED + CHANGED) == ("a.py",)


def test_a_plain_diff_without_git_headers_is_read():
    assert files_touched("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n") == ("a.py",)
    assert files_touched("--- dir/a.py\n+++ dir/a.py\n@@ -1 +1 @@\n-x\n+y\n") == ("dir/a.py",)


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "no patch at all\n",
        CHANGED.replace("-x\n", ""),
        CHANGED.replace("+y\n", "y\n"),
        CHANGED.replace("@@ -1 +1 @@", "@@ -1,5 +1 @@"),
    ],
    ids=["empty", "prose", "line missing", "no sign", "wrong count"],
)
def test_an_unreadable_patch_touches_nothing(patch: str):
    assert files_touched(patch) == ()


@settings(deadline=None)
@given(st.text(), st.integers(0), st.integers(1, 4))
def test_any_damaged_patch_gives_paths_or_none(noise: str, seed: int, cuts: int):
    rng = random.Random(seed)
    lines = f"{CHANGED}{file_diff('b c.py', None, 'new')}{CHANGED}".split("\n")
    for _ in range(cuts):
        place = rng.randrange(len(lines))
        lines[place] = rng.choice(["", noise, lines[place][1:], lines[place] + noise, rng.choice(lines)])
    for patch in ("\n".join(lines), noise):
        assert all(isinstance(path, str) for path in files_touched(patch))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real dataset is not here (../shared/data)")
def test_every_gold_patch_of_verified_touches_the_files_of_its_headers():
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(DATA / "SWE-bench_Verified.parquet", columns=["patch"])
    for patch in table["patch"].to_pylist():
        headers = [line for line in patch.split("\n") if line.startswith("diff --git a/")]
        assert list(files_touched(patch)) == [line.split(" b/")[-1] for line in headers]


# -- blanks, hashes


@pytest.mark.parametrize("after", ["a\n\n\nb\n", "a\nb", "a  \nb\t\n", "\n\na\nb\n", "a\r\nb\r\n"])
def test_blank_lines_and_trailing_blanks_are_no_difference(after: str):
    assert differs_in_blanks_only({"f": "a\nb\n"}, {"f": after})


@pytest.mark.parametrize("after", ["a b\n", " a\nb\n", "b\na\n", "a\n", ""])
def test_indentation_order_and_words_are_a_difference(after: str):
    assert not differs_in_blanks_only({"f": "a\nb\n"}, {"f": after})


def test_one_file_with_a_difference_is_enough():
    assert not differs_in_blanks_only({"f": "a\n", "g": "a\n"}, {"f": "a\n\n", "g": "b\n"})


def test_a_new_file_is_a_difference_even_when_it_is_blank():
    assert not differs_in_blanks_only({}, {"f": "\n"})


def test_the_hash_of_a_text_is_that_of_its_bytes():
    assert sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256("\udcff") == hashlib.sha256(b"\xff").hexdigest()
