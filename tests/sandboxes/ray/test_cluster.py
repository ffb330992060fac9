"""Connecting to clusters that are not there, and closing; what is there is under contract."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.ray.cluster import ClosedError, Cluster
from swerl_eval.sandboxes.ray.sandbox import RaySandbox

ray = pytest.importorskip("ray")


def test_an_address_where_nobody_listens_is_an_error_at_once_with_the_remedy() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=rf"{address} .*refused.*ray start --address=HEAD:6379"):
        RaySandbox.open(SandboxSettings(address=address))
    assert time.monotonic() - began < 60


@pytest.mark.ray
def test_a_closed_cluster_is_used_no_more_by_whoever_waits_for_a_node_in_another_thread() -> None:
    # Ray ends the process where it is used during its shutdown, and starts a cluster where it is used afterwards
    cluster = Cluster("")
    (place,) = cluster.places()
    call = cluster.start(place, SandboxSettings()).news.remote(0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(cluster.wait, [call], 300.0)
        time.sleep(1)
        cluster.close()
        with pytest.raises(ClosedError):
            waiting.result(120)
    for use in (cluster.places, lambda: cluster.start(place, SandboxSettings()), lambda: cluster.wait([call], 1.0)):
        with pytest.raises(ClosedError):
            use()
    cluster.kill(None)
    assert not ray.is_initialized()
