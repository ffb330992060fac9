"""Shows in a notebook what a run is doing: a panel below the cell, renewed in place."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio

from swerl_eval.core.errors import UsageError
from swerl_eval.progress import Progress, asks_a_model

NOTEBOOK = "notebook"
"""What a caller gives as `progress` to see the panel."""
REFRESH_SECONDS = 0.5
BAR_WIDTH = 30


async def show_panel(progress: Progress, stages: Sequence[str], title: str) -> None:
    """Until cancelled, show the state of a run in the running cell. The last state stays there.

    It is sent as plain text, which a notebook shows as it is; names from a dataset become no markup.
    """
    display: Any = importlib.import_module("IPython.display").display
    shown = panel(progress.snapshot(stages), title)
    handle: Any = display({"text/plain": shown}, raw=True, display_id=True)
    try:
        while True:
            await anyio.sleep(REFRESH_SECONDS)
            text = panel(progress.snapshot(stages), title)
            if text != shown:
                handle.update({"text/plain": text}, raw=True)
                shown = text
    finally:
        handle.update({"text/plain": panel(progress.snapshot(stages), title)}, raw=True)


def check_progress(wanted: object) -> None:
    """Raise `UsageError` for a `progress` that is no function, nothing, or `notebook` in a notebook."""
    if wanted is None or callable(wanted):
        return
    if wanted != NOTEBOOK:
        message = f"progress={wanted!r} is neither a function, such as print, nor {NOTEBOOK!r}"
        raise UsageError(message)
    try:
        shell = importlib.import_module("IPython").get_ipython()
    except ImportError:
        shell = None
    if getattr(shell, "kernel", None) is None:
        message = f"progress={NOTEBOOK!r} needs a notebook's kernel; elsewhere give a function, such as print"
        raise UsageError(message)


def panel(state: dict[str, Any], title: str) -> str:
    """Return the panel's text.

    Args:
        state: As `Progress.snapshot` gives it.
        title: Its heading.
    """
    seconds, left = state["seconds"], state["remaining_seconds"]
    total = state["total"]
    width = max((len(stage["name"]) for stage in state["stages"]), default=0)
    lines = [f"{title}  {_time(seconds)}"]
    for stage in state["stages"]:
        filled = BAR_WIDTH * stage["done"] // max(total, 1)
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        lines.append(f"{stage['name']:{width}} {bar} {stage['done']}/{total}")
    verdicts = "  ".join(f"{verdict} {count}" for verdict, count in Counter(state["verdicts"]).most_common())
    flow = f"{state['containers']} containers in flight"
    if asks_a_model(stage["name"] for stage in state["stages"]):
        sampled = f"{state['samples']} samples, {state['tokens']:,} tokens ({state['tokens_per_second']:,.0f}/s)"
        flow = f"{sampled}, {state['requests']} requests and {flow}"
    lines += [verdicts] if verdicts else []
    lines += state["notices"]
    lines += [f"waiting for {wait}" for wait in state["waits"]]
    lines.append(flow if left is None else f"{flow}, about {_time(left)} left")
    return "\n".join(map(_printable, lines))


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _printable(line: str) -> str:
    """Return a line without control characters: a notebook follows some of them."""
    return "".join(character if character.isprintable() else " " for character in line)
