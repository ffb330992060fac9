"""The contract of `ports.Source`, over every kind of dataset. A new kind needs a line in `KINDS`.

The rows are three of the bundled suite, whose repository is one with texts that are easily spoilt. The kind `hub` is
tested in a process of its own, since the hub's library reads its address when it is imported.
"""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import orjson
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from swerl_eval.core.errors import SourceError, UnknownInstanceError
from swerl_eval.demo.repositories import build_repository
from swerl_eval.demo.setup import SUITE
from swerl_eval.ports import Source
from swerl_eval.sources.choice import Choice, Row
from swerl_eval.sources.datasets import load_rows, open_dataset
from swerl_eval.sources.repositories import Repositories
from tests.fake_hub import FakeHub, fake_hub

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
IDS = ("demo__ledgerly-3", "demo__ledgerly-1", "demo__ledgerly-2")
"""The order of the rows in the files; a folder of tasks is read by name."""
FILES = {
    "ledgerly/windows.py": b"x = 1\r\ny = 2\r",
    "ledgerly/latin.py": b"# caf\xe9\n",
    "ledgerly/empty.py": b"",
    "ledgerly/\xc3\xa9.py".encode("latin-1").decode(): "é = '\u2028'\n".encode(),
    "setup.cfg": b"\xef\xbb\xbf[metadata]\n",
    "ledgerly.py": b"no newline at the end",
}
NOWHERE = "/nonexistent/{repo}"
HUB_NAME, COMMIT = f"{FakeHub.name}@v1", "a" * 40
ON_HUB = "SWERL_EVAL_TESTS_ON_HUB"
"""Set in the process that tests the kind `hub`."""


def _tasks(folder: Path, suite: Path, rows: list[Row]) -> str:
    copy = shutil.copytree(suite, folder / "suite")
    present = {row["instance_id"] for row in rows}
    for task in (copy / "tasks").iterdir():
        if task.name not in present:
            shutil.rmtree(task)
    for row in rows:
        (copy / "tasks" / row["instance_id"] / "problem_statement.md").write_bytes(row["problem_statement"].encode())
    return str(copy)


def _json(folder: Path, suite: Path, rows: list[Row]) -> str:
    (folder / "rows.json").write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    return str(folder / "rows.json")


