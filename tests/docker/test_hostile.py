"""Every patch of `hostile_patches` through both harnesses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_patches import LEFT_SECONDS, MARKER, PORT, REACHED
from hostile_patches.runs import OWNER, TIMEOUT, Both, flood, run_both
from hostile_patches.table import PATCHES, ROWS

from swerl_eval.core.errors import InputError
from swerl_eval.core.types import Verdict
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL
from swerl_eval.sources.user_files import read_predictions

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images"), pytest.mark.timeout(1500)]
LIKE_OURS = "same"


@dataclass(frozen=True)
class Engine:
    """What the Docker engine holds beside images."""

    containers: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]

    @classmethod
    def now(cls) -> Engine:
        client = connect()
        ours = {"label": f"{OWNER_LABEL}={OWNER}"}
        return cls(
            frozenset(item.id for item in client.containers.list(all=True, filters=ours)),
            frozenset(item.id for item in client.volumes.list()),
            frozenset(item.id for item in client.networks.list()),
        )


@dataclass(frozen=True)
class Runs:
    """What the patches came to."""

    both: Both
    before: Engine
    after: Engine
    connections: list[str]


@pytest.fixture(scope="module")
def runs(demo_images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All patches through both harnesses, once; meanwhile somebody listens on the host."""
    connections: list[str] = []
    with socket.create_server(("", PORT)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, peer = listener.accept()
                except OSError:
                    return
                connections.append(str(peer))
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        before = Engine.now()
        both = run_both(PATCHES, tmp_path_factory.mktemp("hostile"))
        yield Runs(both, before, Engine.now(), connections)


def test_the_table_is_what_it_should_be() -> None:
    names = [patch.name for patch in PATCHES]
    assert len(set(names)) == len(names)
    assert all(patch.why for patch in PATCHES if patch.official != LIKE_OURS), "every difference has its reason"
    fooled = [patch for patch in PATCHES if patch.kind == "forged" and patch.verdict is Verdict.RESOLVED]
    assert all(patch.strict is Verdict.UNRESOLVED for patch in fooled)
    assert all(patch.verdict is Verdict.RESOLVED for patch in PATCHES if patch.kind == "honest")
    assert sum(patch.kind != "honest" for patch in PATCHES) >= 25


@pytest.mark.parametrize("number", range(len(PATCHES)), ids=map(str, PATCHES))
def test_a_patch_gets_the_official_verdict_the_strict_one_and_its_flag(runs: Runs, number: int) -> None:
    patch, ours, official = PATCHES[number], runs.both.ours[number], runs.both.official[number]
    assert (ours.verdict, ours.strict) == (patch.verdict, patch.strict or patch.verdict), ours
    if patch.flag:
        assert any(patch.flag in reason for reason in ours.suspicious), ours.suspicious
    else:
        assert ours.suspicious == ()
    if patch.official == LIKE_OURS:
        assert official is not None
        assert official.verdict is ours.verdict
        assert official.tests_status == (ours.report or {}).get("tests_status")
    else:
        assert (official.verdict if official else None) is patch.official


def test_nothing_is_left_in_docker(runs: Runs) -> None:
    assert runs.after.containers == frozenset()
    assert runs.after.volumes <= runs.before.volumes
    assert runs.after.networks <= runs.before.networks


def test_nothing_is_left_on_the_host_and_nothing_on_it_was_reached(runs: Runs) -> None:
    assert not Path(MARKER).exists()
    logs = [file for file in runs.both.logs.rglob("*") if file.is_file()]
    assert len(logs) > len(PATCHES)
    assert [file for file in logs if file.is_symlink()] == []
    texts = {file: file.read_text() for file in logs if file.suffix in {".txt", ".log"}}
    assert [line for text in texts.values() for line in text.split("\n") if line.startswith(REACHED)] == []
    commands = [file.read_bytes().split(b"\0") for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()]
    assert [command for command in commands if LEFT_SECONDS.encode() in command] == []


def test_limits_are_told_by_their_reasons(runs: Runs) -> None:
    reasons = {patch.name: runs.both.ours[number].reason for number, patch in enumerate(PATCHES)}
    assert reasons["memory bomb"] == "a process was killed for memory"
    assert reasons["disk filler"] == "killed since it wrote more to disk than it may"
    assert reasons["endless loop"] == f"stopped after {TIMEOUT} seconds"


def test_the_client_stays_small_whatever_is_printed(demo_images: None, tmp_path: Path) -> None:
    outcome = flood(500, tmp_path)
    assert (outcome["verdict"], outcome["strict"], outcome["truncated"]) == ("resolved", "resolved", True)
    assert outcome["peak"] < 150e6
    assert sum(file.stat().st_size for file in (tmp_path / "logs").iterdir()) < 50e6


@pytest.mark.parametrize(("end", "complaint"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_line_of_predictions_without_a_patch_is_refused_by_name_or_nothing_to_run(
    tmp_path: Path, end: bytes, complaint: str
) -> None:
    file = tmp_path / "preds.jsonl"
    file.write_bytes(b'{"instance_id": "a__b-1", "model_name_or_path": "m", ' + end + b"}\n")
    if complaint:
        with pytest.raises(InputError, match=complaint):
            read_predictions(file, {"a__b-1"})
    else:
        read = read_predictions(file, {"a__b-1"})
        assert read.patches["a__b-1"] == "" or "a__b-1" in read.unusable
