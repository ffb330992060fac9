"""docs/notebooks/demo.ipynb, executed by a kernel."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import pytest

from tests.docs.pages import ROOT

NOTEBOOK = ROOT / "docs/notebooks/demo.ipynb"


def test_the_notebook_runs_in_a_kernel(mirrors: object, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (dev extra)")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (dev extra)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    notebook: Any = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('SANDBOX = "docker"', 'SANDBOX = "scripted"').replace(
            '"sandbox": SANDBOX,', f'"sandbox": SANDBOX, "repositories": {str(mirrors)!r},'
        )
    handler = signal.getsignal(signal.SIGINT)
    try:
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    finally:
        signal.signal(signal.SIGINT, handler)  # nbclient leaves its own
    outputs = [
        [output for output in cell.get("outputs", ()) if output.output_type == "execute_result"]
        for cell in notebook.cells
    ]
    results = [found[0].data["text/plain"] for found in outputs if found]
    assert results[0] == "True"
    assert "'total': 9" in results[1]


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
