"""The contract of `ports.Tracker`, over the table, with the real packages and what they store without a network.

A new tracker needs a line in the table and one in `READERS`. Packages: `scripts/test --trackers`.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.ports import Tracker, TrackerSettings
from swerl_eval.registry import load
from swerl_eval.trackers import TRACKERS

SECRET = "planted-0123456789abcdef"
CONFIG = {
    "model": "org/model-7b",
    "samples": 20,
    "engine": {"max_model_len": 8192},
    "limit": None,
    "versions": {"a": "1"},
}
FIGURES = [({"samples": 3.0, "verdict/resolved": 0.0}, 2), ({"samples": 20.0, "verdict/resolved": 2.0}, 17)]
LATER = ({"samples": 40.0, "verdict/resolved": 3.0}, 90)
TABLE: list[dict[str, Any]] = [
    {"instance_id": "a__b-1", "verdict": "resolved", "votes": 12, "reward": 0.5, "reason": None},
    {"instance_id": "a__b-2", "verdict": "unresolved", "votes": None, "reward": None, "reason": "<b>|`x` & [y](z)"},
]
REPORT = {"resolved": 1, "total": 2, "solve_rate": 0.5, "instances": TABLE, "strict": None}


@dataclass
class Stored:
    """What a tracker has of a run."""

    runs: set[str] = field(default_factory=set)
    figures: dict[tuple[str, int], float] = field(default_factory=dict)
    """By name and step."""
    table: list[list[Any]] = field(default_factory=list)
    """Rows of values; empty where the tracker has a text instead."""
    text: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by name; empty where they stay in the run folder."""


def _read_jsonl(folder: Path) -> Stored:
    stored = Stored()
    for line in map(json.loads, (folder / "own" / "figures.jsonl").read_text().splitlines()):
        if "run" in line:
            stored.runs.add(line["run"])
        elif "step" in line:
            stored.figures |= {(name, line["step"]): value for name, value in line["figures"].items()}
        else:
            stored.table = [list(row.values()) for row in line["table"]]
    return stored


def _read_tensorboard(folder: Path) -> Stored:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "own"))
    read.Reload()
    stored = Stored({"r 1"})
    for name in read.Tags()["scalars"]:
        stored.figures |= {(name, event.step): event.value for event in read.Scalars(name)}
    assert set(read.Tags()["tensors"]) == {"config", "instances", "files"}
    stored.text = read.Tensors("instances")[-1].tensor_proto.string_val[0].decode()
    assert '"model": "org/model-7b"' in read.Tensors("config")[0].tensor_proto.string_val[0].decode()
    return stored


def _read_mlflow(folder: Path) -> Stored:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("a project")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["engine.max_model_len"] == "8192"
    assert {name: value for name, value in run.data.tags.items() if "mlflow" not in name} == {
        "group": "g",
        "x": "",
        "y": "",
    }
    stored = Stored({run.info.run_name})
    for name in run.data.metrics:
        stored.figures |= {(name, m.step): m.value for m in client.get_metric_history(run.info.run_id, name)}
    for artifact in client.list_artifacts(run.info.run_id):
        path = client.download_artifacts(run.info.run_id, artifact.path, str(folder))
        stored.files[artifact.path] = Path(path).read_bytes()
    stored.table = json.loads(stored.files.pop("instances.json"))["data"]
    return stored


def _wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: a header, then blocks of 32 KiB with chunks, as LevelDB's logs have them."""
    assert content[:4] == b":W&B"
    place, record = 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, last
            yield record
            record = b""


def _read_wandb(folder: Path) -> Stored:
    from wandb.proto import wandb_internal_pb2

    stored = Stored()
    for file in sorted(folder.rglob("run-*.wandb")):
        # wandb's service may still be writing when its client has finished
        deadline = time.monotonic() + 120
        while True:
            records = [wandb_internal_pb2.Record.FromString(data) for data in _wandb_records(file.read_bytes())]
            if (records and records[-1].HasField("exit")) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for record in records:
            if record.HasField("run"):
                stored.runs.add(f"{record.run.run_id} {record.run.display_name}")
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                value = json.loads(item.value_json)
                if isinstance(value, int | float) and not name.startswith(("_", "instances/")):
                    stored.figures[name, record.history.step.num] = value
            for entry in record.artifact.manifest.contents if record.HasField("artifact") else ():
                if record.artifact.type == "report":
                    stored.files[entry.path] = Path(entry.local_path).read_bytes()
    tables = sorted(folder.rglob("*.table.json"))
    stored.table = json.loads(tables[-1].read_bytes())["data"] if tables else []
    return stored


