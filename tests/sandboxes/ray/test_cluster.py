"""Connecting to clusters that are not there; what is there is under contract."""

from __future__ import annotations

import socket
import time

import pytest

from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.ray.sandbox import RaySandbox

pytest.importorskip("ray")


def test_an_address_where_nobody_listens_is_an_error_at_once_with_the_remedy() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=rf"{address} .*refused.*ray start --address=HEAD:6379"):
        RaySandbox.open(SandboxSettings(address=address))
    assert time.monotonic() - began < 20