def _jsonl(folder: Path, suite: Path, rows: list[Row]) -> str:
    (folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return str(folder / "rows.jsonl")


def _parquet(folder: Path, suite: Path, rows: list[Row]) -> str:
    (folder / "rows.parquet").write_bytes(parquet(rows))
    return str(folder / "rows.parquet")


def _saved(folder: Path, suite: Path, rows: list[Row]) -> str:
    """As `Dataset.save_to_disk` leaves it."""
    saved = folder / "saved"
    saved.mkdir()
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(saved / "data.arrow", table.schema) as stream:
        stream.write_table(table)
    (saved / "state.json").write_bytes(orjson.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return str(saved)


def _hub(folder: Path, suite: Path, rows: list[Row]) -> str:
    return HUB_NAME


Write = Callable[[Path, Path, "list[Row]"], str]
"""Puts rows into a folder as one kind of dataset, beside the suite that they are from; returns the dataset's name."""
KINDS: dict[str, Write] = {"tasks": _tasks, "json": _json, "jsonl": _jsonl, "parquet": _parquet, "saved": _saved}
TESTED: dict[str, Write] = {"hub": _hub} if ON_HUB in os.environ else KINDS


def parquet(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of mirrors, and three tasks of the suite at the commit that is in them."""
    folder = tmp_path_factory.mktemp("sources")
    for name, content in FILES.items():
        (folder / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "package" / name).write_bytes(content)
    (folder / "mirrors").mkdir()
    commit = build_repository(folder / "package", folder / "mirrors" / "demo__ledgerly.git")
    suite = folder / "suite"
    shutil.copytree(SUITE, suite, ignore=lambda _, names: [n for n in names if n.startswith("demo__") and n not in IDS])
    before = load_rows(str(suite), "test")[0]["base_commit"]
    for file in suite.rglob("task.yaml"):
        file.write_text(file.read_text(encoding="utf-8").replace(before, commit), encoding="utf-8")
    return folder / "mirrors", suite


@pytest.fixture(scope="module")
def mirrors(made: tuple[Path, Path]) -> Path:
    return made[0]


@pytest.fixture(scope="module")
def rows(made: tuple[Path, Path]) -> list[Row]:
    by_id = {row["instance_id"]: row for row in load_rows(str(made[1]), "test")}
    return [by_id[name] for name in IDS]


Open = Callable[..., Source]
"""A source of the kind that is tested: over some rows (all), with some `Repositories` (the mirrors)."""


@pytest.fixture(params=TESTED)
def opened(request: pytest.FixtureRequest, made: tuple[Path, Path], rows: list[Row], tmp_path: Path) -> Open:
    written: list[Path] = []

    def open_source(some: list[Row] = rows, repositories: Repositories | None = None) -> Source:
        folder = tmp_path / f"dataset-{len(written)}"
        folder.mkdir()
        written.append(folder)
        name = TESTED[request.param](folder, made[1], some)
        found = repositories or Repositories(tmp_path / "cache", made[0], clone_url=NOWHERE)
        return open_dataset(name, "test", Choice(), found)

    return open_source


def test_the_instances_come_in_one_order_at_every_time(opened: Open) -> None:
    source = opened()
    names = [instance.instance_id for instance in source.instances()]
    assert sorted(names) == sorted(IDS)
    assert source.instances() == source.instances() == opened().instances()
    assert tuple(names) in {IDS, tuple(sorted(IDS))}  # tasks of a folder by name, rows as they stand


def test_an_instance_says_what_its_row_says(opened: Open, rows: list[Row]) -> None:
    by_id = {row["instance_id"]: row for row in rows}
    for instance in opened().instances():
        row = by_id[instance.instance_id]
        assert vars(instance) == {column: row[column] for column in vars(instance)}


def test_no_answer_is_within_reach_of_an_instance_or_a_test_plan(opened: Open) -> None:
    source = opened()
    for instance in source.instances():
        oracle = source.oracle(instance.instance_id)
        tests = [*oracle.row["FAIL_TO_PASS"], *oracle.row["PASS_TO_PASS"]]
        answers = [oracle.patch, oracle.test_patch, oracle.row["eval_script"], *tests]
        assert all(answers)
        assert tests
        for shown in (instance, source.test_plan(instance.instance_id)):
            texts = [text for value in vars(shown).values() for text in ([value] if isinstance(value, str) else value)]
            assert not [answer for answer in answers if any(answer in text for text in texts)]


def test_the_answer_and_the_test_plan_are_those_of_the_id(opened: Open, rows: list[Row]) -> None:
    source = opened()
    for row in rows:
        name = row["instance_id"]
        oracle, plan = source.oracle(name), source.test_plan(name)
        assert (oracle.instance_id, oracle.patch, oracle.test_patch) == (name, row["patch"], row["test_patch"])
        assert (plan.instance_id, plan.repo, plan.log_parser) == (name, row["repo"], row["log_parser"])
        assert "pytest" in plan.command


@pytest.mark.parametrize("unknown", ["demo__ledgerly-4", "", "demo__ledgerly"])
def test_an_unknown_id_is_named(opened: Open, unknown: str) -> None:
    source = opened()
    for ask in (source.oracle, source.test_plan):
        with pytest.raises(UnknownInstanceError) as caught:
            ask(unknown)
        assert str(caught.value) == f"no instance {unknown!r} was chosen from the dataset"


def test_the_fingerprint_is_the_contents(opened: Open, rows: list[Row]) -> None:
    assert opened().fingerprint == opened().fingerprint == opened(rows[::-1]).fingerprint
    if ON_HUB in os.environ:
        return  # one set of rows is all that is on the hub
    changed = {**rows[0], "problem_statement": f"{rows[0]['problem_statement']} "}
    prints = {opened(some).fingerprint for some in (rows, rows[:2], [changed, *rows[1:]])}
    assert len(prints) == 3


async def test_a_snapshot_has_the_paths_sorted_and_the_texts_untouched(opened: Open) -> None:
    source = opened()
    for instance in source.instances():
        snapshot = await source.snapshot(instance)
        assert snapshot.paths() == sorted(FILES)
        for path, content in FILES.items():
            text = snapshot.read(path)
            assert text is not None
            assert text.encode("utf-8", "surrogateescape") == content
        for path in ("ledgerly", "none.py", "", "../ledgerly.py", "/ledgerly.py"):
            assert snapshot.read(path) is None


async def test_a_repository_that_cannot_be_had_is_an_error(opened: Open) -> None:
    source = opened()
    instance = dataclasses.replace(source.instances()[0], base_commit="d" * 40)
    with pytest.raises(SourceError, match=rf"{instance.instance_id}: no repository with demo/ledgerly at dddd"):
        await source.snapshot(instance)


@pytest.mark.slow
async def test_a_cancelled_snapshot_ends_at_once_and_leaves_nothing_half_done(
    opened: Open, mirrors: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "hung"
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:  # takes every request and answers none
        hanging = f"http://127.0.0.1:{server.getsockname()[1]}/{{repo}}"
        source = opened(repositories=Repositories(cache, clone_url=hanging))
        instance = source.instances()[0]
        started = anyio.current_time()
        with anyio.move_on_after(1) as bound:
            await source.snapshot(instance)
        assert bound.cancelled_caught
        assert anyio.current_time() - started < 60  # the server never answers
    assert [path.name for path in (cache / "repositories").iterdir() if path.suffix != ".lock"] == []
    later = opened(repositories=Repositories(cache, clone_url=str(mirrors / "demo__ledgerly.git")))
    assert (await later.snapshot(instance)).paths() == sorted(FILES)


@pytest.fixture
def hub(rows: list[Row]) -> Iterator[FakeHub]:
    files = {"test-00000-of-00001.parquet": parquet(rows)}
    with fake_hub({COMMIT: files}, {"main": COMMIT, "v1": COMMIT}) as served:
        yield served


@pytest.mark.slow
@pytest.mark.skipif(ON_HUB in os.environ, reason="this is the process for the hub")
def test_the_contract_holds_for_a_dataset_of_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    environment = {ON_HUB: "1", "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", __file__],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert hub.requests