def _read_trackio(folder: Path) -> Stored:
    (database,) = folder.rglob("*.db")
    stored = Stored()
    with sqlite3.connect(database) as opened:
        for name, step, text in opened.execute("select run_name, step, metrics from metrics order by step, id"):
            stored.runs.add(name)
            metrics = json.loads(text)
            if "instances" in metrics:
                stored.text = metrics["instances"]["_value"]
            else:
                stored.figures |= {(key, step): value for key, value in metrics.items()}
    kept = [path for path in (folder / "trackio").rglob("*") if path.is_file() and path.read_bytes() == REPORT_BYTES]
    stored.files = {"report.json": path.read_bytes() for path in kept[:1]}  # noqa: B035 - files go by their content there
    return stored


REPORT_BYTES = json.dumps(REPORT).encode()
READERS: dict[str, Callable[[Path], Stored]] = {
    "jsonl": _read_jsonl,
    "tensorboard": _read_tensorboard,
    "mlflow": _read_mlflow,
    "wandb": _read_wandb,
    "trackio": _read_trackio,
}
KEEPS_FILES = {"mlflow", "wandb", "trackio"}


def _parameter(name: str) -> Any:
    missing = name != "jsonl" and importlib.util.find_spec(name) is None
    marks = [] if name == "jsonl" else [pytest.mark.trackers, pytest.mark.slow]
    return pytest.param(
        name, marks=[*marks, *([pytest.mark.skip(reason=f"{name} is not installed")] if missing else [])]
    )


@pytest.fixture(scope="module", params=[_parameter(name) for name in TRACKERS])
def name(request: pytest.FixtureRequest) -> str:
    """Of the tracker under contract."""
    parameter: str = request.param
    return parameter


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where everything goes that is stored, with a secret in the environment and on the command line."""
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
            patch.delenv(variable, raising=False)
        patch.setenv("TRACKIO_DIR", str(folder / "trackio"))
        patch.setenv("PLANTED_API_KEY", SECRET)
        patch.setattr(sys, "argv", ["swerl-eval", "run", "--base-url", f"http://me:{SECRET}@server"])
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def kind(name: str) -> type[Tracker]:
    loaded: type[Tracker] = load("tracker", name, TRACKERS)
    return loaded


@pytest.fixture(scope="module")
def settings(name: str, folder: Path) -> TrackerSettings:
    uri = f"sqlite:///{folder}/mlflow.db" if name == "mlflow" else ""
    return TrackerSettings(folder / "own", "a project", group="g", tags=("x", "y"), uri=uri, offline=True)


@pytest.fixture(scope="module")
def stored(name: str, kind: type[Tracker], settings: TrackerSettings, folder: Path) -> Stored:
    """A run that was tracked, and resumed later."""
    report = folder / "report.json"
    report.write_bytes(REPORT_BYTES)
    kind.check(settings)
    first = kind.open("r 1", CONFIG, settings)
    for figures, step in FIGURES:
        first.log(figures, step)
    first.finish({}, [], [])
    second = kind.open("r 1", CONFIG, settings)
    second.log(*LATER)
    second.finish(REPORT, TABLE, [report])
    return READERS[name](folder)


def test_the_figures_of_a_run_and_of_its_resume_are_read_back_by_step(stored: Stored) -> None:
    expected = {(name, step): value for figures, step in [*FIGURES, LATER] for name, value in figures.items()}
    assert stored.figures == expected


def test_a_resumed_run_is_the_same_run(stored: Stored) -> None:
    assert len(stored.runs) == 1
    assert next(iter(stored.runs)).endswith("r 1")


def test_the_table_has_a_row_for_each_instance(stored: Stored) -> None:
    if stored.text:
        lines = stored.text.splitlines()
        assert lines[0] == "| instance_id | verdict | votes | reward | reason |"
        assert lines[2] == "| a__b-1 | resolved | 12 | 0.5 |  |"
        assert lines[3] == r"| a__b-2 | unresolved |  |  | &lt;b>\|\`x\` &amp; \[y\]\(z\) |"
    else:
        assert stored.table == [list(row.values()) for row in TABLE]


def test_the_report_is_kept_where_files_are(name: str, stored: Stored) -> None:
    assert stored.files == ({"report.json": REPORT_BYTES} if name in KEEPS_FILES else {})


def test_neither_environment_nor_command_line_are_stored(stored: Stored, folder: Path) -> None:
    del stored
    leaks = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert leaks == []


@pytest.mark.parametrize("name", TRACKERS)
def test_every_entry_of_the_table_is_a_class_with_the_methods_of_the_seam(name: str) -> None:
    kind: Any = load("tracker", name, TRACKERS)
    assert isinstance(kind, type)
    for method in ("check", "open", "log", "finish"):
        assert callable(getattr(kind, method)), method


@pytest.mark.parametrize("name", [name for name in TRACKERS if name != "jsonl"])
def test_without_its_package_the_line_that_installs_it_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"--tracker {name}: .*; pip install 'swerl-eval\[{name}\]'"):
        load("tracker", name, TRACKERS).check(TrackerSettings(tmp_path))


def test_every_tracker_of_the_table_is_under_contract() -> None:
    assert set(READERS) == set(TRACKERS)
