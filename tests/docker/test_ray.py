"""Runs on a Ray cluster: nodes on this one machine, each with a Docker engine of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_engine import OwnEngine, own_engine, rows_with_pauses, wait_until
from ray_nodes import RayNodes, ray_nodes

from swerl_eval.demo.setup import SUITE

pytestmark = [pytest.mark.docker, pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("demo_images")]
PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
NAMES = ("demo__waypost-1", "demo__waypost-2", "demo__waypost-3")
IMAGES = [f"swebench/sweb.eval.x86_64.{name.replace('__', '_1776_')}:latest" for name in NAMES]
ENGINE_DISK = 1500 * 2**20
RESOLVED = dict.fromkeys(NAMES, "resolved")
SOON = 240.0
"""Seconds within which things happen, also on a machine that is busy with something else."""


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, OwnEngine]]:
    """By the names of the nodes that have them."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("engines of the tests' own need root and dockerd on this machine")
    with own_engine(ENGINE_DISK) as one, own_engine(ENGINE_DISK) as another:
        for engine in (one, another):
            engine.load(IMAGES)
        yield {"one": one, "another": another}


@pytest.fixture(scope="module")
def cluster(engines: dict[str, OwnEngine]) -> Iterator[RayNodes]:
    with ray_nodes() as nodes:
        for name, engine in engines.items():
            nodes.add(name, engine)
        yield nodes


@pytest.fixture
def nodes(cluster: RayNodes, engines: dict[str, OwnEngine]) -> Iterator[RayNodes]:
    """The cluster with both nodes at the beginning, and without a container at the end."""
    yield cluster
    while STARTED:
        STARTED.pop().kill()
    left = {name: engine.containers() for name, engine in engines.items()}
    for engine in engines.values():
        engine.remove_containers()
    assert left == {"one": [], "another": []}


STARTED: list[subprocess.Popen[str]] = []


class Client:
    """`swerl-eval evaluate` with the gold patches, as a process."""

    def __init__(self, rows: Path, results: str, environment: dict[str, str], *options: str) -> None:
        self.rows = rows
        self.folder = folder = rows.parent / results
        self._command = [PROGRAM, "evaluate", "--predictions", "gold", "--dataset", str(rows)]
        self._command += ["--results", str(folder), "--run-id", "run", "--network", "none", "-c", "strict=off"]
        self._command += ["--timeout", "600", "--no-cache", *options]
        self.cache = Path(os.environ["SWERL_EVAL_CACHE"]) / uuid.uuid4().hex
        self._environment = {**environment, "SWERL_EVAL_CACHE": str(self.cache)}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Client:
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            start_new_session=True,
        )
        STARTED.append(self.process)
        return self

    def wait(self, seconds: float = 2 * SOON) -> tuple[int, str]:
        """Exit code and output."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=seconds)
        assert "Traceback" not in output, output
        return self.process.returncode, output

    def run(self) -> tuple[int, str]:
        return self.start().wait()

    @property
    def report(self) -> bytes:
        return (self.folder / "run" / "report.json").read_bytes()

    @property
    def verdicts(self) -> dict[str, str]:
        return {row["instance_id"]: row["verdict"] for row in json.loads(self.report)["instances"]}

    def records(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "run" / name).read_text().splitlines()]


def paused_rows(folder: Path, pause: float) -> Path:
    """A dataset whose tests begin with a pause."""
    rows = folder / "rows.jsonl"
    rows_with_pauses(SUITE, rows, dict.fromkeys(NAMES, pause))
    return rows


def on_cluster(nodes: RayNodes, rows: Path, results: str = "cluster") -> Client:
    return Client(rows, results, nodes.environment, "--sandbox", "ray", "--ray-address", nodes.address)


def wait_for_tests_on(engine: OwnEngine, client: Client) -> None:
    """Until a container of this engine runs tests."""

    def runs() -> bool:
        assert client.process is not None
        assert client.process.poll() is None, client.process.communicate()
        return engine.runs("swerl-eval", "sleep")

    wait_until(runs, SOON, "the tests run")


@pytest.fixture(scope="module")
def alone(engines: dict[str, OwnEngine], tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A run on one machine, whose tests take long enough for a node to come back."""
    rows = paused_rows(tmp_path_factory.mktemp("alone"), 40.0)
    client = Client(rows, "alone", engines["one"].environment, "--workers", "3")
    code, output = client.run()
    assert (code, client.verdicts) == (0, RESOLVED), output
    return client


def test_a_run_over_two_nodes_has_the_report_of_one_machine_byte_for_byte(
    nodes: RayNodes, engines: dict[str, OwnEngine], alone: Client
) -> None:
    client = on_cluster(nodes, alone.rows).start()
    for engine in engines.values():
        wait_for_tests_on(engine, client)
    code, output = client.wait()
    assert (code, client.report) == (0, alone.report), output
    assert len(client.records("machines.jsonl")) == 1  # the two nodes are alike
    logs = [log.relative_to(alone.folder) for log in (alone.folder / "run" / "logs").glob("*/*")]
    assert logs
    assert all((client.folder / log).exists() for log in logs)


