"""A run in a kernel: docs/notebooks/demo.ipynb, the panel below a cell, and "interrupt kernel"."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

import swerl_eval
from swerl_eval.api.notebook import panel
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.progress import Progress
from tests.docs.pages import ROOT

NOTEBOOK = ROOT / "docs/notebooks/demo.ipynb"
BEGIN = """
import threading, time
import swerl_eval
from tests.api.sandboxes import StuckSandbox
def say_when_a_job_runs():
    while "begin" not in StuckSandbox.events:
        time.sleep(0.02)
    print("a job runs")
threading.Thread(target=say_when_a_job_runs, daemon=True).start()
swerl_eval.run(settings, progress="notebook")
"""
END = """
events, StuckSandbox.stuck = list(StuckSandbox.events), False
run = swerl_eval.run(settings)
print([events[-1], events.count("begin") == events.count("end"), run.complete])
"""


@pytest.fixture(autouse=True)
def _path_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))


@pytest.fixture
def kernel() -> Iterator[tuple[Any, Any]]:
    """A kernel and a client of it."""
    manager: Any = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=ROOT)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=240)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def messages(client: Any, cell: str, seconds: float = 300) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and content of what a cell sends, until it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") == cell:
            yield message["msg_type"], message["content"]
            if message["content"].get("execution_state") == "idle":
                return
    pytest.fail("the cell did not end")


def test_the_notebook_runs_in_a_kernel(mirrors: object) -> None:
    notebook: Any = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('SANDBOX = "docker"', 'SANDBOX = "scripted"').replace(
            '"sandbox": SANDBOX,', f'"sandbox": SANDBOX, "repositories": {str(mirrors)!r},'
        )
    handler = signal.getsignal(signal.SIGINT)
    try:
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    finally:
        signal.signal(signal.SIGINT, handler)  # nbclient leaves its own
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    results = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    assert results[0] == "True"
    assert "'total': 9" in results[1]
    (shown,) = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    lines = shown.splitlines()
    assert lines[0].startswith("demo  0:00:")
    bars = [line for line in lines if line.endswith(f" {'█' * 30} 9/9")]
    assert [bar.split()[0] for bar in bars] == ["localize", "repair", "select", "evaluate"]
    assert "unresolved 8  empty_patch 1" in lines
    assert [output for output in outputs if output.output_type == "stream"] == []


def test_an_interrupt_of_the_kernel_ends_a_run_in_good_order(kernel: tuple[Any, Any], demo_config: RunConfig) -> None:
    manager, client = kernel
    settings = demo_config.model_dump() | {"sandbox": "tests.api.sandboxes:StuckSandbox"}
    seen = []
    for kind, content in messages(client, client.execute(f"settings = {settings!r}\n{BEGIN}")):
        seen.append((kind, content))
        if content.get("text", "").startswith("a job runs"):
            manager.interrupt_kernel()
    assert [content["ename"] for kind, content in seen if kind == "error"] == ["KeyboardInterrupt"]
    shown = {content["transient"]["display_id"] for kind, content in seen if "display_data" in kind}
    assert len(shown) == 1  # one panel, renewed in place
    told = [content["text"] for kind, content in messages(client, client.execute(END)) if kind == "stream"]
    assert "".join(told) == "['close', True, True]\n"


def test_the_panel_has_no_control_characters_of_names_in_it() -> None:
    progress = Progress(total=2)
    progress.finish("localize", resumed=False)
    progress.verdicts["empty_patch"] += 1
    progress.verdicts["resolved"] += 2
    progress.waiting("image\x1b[31m", "pulling")
    progress.notify("a server\r\nstarts")
    state = progress.snapshot(("localize", "evaluate")) | {"seconds": 3723.0, "tokens_per_second": 0.0}
    assert panel(state | {"remaining_seconds": 60.0}, "trial").splitlines() == [
        "trial  1:02:03",
        f"localize {'█' * 15}{'░' * 15} 1/2",
        f"evaluate {'░' * 30} 0/2",
        "resolved 2  empty_patch 1",
        "a server  starts",
        "waiting for image [31m: pulling",
        "0 samples, 0 tokens (0/s), 0 requests and 0 containers in flight, about 0:01:00 left",
    ]


def test_outside_of_a_notebook_the_panel_is_refused_before_anything_is_made(demo_config: RunConfig) -> None:
    with pytest.raises(UsageError, match="needs a notebook's kernel; elsewhere give a function, such as print"):
        swerl_eval.run(demo_config, progress="notebook")
    with pytest.raises(UsageError, match="progress='print' is neither a function, such as print, nor 'notebook'"):
        swerl_eval.run(demo_config, progress="print")  # type: ignore[arg-type]  # meant
    assert not demo_config.run_folder.exists()


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
