"""Datasets of the hub at a revision, from a server on loopback.

Each reading is a process of its own with a cache of its own, since the hub's library reads its settings when it is
imported.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.sources.datasets import load_rows
from swerl_eval.sources.selection import Row
from tests.fake_hub import GATED, UNKNOWN_DATASET, FakeHub, fake_hub

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "swerl_eval" / "demo" / "suite"
OLD, NEW = "a" * 40, "b" * 40
DATA = "data/test-00000-of-00001.parquet"
PROGRAM = """
import json, sys
from swerl_eval.core.errors import SwerlEvalError
from swerl_eval.sources.datasets import fingerprint, load_rows
try:
    rows = load_rows(sys.argv[1], sys.argv[2])
    print(json.dumps([[row["instance_id"] for row in rows], fingerprint(rows)]))
except SwerlEvalError as error:
    print(json.dumps(str(error)))
"""
REMEDY = (
    "; check the name, the revision, the network and HF_TOKEN (for a gated dataset, that of a user with access), "
    "or pass a local parquet file to --dataset"
)


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


def read(hub: FakeHub, home: Path, name: str, split: str = "test", **environment: str) -> object:
    """Ids and fingerprint of the rows, or the message of the error."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home / ".cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, split],
        env={**os.environ, **settings, **environment},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ids(found: object) -> list[str]:
    assert isinstance(found, list), found
    return list(found[0])


def test_a_commit_a_tag_and_a_branch_give_the_rows_of_that_revision(hub: FakeHub, tmp_path: Path):
    every = [row["instance_id"] for row in rows()]
    at_commit, at_tag, at_ref, newest = (
        read(hub, tmp_path, f"team/tasks@{revision}") for revision in (OLD, "v1", "refs/pr/3", "main")
    )
    assert at_commit == at_tag == at_ref
    assert ids(at_tag) == every[:2]
    assert ids(newest) == every
