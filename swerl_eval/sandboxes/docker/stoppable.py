"""Runs blocking work in a thread that ends when the task that waits for it is cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

Result = TypeVar("Result")
END_SECONDS = 30.0
"""How long a cancelled task waits for its thread; killing a container may take the engine ten seconds."""


async def stoppable(work: Callable[[threading.Event], Result], limiter: anyio.CapacityLimiter) -> Result:
    """Call `work` in a thread and return its result.

    Cancelling sets the event that `work` is given, and waits for its end for at most `END_SECONDS`.
    """
    stop, begun, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> Result:
        begun.set()
        try:
            return work(stop)
        finally:
            done.set()

    try:
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)
    except anyio.get_cancelled_exc_class():
        stop.set()
        if begun.is_set():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(done.wait, END_SECONDS)
        raise
