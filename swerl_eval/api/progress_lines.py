"""Tells a caller what a run is doing, in plain lines."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from swerl_eval.progress import Progress

LOOK_SECONDS = 1.0
"""Seconds between two looks for new notices."""
STATE_SECONDS = 30.0
"""Seconds between two lines on the state."""

Tell = Callable[[str], object]


async def tell_progress(progress: Progress, last_stage: str, tell: Tell) -> None:
    """Until cancelled, pass on each notice, and now and then a line on the state where it has changed."""
    told = 0
    last_state = ""
    last_time = anyio.current_time()
    while True:
        await anyio.sleep(LOOK_SECONDS)
        new = progress.notices[told:]
        told += len(new)
        for notice in new:
            tell(notice)
        state = state_line(progress, last_stage)
        if state != last_state and anyio.current_time() - last_time >= STATE_SECONDS:
            tell(state)
            last_state, last_time = state, anyio.current_time()


def state_line(progress: Progress, last_stage: str) -> str:
    """Return the state of a run in one line."""
    verdicts = [f"{count} {verdict}" for verdict, count in progress.verdicts.most_common()]
    waits = [f"waiting for {name}: {state}" for name, state in sorted(progress.waits.copy().items())[:1]]
    done = f"{last_stage} {progress.done[last_stage]}/{progress.total}"
    return "; ".join([done, *verdicts, f"{progress.samples} samples", f"{progress.containers} containers", *waits])
