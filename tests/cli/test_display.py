"""What is waited for is shown, in plain lines and in the panel."""

from __future__ import annotations

import io
from typing import Any

import anyio
import pytest
import trio.testing
from rich.console import Console

from swerl_eval.cli.display import WAITS_SHOWN, Display, waits_of
from swerl_eval.core.errors import EngineUnavailableError
from swerl_eval.core.types import Job, Limits
from swerl_eval.progress import Progress
from swerl_eval.sandboxes.retrying import RetryingSandbox
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox


def test_a_wait_is_shown_with_its_reason_until_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(total=2)
    progress.waiting("a/x:1", "pulling, 12.0 of 120.0 MB")
    progress.waiting("django/django", "cloning")
    with Display(progress, ("evaluate",), "my-run"):
        pass
    shown = capsys.readouterr().err
    assert "evaluated 0/2" in shown
    assert "; waiting for a/x:1: pulling, 12.0 of 120.0 MB; waiting for django/django: cloning\n" in shown
    progress.waiting("a/x:1", "rate limited until 12:00:00")
    assert waits_of(progress) == ["a/x:1: rate limited until 12:00:00", "django/django: cloning"]
    progress.waiting("a/x:1", "")
    progress.waiting("django/django", "")
    progress.waiting("never began", "")
    assert waits_of(progress) == []


@pytest.mark.parametrize(
    ("stages", "flow"),
    [
        (("evaluate",), "; 1 containers in flight\n"),
        (("localize", "evaluate"), "; 3 samples, 0 tokens (0/s), 2 requests and 1 containers in flight\n"),
    ],
)
def test_figures_of_sampling_are_shown_where_a_stage_samples(
    stages: tuple[str, ...], flow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(total=2, samples=3, requests=2)
    progress.running("a", now=True)
    with Display(progress, stages, "my-run"):
        pass
    assert capsys.readouterr().err.endswith(flow)


def test_many_waits_are_counted_and_their_words_stay_in_one_line() -> None:
    progress = Progress()
    for number in range(WAITS_SHOWN + 3):
        progress.waiting(f"image-{number}", "tried again:\n\x1b[31mred")
    shown = waits_of(progress)
    assert len(shown) == WAITS_SHOWN + 1
    assert shown[-1] == "3 more"
    assert all("\n" not in line for line in shown)


def test_the_panel_shows_waits(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(total=1)
    progress.waiting("a/x:1", "pulling, 1.0 of 2.0 MB")
    console = Console(file=io.StringIO(), width=100)
    console.print(Display(progress, ("evaluate",), "my-run")._panel())
    assert "waiting for a/x:1: pulling, 1.0 of 2.0 MB" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """A loop whose clock jumps to whatever is next."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.mark.anyio
async def test_a_container_counts_while_it_runs_and_an_engine_that_is_away_is_told(tmp_path) -> None:
    progress = Progress()
    away = True
    seen: list[tuple[int, dict[str, str]]] = []

    def reply(_: Job) -> Reply:
        if away:
            message = "away"
            raise EngineUnavailableError(message)
        return Reply(b"", seconds=0.3)

    sandbox = RetryingSandbox(ScriptedSandbox(reply, progress), 60.0, 0.2, progress)
    async with anyio.create_task_group() as group:
        job = Job("test", "image", "true", (), Limits(), 60.0, str(tmp_path / "log"))
        group.start_soon(sandbox.run, job)
        for _ in range(2):
            await anyio.sleep(0.1)
            seen.append((progress.containers, dict(progress.waits)))
            away = False
            await anyio.sleep(0.2)
    waits = {"the Docker engine": "it does not answer; tried again for 60 s"}
    assert seen[0] == (0, waits)
    assert seen[1] == (1, waits)  # until the answer is there, it is not known to be back
    assert (progress.containers, progress.waits) == (0, {})
