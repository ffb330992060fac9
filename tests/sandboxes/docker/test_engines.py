"""Engines that are not Docker's newest: Podman in its place, contexts, removals that somebody else has begun."""

from __future__ import annotations

import json
import os
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from swerl_eval.cli.doctor import NOTE, PODMAN, _disk, _docker
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.sandboxes.docker import image_check
from swerl_eval.sandboxes.docker.disk_budget import image_disk_usage
from swerl_eval.sandboxes.docker.engine import connect, is_podman, machine_of
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.removal import Removals
from tests.fake_engine import PODMAN as PODMANS_ANSWERS
from tests.fake_engine import FakeEngine, Reply, fake_engine

INFO = {
    "Name": "machine", "DockerRootDir": "/root/of/engine", "ServerVersion": "4.3.1", "NCPU": 2, "MemTotal": 2**32,
    "KernelVersion": "6.1", "Architecture": "amd64", "Images": 2,
}  # fmt: skip


def podman(engine_id: str) -> dict[str, Reply]:
    return {**PODMANS_ANSWERS, "GET /info": (200, {**INFO, "ID": engine_id})}


@pytest.fixture(autouse=True)
def no_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)


def at(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)


def test_podman_has_one_ledger_though_its_id_changes_with_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine_id in ("first", "second"):
        with fake_engine(podman(engine_id)) as engine:
            at(engine, monkeypatch)
            images = Images(connect(), tmp_path)
            assert set(images.pulled()) == (set() if engine_id == "first" else {"a:1"})
            images._ledger.record("a:1", "sha256:0", 1)
    assert len(list((tmp_path / "images").glob("*.json"))) == 1


def test_engines_of_docker_have_a_ledger_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine_id in ("first", "second"):
        with fake_engine({"GET /info": (200, {**INFO, "ID": engine_id})}) as engine:
            at(engine, monkeypatch)
            Images(connect(), tmp_path)._ledger.record("a:1", "sha256:0", 1)
    assert len(list((tmp_path / "images").glob("*.json"))) == 2


def test_podman_is_called_by_its_name_and_doctor_says_what_does_not_work_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_engine(podman("x")) as engine:
        at(engine, monkeypatch)
        assert is_podman(connect())
        assert machine_of(connect()).engine == "Podman 4.3.1"
        check = _docker(RunConfig())
    assert (check.state, check.remedy) == (NOTE, PODMAN)
    assert check.detail == "Podman 4.3.1, 2 cores, 4 GiB, 2 images"


def test_podman_s_images_count_whole_for_a_budget_since_it_tells_nothing_of_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_engine(podman("x")) as engine:
        at(engine, monkeypatch)
        usage = image_disk_usage(connect())
    assert usage.layers == 14
    assert usage.own == {f"sha256:{'a' * 64}": 7, f"sha256:{'b' * 64}": 7}


def test_where_registries_cannot_be_asked_nothing_is_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENOUGH_SECONDS", "MOST_SECONDS"):
        monkeypatch.setattr(image_check, name, 600.0)
    with fake_engine(podman("x")) as engine:
        at(engine, monkeypatch)
        started = time.monotonic()
        assert Images(connect(), tmp_path).check(["a:1", "b:1"], threading.Event()) == {}
    assert time.monotonic() - started < 60


@pytest.mark.docker
def test_doctor_looks_at_the_disk_of_the_engine_s_own_folder() -> None:
    root = connect().info()["DockerRootDir"]
    assert _disk(RunConfig()).detail.endswith(f" free on the disk of {root}")


# -- contexts of the docker command


def write_context(folder: Path, name: str, host: str) -> None:
    meta = folder / "contexts" / "meta" / sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    content = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(content))
    (folder / "config.json").write_text("{}")  # without one, contexts are looked for elsewhere


def test_the_engine_of_the_docker_command_s_context_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with fake_engine({}) as engine:
        write_context(tmp_path, "elsewhere", engine.host)
        (tmp_path / "config.json").write_text('{"currentContext": "elsewhere"}')
        assert connect().api.base_url == f"http://127.0.0.1:{engine.port}"
        assert "HEAD /_ping" in engine.requests or "GET /_ping" in engine.requests


def test_a_context_whose_engine_is_away_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "away")
    write_context(tmp_path, "away", "tcp://127.0.0.1:9")
    with pytest.raises(EngineUnavailableError, match=r"Connection refused.*`docker context use`"):
        connect()


@pytest.mark.parametrize("content", ["{torn", '{"Name": "torn"}', "[]", '{"Name": "torn", "Endpoints": []}'])
def test_a_context_that_cannot_be_read_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "torn")
    write_context(tmp_path, "torn", "")
    next(tmp_path.rglob("meta.json")).write_text(content)
    with pytest.raises(EngineUnavailableError, match="docker context use"):
        connect()


# -- removals


def removing(answers: list[tuple[int, object]], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
    """Whether a container is taken for gone, and how often its removal was asked for."""
    with fake_engine({"DELETE /containers/c": answers}) as engine:
        at(engine, monkeypatch)
        done = Removals(connect()).remove("c")
        return done, engine.requests.count("DELETE /containers/c")


def test_a_removal_that_somebody_else_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way = (409, {"message": "removal of container c is already in progress"})
    gone = (404, {"message": "No such container: c"})
    assert removing([under_way, under_way, gone], monkeypatch) == (True, 3)
    assert removing([gone], monkeypatch) == (True, 1)
    assert removing([(204, "")], monkeypatch) == (True, 1)


def test_a_removal_that_never_ends_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swerl_eval.sandboxes.docker.removal.REMOVAL_SECONDS", 1.0)
    started = time.monotonic()
    done, _ = removing([(409, {"message": "in progress"})], monkeypatch)
    assert (done, time.monotonic() - started < 60) == (False, True)
    assert removing([(500, {"message": "driver failed"})], monkeypatch) == (False, 1)
    assert "DOCKER_HOST" in os.environ
