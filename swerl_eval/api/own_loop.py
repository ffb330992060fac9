"""Runs asynchronous work for synchronous callers: scripts, notebooks whose loop runs already, and threads."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import anyio

from swerl_eval.core.errors import InterruptedRunError

Result = TypeVar("Result")
CHECK_SECONDS = 0.5
"""An interrupt that comes just before a wait does not end it; so waits are short."""


def wait_for(work: Callable[[], Awaitable[Result]]) -> Result:
    """Await `work()` on an event loop in a thread of its own, and return its result.

    No signal handler is set. An interrupt of the calling thread (Ctrl-C, "interrupt kernel") cancels the work, waits
    until it has closed everything, and then goes on to the caller. A second one does not wait.

    Raises:
        KeyboardInterrupt: The calling thread was interrupted.
        Exception: What the work raised.
    """
    cancel: Future[Callable[[], object]] = Future()
    outcome: Future[Result] = Future()

    async def main() -> Result:
        with anyio.CancelScope() as scope:
            loop = asyncio.get_running_loop()
            cancel.set_result(lambda: loop.call_soon_threadsafe(scope.cancel))
            return await work()
        message = "interrupted; the same call finishes the run"
        raise InterruptedRunError(message)

    def run_loop() -> None:
        try:
            outcome.set_result(anyio.run(main))
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            outcome.set_exception(error)

    # with the caller's context, by which a notebook knows the cell that a line belongs to
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(run_loop,), name="swerl-eval loop", daemon=True
    )
    thread.start()
    try:
        while not outcome.done():
            wait([outcome], CHECK_SECONDS)
        return outcome.result()
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            cancel.result()()
        thread.join()
        raise