def test_jobs_of_a_node_that_is_killed_run_on_the_other_one_and_it_is_used_again_when_it_is_back(
    nodes: RayNodes, engines: dict[str, OwnEngine], alone: Client
) -> None:
    client = on_cluster(nodes, alone.rows, "killed").start()
    for engine in engines.values():
        wait_for_tests_on(engine, client)
    nodes.kill("another")
    (left,) = engines["another"].containers()
    nodes.add("another", engines["another"])
    wait_until(lambda: left not in engines["another"].containers(), SOON, "what was left there is removed")
    wait_for_tests_on(engines["another"], client)
    code, output = client.wait()
    assert (code, client.report) == (0, alone.report), output
    events = "\n".join(map(str, client.records("events.jsonl")))
    assert events.count("1 jobs that ran there are run elsewhere") == 1
    assert events.count("is used from now on") == 1


def test_the_last_node_left_finishes_the_run(nodes: RayNodes, engines: dict[str, OwnEngine], tmp_path: Path) -> None:
    client = on_cluster(nodes, paused_rows(tmp_path, 5.0)).start()
    wait_for_tests_on(engines["another"], client)
    nodes.kill("another")
    try:
        code, output = client.wait()
        assert (code, client.verdicts) == (0, RESOLVED), output
    finally:
        nodes.add("another", engines["another"])
        engines["another"].remove_containers()  # nobody could, while the node was away


def test_an_interrupted_run_leaves_no_container_on_any_node(
    nodes: RayNodes, engines: dict[str, OwnEngine], tmp_path: Path
) -> None:
    client = on_cluster(nodes, paused_rows(tmp_path, 60.0)).start()
    for engine in engines.values():
        wait_for_tests_on(engine, client)
    assert client.process is not None
    client.process.send_signal(signal.SIGINT)
    code, output = client.wait(SOON)
    assert code == 130, output
    assert [engine.containers() for engine in engines.values()] == [[], []]


def test_what_a_killed_run_left_on_the_nodes_is_removed_by_the_same_command(
    nodes: RayNodes, engines: dict[str, OwnEngine], tmp_path: Path
) -> None:
    rows = paused_rows(tmp_path, 10.0)
    client = on_cluster(nodes, rows).start()
    for engine in engines.values():
        wait_for_tests_on(engine, client)
    assert client.process is not None
    client.process.kill()
    client.process.wait()
    left = {name for engine in engines.values() for name in engine.containers()}
    assert len(left) == 2
    again = on_cluster(nodes, rows).start()
    wait_until(
        lambda: not any(left & set(engine.containers()) for engine in engines.values()), SOON, "leftovers are removed"
    )
    code, output = again.wait()
    assert (code, again.verdicts) == (0, RESOLVED), output


def test_jobs_of_a_node_whose_engine_ends_run_on_the_other_one(
    nodes: RayNodes, engines: dict[str, OwnEngine], tmp_path: Path
) -> None:
    client = on_cluster(nodes, paused_rows(tmp_path, 8.0)).start()
    wait_for_tests_on(engines["one"], client)
    engines["one"].end(signal.SIGKILL)
    try:
        code, output = client.wait()
    finally:
        engines["one"].start()
    assert (code, client.verdicts) == (0, RESOLVED), output
    engines["one"].remove_containers()  # its node was away until the end


def ray_processes(client: Client) -> list[str]:
    """Of the cluster that a client started: they inherit its cache folder from it."""
    mark = f"SWERL_EVAL_CACHE={client.cache}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_cluster_of_the_command_s_own_ends_with_it(
    how: signal.Signals, engines: dict[str, OwnEngine], tmp_path: Path
) -> None:
    engine, rows = engines["one"], paused_rows(tmp_path, 15.0)
    temporary = Path(tempfile.mkdtemp())  # keeps what a killed process cannot remove
    environment = {**engine.environment, "TMPDIR": str(temporary)}
    client = Client(rows, "own", environment, "--sandbox", "ray").start()
    wait_for_tests_on(engine, client)
    assert client.process is not None
    assert any("raylet" in process for process in ray_processes(client))
    os.killpg(client.process.pid, how)  # as a terminal does it
    client.process.communicate(timeout=SOON)
    assert client.process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    wait_until(lambda: not ray_processes(client), SOON, "the cluster's processes end")
    if how == signal.SIGINT:
        assert engine.containers() == []
        assert list(temporary.iterdir()) == []
    again = Client(rows, "own", environment, "--sandbox", "ray")
    code, output = again.run()
    assert (code, again.verdicts) == (0, RESOLVED), output
    assert engine.containers() == []
    assert ray_processes(again) == []
    shutil.rmtree(temporary)


def test_a_cluster_without_an_engine_is_refused_with_the_line_that_starts_a_node(tmp_path: Path) -> None:
    with ray_nodes() as empty:
        code, output = on_cluster(empty, paused_rows(tmp_path, 0.0)).run()
    assert code == 1
    assert "ray start --resources='{\"docker\": 1}' --address=" in " ".join(output.split()), output
