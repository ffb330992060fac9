from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from unidiff import PatchSet

from swerl_eval.core.apply_edits import apply_edits
from swerl_eval.core.diffs import unified_diff
from swerl_eval.core.edits import parse_answer
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Completion, Edit, Message, Oracle, SampleRequest
from swerl_eval.ports import SamplerSettings, ignore
from swerl_eval.samplers.gold import GoldSampler, gold_answer

DATA = Path(__file__).parents[3] / "shared" / "data"

BEFORE = {
    "pkg/a.py": "".join(f"line {number}\n" for number in range(1, 31)),
    "pkg/windows.py": "one\r\ntwo\r\nthree\r\n",
    "pkg/no_newline.py": "first\nlast",
    "docs/empty.txt": "",
}
AFTER = {
    "pkg/a.py": BEFORE["pkg/a.py"].replace("line 2\n", "line two \t\n").replace("line 29\n", ""),
    "pkg/windows.py": "one\r\nTWO\r\nthree\r\n",
    "pkg/no_newline.py": "FIRST\nlast",
    "docs/empty.txt": "no longer\n",
    "pkg/new.py": "VALUE = 1\n\n\ndef value():\n    return VALUE\n",
}


def asking(stage: str, n: int = 2) -> SampleRequest:
    return SampleRequest("a__b-1", stage, (Message("user", "?"),), tuple(range(n)), 0, 1.0, 1.0, 64)


def opened(patch: str) -> GoldSampler:
    def oracle(instance_id: str) -> Oracle:
        return Oracle(instance_id, patch, "", {})

    return GoldSampler.open(SamplerSettings(oracle=oracle))


@pytest.mark.anyio
async def test_the_repair_answer_applied_to_the_texts_gives_the_patched_texts() -> None:
    patch = unified_diff(BEFORE, AFTER)
    first, second = await opened(patch).sample(asking("repair"), ignore)
    assert first == second
    edits = parse_answer(first.text)
    assert [edit.path for edit in edits] == [
        "docs/empty.txt", "pkg/a.py", "pkg/a.py", "pkg/new.py", "pkg/no_newline.py", "pkg/windows.py",
    ]  # fmt: skip
    assert apply_edits(BEFORE, edits) == AFTER


def test_the_answer_does_what_git_apply_does(tmp_path: Path) -> None:
    patch = unified_diff(BEFORE, AFTER)
    for path, text in BEFORE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch.encode(), check=True)
    applied = {path: (tmp_path / path).read_bytes().decode() for path in AFTER}
    assert apply_edits(BEFORE, parse_answer(gold_answer(patch).text)) == applied


@pytest.mark.anyio
async def test_the_localization_answer_names_the_gold_files_in_a_fence() -> None:
    patch = unified_diff(BEFORE, {path: AFTER[path] for path in ("pkg/a.py", "pkg/windows.py")})
    assert await opened(patch).sample(asking("localize", 1), ignore) == [
        Completion("```\npkg/a.py\npkg/windows.py\n```")
    ]


REMOVED = "diff --git a/x.py b/x.py\ndeleted file mode 100644\n--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
RENAMED = "diff --git a/x.py b/y.py\nsimilarity index 100%\nrename from x.py\nrename to y.py\n"
BINARY = "diff --git a/x.bin b/x.bin\nindex 1..2 100644\nBinary files a/x.bin and b/x.bin differ\n"
EMPTY_FILE = "diff --git a/pkg/__init__.py b/pkg/__init__.py\nnew file mode 100644\nindex 0000000..e69de29\n"
MODE = "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
CHANGE = "diff --git a/z.py b/z.py\n--- a/z.py\n+++ b/z.py\n@@ -1 +1 @@\n-old\n+new\n"


LINE_END = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-old\n\\ No newline at end of file\n+old\n"


@pytest.mark.parametrize("patch", [REMOVED, RENAMED, BINARY, EMPTY_FILE, MODE, LINE_END])
def test_what_blocks_cannot_say_is_a_recorded_failure_of_the_whole_answer(patch: str) -> None:
    answer = gold_answer(patch + CHANGE)
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert answer.error.startswith(f"{PatchSet(patch)[0].path}: SEARCH/REPLACE cannot ")


@pytest.mark.parametrize("marker", ["=======", ">>>>>>> REPLACE", "<<<<<<< SEARCH"])
def test_a_patch_with_lines_that_look_like_markers_is_a_recorded_failure_and_not_another_edit(marker: str) -> None:
    before = {"CHANGES.rst": f"Changes\n{marker}\n\n1.0\n"}
    patch = unified_diff(before, {"CHANGES.rst": f"Changes\n{marker}\n\n1.1\n\n1.0\n"})
    assert gold_answer(patch) == Completion(
        "", "error", error="SEARCH/REPLACE cannot carry lines that look like its markers"
    )


def test_without_a_dataset_there_is_no_gold() -> None:
    with pytest.raises(UsageError, match="needs a dataset with answers"):
        GoldSampler.open(SamplerSettings())


@pytest.mark.parametrize(("name", "hunks"), [("SWE-bench_Verified.parquet", 1220), ("SWE-bench_Lite.parquet", 447)])
def test_every_real_gold_patch_is_expressed_one_edit_a_hunk(name: str, hunks: int) -> None:
    import pyarrow.parquet

    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not here: the real dataset is no part of the repository")
    rows = pyarrow.parquet.read_table(DATA / name, columns=["instance_id", "patch"]).to_pylist()
    outcomes: Counter[str] = Counter()
    edits_in_all = 0
    for row in rows:
        files = PatchSet(row["patch"])
        answer = gold_answer(row["patch"])
        if answer.error:
            outcomes["cannot be expressed"] += 1
            assert any(file.is_rename or file.is_removed_file for file in files), row["instance_id"]
            continue
        edits = parse_answer(answer.text)
        assert edits == [
            Edit(
                file.path,
                tuple(str(line.value).rstrip("\r\n") for line in hunk if not line.is_added and line.line_type != "\\"),
                tuple(
                    str(line.value).rstrip("\r\n") for line in hunk if not line.is_removed and line.line_type != "\\"
                ),
            )
            for file in files
            for hunk in file
        ], row["instance_id"]
        outcomes["expressed"] += 1
        edits_in_all += len(edits)
    assert outcomes == {"expressed": len(rows)}, f"{name}: {dict(outcomes)}"
    assert edits_in_all == hunks
