"""A real server of the pages, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from swerl_eval.cli.view.command import listening, server_of


@contextmanager
def served(results: Path) -> Iterator[str]:
    """Serve the pages of a folder on a free port, and yield the server's address without a slash at its end."""
    listener = listening("127.0.0.1", 0)
    server: uvicorn.Server = server_of(results, "127.0.0.1", listener, seed=0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 120
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(120)
    listener.close()
    assert not thread.is_alive()
