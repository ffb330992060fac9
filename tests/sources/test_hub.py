"""Datasets of the hub at a revision, from a server on loopback.

Each test reads in a process of its own with a cache of its own, since the hub's library reads its settings when it is
imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.sources.choice import Row
from swerl_eval.sources.datasets import load_rows
from tests.fake_hub import GATED, UNKNOWN_DATASET, FakeHub, Refusal, fake_hub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "swerl_eval" / "demo" / "suite"
OLD, NEW = "a" * 40, "b" * 40
DATA = "test-00000-of-00001.parquet"
PROGRAM = """
import json, sys
from swerl_eval.core.errors import SwerlEvalError
from swerl_eval.sources.datasets import fingerprint, load_rows
for line in sys.stdin:
    try:
        rows = load_rows(*json.loads(line))
        found = [[row["instance_id"] for row in rows], fingerprint(rows)]
    except SwerlEvalError as error:
        found = str(error)
    print(json.dumps(found), flush=True)
"""
REMEDY = "; check the name, the revision, the network and HF_TOKEN, or pass a local parquet file to --dataset"


def rows() -> list[Row]:
    return [{**row, "FAIL_TO_PASS": [*row["FAIL_TO_PASS"]]} for row in load_rows(str(SUITE), "test")]


def parquet(some: list[Row]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(some), file)
    return file.getvalue()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    commits = {OLD: {DATA: parquet(rows()[:2])}, NEW: {DATA: parquet(rows()), "README.md": b"# Tasks\n"}}
    with fake_hub(commits, {"main": NEW, "v1": OLD, "refs/pr/3": OLD}) as served:
        yield served


Read = Callable[..., object]
"""Of a dataset's name and split: the ids of its rows and their fingerprint, or the message of the error."""


@contextlib.contextmanager
def reader(hub: FakeHub, home: Path, **environment: str) -> Iterator[Read]:
    """A process that reads datasets, standing in a folder with a cache."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home / ".cache"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **settings, **environment},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked
        assert told

        def read(name: str, split: str = "test") -> object:
            asked.write(json.dumps([name, split]) + "\n")
            asked.flush()
            return json.loads(told.readline())

        yield read


def ids(found: object) -> list[str]:
    assert isinstance(found, list), found
    return list(found[0])


def test_a_commit_a_tag_and_a_branch_give_the_rows_of_that_revision_and_none_the_newest(hub: FakeHub, tmp_path: Path):
    every = [row["instance_id"] for row in rows()]
    with reader(hub, tmp_path) as read:
        at_commit, at_tag, at_ref, at_branch, newest = (
            read(f"team/tasks{revision}") for revision in (f"@{OLD}", "@v1", "@refs/pr/3", "@main", "")
        )
    assert at_commit == at_tag == at_ref
    assert ids(at_tag) == every[:2]
    assert at_branch == newest
    assert ids(newest) == every


def test_a_pinned_revision_is_never_another_one_whatever_is_in_the_cache(hub: FakeHub, tmp_path: Path):
    with reader(hub, tmp_path) as read:
        before = read("team/tasks@v1")
        hub.refusal = GATED
        assert "GatedRepoError" in str(read("team/tasks@main"))
    hub.requests.clear()
    with reader(hub, tmp_path, HF_HUB_OFFLINE="1") as read:
        assert read("team/tasks@v1") == before
        assert read(f"team/tasks@{OLD}") == before
        assert "snapshot folder for the specified revision" in str(read(f"team/tasks@{'c' * 40}"))
    assert hub.requests == []


def test_a_folder_of_the_dataset_s_name_does_not_stand_in_for_a_revision(hub: FakeHub, tmp_path: Path):
    folder = tmp_path / "team" / "tasks"
    folder.mkdir(parents=True)
    (folder / "test.parquet").write_bytes(parquet(rows()[5:]))
    with reader(hub, tmp_path) as read:
        assert ids(read("team/tasks@v1")) == [row["instance_id"] for row in rows()[:2]]
        assert ids(read("team/tasks")) == [row["instance_id"] for row in rows()[5:]]


def test_what_the_hub_refuses_is_one_line_with_its_words_and_the_remedy(hub: FakeHub, tmp_path: Path):
    cases: list[tuple[str, Refusal | None, str]] = [
        ("team/tasks@v9", None, "Invalid rev id: v9"),
        (f"team/tasks@{'c' * 40}", None, f"Invalid rev id: {'c' * 40}"),
        ("team/tasks@v1", UNKNOWN_DATASET, "Repository Not Found for url: "),
        ("team/tasks@v1", GATED, GATED[2]),
        ("team/tasks@v1", (401, *GATED[1:]), "401 Client Error"),
        ("team/tasks@v1", (503, "", "too busy"), "too busy"),
    ]
    with reader(hub, tmp_path) as read:
        for name, refusal, words in cases:
            hub.refusal = refusal
            message = str(read(name))
            assert message.startswith(f"cannot read {name} (")
            assert message.endswith(REMEDY)
            assert words in message
            assert "\n" not in message


def test_an_unreachable_hub_and_an_unknown_split_are_told_with_the_remedy(hub: FakeHub, tmp_path: Path):
    with reader(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:9") as read:
        unreachable = str(read("verified@v1"))
    with reader(hub, tmp_path) as read:
        split = str(read("team/tasks@v1", "dev"))
    assert unreachable.startswith("cannot read SWE-bench/SWE-bench_Verified@v1 (LocalEntryNotFoundError: Got: ConnectE")
    assert split.startswith("cannot read team/tasks@v1 (ValueError: Unknown split \"dev\". Should be one of ['test'].)")
    assert unreachable.endswith(REMEDY)
    assert split.endswith(REMEDY)


@pytest.mark.parametrize("name", ["verified@", "team/tasks@ ", "team/tasks@..", "team/tasks@a/../b", "lite@/v1"])
def test_what_is_no_revision_is_refused_before_the_hub_is_asked(name: str):
    with pytest.raises(UsageError) as caught:
        load_rows(name, "test")
    assert str(caught.value) == (
        f"{name!r} names no revision after the @; give a commit, a branch or a tag, or leave the @ out"
    )


def test_a_revision_of_an_unknown_alias_is_answered_with_what_there_is():
    with pytest.raises(UsageError, match=r"^unknown dataset 'verifed@v1': neither a file, "):
        load_rows("verifed@v1", "test")


@pytest.mark.parametrize("name", ["team/tasks@v1.parquet", "verified@v1.jsonl", "verified@", "team/tasks@v1"])
def test_a_file_or_folder_with_an_at_in_its_name_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    place = Path(name)
    if not place.suffix:
        place.mkdir(parents=True)
        place /= "test.parquet"
    place.parent.mkdir(exist_ok=True)
    if place.suffix == ".jsonl":
        place.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    else:
        place.write_bytes(parquet(rows()))
    assert [row["instance_id"] for row in load_rows(name, "test")] == [row["instance_id"] for row in rows()]
