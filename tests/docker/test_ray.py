"""Runs on a Ray cluster: nodes on this one machine, each with a Docker engine of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gold_run import IMAGES, RESOLVED, SOON, GoldRun, kill_what_was_started, rows_with_pauses
from own_engine import OwnEngine, kill, own_engine, runs, those_with, wait_until
from ray_nodes import RayNodes, ray_nodes

pytestmark = [
    pytest.mark.docker,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.usefixtures("demo_images"),
    pytest.mark.timeout(1500),
]
ENGINE_DISK = 1500 * 2**20


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, OwnEngine]]:
    """By the names of the nodes that have them."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("engines of the tests' own need root and dockerd on this machine")
    with own_engine(ENGINE_DISK) as one, own_engine(ENGINE_DISK) as another:
        for engine in (one, another):
            engine.load(list(IMAGES.values()))
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
    kill_what_was_started()
    left = {name: engine.containers() for name, engine in engines.items()}
    for engine in engines.values():
        engine.remove_containers()
    assert left == {"one": [], "another": []}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rows_with_pauses(tmp_path_factory.mktemp("rows"))


def on_cluster(nodes: RayNodes, engines: dict[str, OwnEngine], rows: Path, results: Path) -> GoldRun:
    options = ("--sandbox", "ray", "--ray-address", nodes.address)
    return GoldRun(rows, results, nodes.environment, engines.values(), *options)


@pytest.fixture
def on_both(nodes: RayNodes, engines: dict[str, OwnEngine], rows: Path, tmp_path: Path) -> GoldRun:
    """A run whose tests pause on both nodes."""
    run = on_cluster(nodes, engines, rows, tmp_path).start()
    for engine in engines.values():
        run.wait_for_tests(engine=engine)
    return run


@pytest.fixture(scope="module")
def alone(engines: dict[str, OwnEngine], rows: Path, tmp_path_factory: pytest.TempPathFactory) -> GoldRun:
    """The same run on one machine."""
    engine, results = engines["one"], tmp_path_factory.mktemp("alone")
    run = GoldRun(rows, results, engine.environment, [engine], "--workers", "3").start()
    code, errors = run.finish()
    assert (code, run.verdicts) == (0, RESOLVED), errors
    return run


def test_a_run_over_two_nodes_has_the_report_of_one_machine_byte_for_byte(on_both: GoldRun, alone: GoldRun) -> None:
    code, errors = on_both.finish()
    assert (code, on_both.report) == (0, alone.report), errors
    assert len(on_both.records("machines.jsonl")) == 1  # the two nodes are alike
    logs = [log.relative_to(alone.folder) for log in (alone.folder / "logs").glob("*/*")]
    assert logs
    assert all((on_both.folder / log).exists() for log in logs)


def test_jobs_of_a_node_that_is_killed_run_on_the_other_one_and_it_is_used_again_when_it_is_back(
    on_both: GoldRun, nodes: RayNodes, engines: dict[str, OwnEngine], alone: GoldRun
) -> None:
    nodes.kill("another")
    (left,) = engines["another"].containers()
    nodes.add("another", engines["another"])
    wait_until(lambda: left not in engines["another"].containers(), SOON, "what was left there is removed")
    on_both.wait_for_tests(engine=engines["another"])
    code, errors = on_both.finish()
    assert (code, on_both.report) == (0, alone.report), errors
    events = "\n".join(map(str, on_both.records("events.jsonl")))
    assert events.count("1 jobs that ran there are run elsewhere") == 1
    assert events.count("is used from now on") == 1


def test_the_last_node_left_finishes_the_run(on_both: GoldRun, nodes: RayNodes, engines: dict[str, OwnEngine]) -> None:
    nodes.kill("another")
    try:
        code, errors = on_both.finish(engines["one"])
        assert (code, on_both.verdicts) == (0, RESOLVED), errors
    finally:
        nodes.add("another", engines["another"])
        engines["another"].remove_containers()  # nobody could, while the node was away


def test_an_interrupted_run_leaves_no_container_on_any_node(on_both: GoldRun, engines: dict[str, OwnEngine]) -> None:
    on_both.process.send_signal(signal.SIGINT)
    code, errors = on_both.wait()
    assert code == 130, errors
    assert [engine.containers() for engine in engines.values()] == [[], []]


def test_what_a_killed_run_left_on_the_nodes_is_removed_by_the_same_command(
    on_both: GoldRun, nodes: RayNodes, engines: dict[str, OwnEngine]
) -> None:
    on_both.process.kill()
    on_both.process.wait()
    left = {name for engine in engines.values() for name in engine.containers()}
    assert len(left) == 2
    again = on_both.start()
    wait_until(
        lambda: not any(left & set(engine.containers()) for engine in engines.values()), SOON, "leftovers are removed"
    )
    code, errors = again.finish()
    assert (code, again.verdicts) == (0, RESOLVED), errors


def test_jobs_of_a_node_whose_engine_ends_run_on_the_other_one(on_both: GoldRun, engines: dict[str, OwnEngine]) -> None:
    engines["one"].end(signal.SIGKILL)
    try:
        code, errors = on_both.finish(engines["another"])
    finally:
        engines["one"].start()
    assert (code, on_both.verdicts) == (0, RESOLVED), errors
    engines["one"].remove_containers()  # its node was away until the end


def processes_of(run: GoldRun) -> set[int]:
    """Its own, and those of the cluster that it started: they inherit its cache folder from it."""
    return those_with("environ", f"SWERL_EVAL_CACHE={run.cache}")


def command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_cluster_of_the_command_s_own_ends_with_it(
    how: signal.Signals, engines: dict[str, OwnEngine], rows: Path, tmp_path: Path
) -> None:
    engine = engines["one"]
    temporary = Path(tempfile.mkdtemp())  # keeps what a killed process cannot remove
    environment = {**engine.environment, "TMPDIR": str(temporary)}
    run = GoldRun(rows, tmp_path, environment, [engine], "--sandbox", "ray").start()
    run.wait_for_tests()
    processes = processes_of(run)
    assert any("raylet" in command(process) for process in processes)
    os.killpg(run.process.pid, how)  # as a terminal does it
    run.process.communicate(timeout=SOON)
    assert run.process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    wait_until(lambda: not processes_of(run), SOON, "the cluster's processes end")
    left = [process for process in processes if runs(process)]
    if how == signal.SIGKILL:
        # agents overwrite their environment, and take a minute to notice that their parent is gone
        assert all(command(process).startswith("ray::") or not runs(process) for process in left)
        kill(left)
    else:
        assert left == []
    if how == signal.SIGINT:
        assert engine.containers() == []
        assert list(temporary.iterdir()) == []
    run.resume()
    assert engine.containers() == []
    assert processes_of(run) == set()
    shutil.rmtree(temporary)


def test_a_cluster_without_an_engine_is_refused_with_the_line_that_starts_a_node(rows: Path, tmp_path: Path) -> None:
    with ray_nodes() as empty:
        code, errors = on_cluster(empty, {}, rows, tmp_path).start().wait()
    assert code == 1
    assert "ray start --resources='{\"docker\": 1}' --address=" in " ".join(errors.split()), errors
