"""What a node does without a cluster and without an engine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Job, Limits
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.ray.node import Board, LogFolder, News, Node


def test_a_board_has_the_present_state_and_a_number_that_grows_with_each_change() -> None:
    board = Board()
    assert board.news(0.5) == News(0, {}, frozenset(), 0.5)
    board.waiting("image", "pulling")
    board.waiting("image", "pulling")
    board.running("c1", now=True)
    board.running("c2", now=True)
    assert board.news(None) == News(3, {"image": "pulling"}, frozenset({"c1", "c2"}), None)
    board.waiting("image", "")
    board.waiting("another", "")
    board.running("c1", now=False)
    assert board.news(None) == News(5, {}, frozenset({"c2"}), None)


@pytest.mark.anyio
async def test_a_job_whose_cancellation_comes_before_it_does_not_run() -> None:
    node = Node(SandboxSettings())
    await node.cancel("7")
    with pytest.raises(SandboxError, match="one was cancelled"):
        await node.run("7", Job("one", "image", "true", (), Limits(), 1.0, "log"))


def test_logs_of_a_process_that_was_killed_are_removed_by_the_next_and_those_of_a_living_one_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import os; from swerl_eval.sandboxes.ray.node import LogFolder; f = LogFolder(); "
        "(f.path / '1').write_text('log'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, env={"TMPDIR": str(tmp_path)})
    (left,) = tmp_path.iterdir()
    assert (left / "1").read_text() == "log"
    first, second = LogFolder(), LogFolder()
    assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])
    first.remove()
    second.remove()
    assert list(tmp_path.iterdir()) == []
