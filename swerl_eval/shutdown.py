"""How a command ends on SIGINT and SIGTERM: in good order on the first signal, at once on the second.

In good order: the work is cancelled, every part is closed, everything is stored. At once: the actions registered with
`at_once` are called in parallel for at most `AT_ONCE_SECONDS`, then the process exits, whatever its threads do. Either
way, what was stored before stays, and the same command goes on from there.

asyncio and anyio are imported where they are used, because every command loads this module.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, Protocol, TypeVar

from swerl_eval.core.errors import InterruptedRunError, cause_of

INTERRUPTED = 130
"""Exit code, as a shell gives it for SIGINT."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE_SECONDS = 2.0
"""Time for the `at_once` actions, all together."""
SAME_REQUEST_SECONDS = 0.5
"""A second signal within this time counts as the first: launchers forward a Ctrl-C that the terminal sent us too."""
EXIT_SECONDS = 10.0
"""Time for the interpreter to end; it waits for all threads, also for abandoned ones."""
CLOSE_SECONDS = 180.0
"""Time for one closing step. The limits within each part add up to less."""
IN_GOOD_ORDER = "stopping in good order; a second Ctrl-C stops at once"
FORCED = "stopped at once; what is stored stays, and the same command finishes the run"

Result = TypeVar("Result")
Notify = Callable[[str], None]


class Loop(Protocol):
    """The methods of asyncio's event loop that are used here."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], /) -> None:
        """Call a callback on the loop at each signal."""
        ...

    def remove_signal_handler(self, sig: int, /) -> bool:
        """Stop calling it."""
        ...


_AT_ONCE: list[Callable[[], None]] = []


@contextmanager
def at_once(action: Callable[[], None]) -> Iterator[None]:
    """Within the block, call `action` in a thread if the process is ended at once."""
    _AT_ONCE.append(action)
    try:
        yield
    finally:
        _AT_ONCE.remove(action)


@contextmanager
def signals(loop: Loop, cancel: Callable[[], Any], notify: Notify | None) -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM call `cancel` on the loop, and a second one ends the process at once.

    To be used in the main thread.

    Args:
        loop: The running event loop.
        cancel: Cancels the work.
        notify: Receives a line at each signal. None: it is written to standard error.
    """
    notify = notify or _write_to_standard_error
    first_signal = 0.0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first_signal
        del number, frame
        now = time.monotonic()
        if not first_signal:
            first_signal = now
            notify(IN_GOOD_ORDER)
        elif now - first_signal > SAME_REQUEST_SECONDS:
            notify(FORCED)
            _end_at_once()

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, cancel)
        # replaces asyncio's handler, which only wakes the loop: this one runs even while the loop is blocked
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


async def interruptible(
    work: Callable[..., Awaitable[Result]], *arguments: Any, notify: Notify | None = None
) -> Result:
    """Await `work(*arguments)` and return its result; SIGINT and SIGTERM cancel it.

    A second signal ends the process at once.

    Args:
        work: The coroutine function.
        arguments: Its arguments.
        notify: Receives a line at each signal. None: it is written to standard error.

    Raises:
        InterruptedRunError: A signal cancelled the work, which has ended.
        Exception: What the work raised, without the exception groups around it.
    """
    import asyncio

    import anyio

    failure: Exception | None = None
    with anyio.CancelScope() as scope, signals(asyncio.get_running_loop(), scope.cancel, notify):
        try:
            return await work(*arguments)
        except Exception as error:  # noqa: BLE001 - raised below, without the groups around it
            failure = error
    if failure is not None:
        raise cause_of(failure)
    message = "interrupted; the same command finishes the run"
    raise InterruptedRunError(message)


def closing_step(step: Callable[[], Awaitable[None]], notify: Notify) -> Callable[..., Awaitable[None]]:
    """A callback for `AsyncExitStack.push_async_exit` that always runs `step`, also after a cancellation or an error.

    The step has `CLOSE_SECONDS`. Its error is raised if no error came before it, else only sent to `notify`.
    """
    import anyio

    async def run_step(kind: object, earlier_error: BaseException | None, trace: object) -> None:
        del kind, trace
        try:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True) as time_limit:
                await step()
        except Exception as error:
            if earlier_error is None:
                raise
            notify(f"while closing: {error}")
        if time_limit.cancelled_caught:
            notify(f"while closing: a step took more than {CLOSE_SECONDS:.0f} s and was given up")

    return run_step


def exit_soon(code: int, within: float = EXIT_SECONDS) -> None:
    """Make sure that the process ends with this exit code within some seconds, whatever its threads do.

    For the very end: the interpreter waits without limit for threads that were abandoned, such as one that clones.
    """

    def force() -> None:
        with contextlib.suppress(OSError):  # seen when the system's clock was changed during the sleep
            time.sleep(within)
            os._exit(code)

    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the exit code is decided
    threading.Thread(target=force, name="exit", daemon=True).start()


def _end_at_once() -> NoReturn:
    def attempt(action: Callable[[], None]) -> None:
        with contextlib.suppress(Exception):
            action()

    deadline = time.monotonic() + AT_ONCE_SECONDS
    threads = [threading.Thread(target=attempt, args=(action,), daemon=True) for action in reversed(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    os._exit(INTERRUPTED)


def _write_to_standard_error(line: str) -> None:
    with contextlib.suppress(OSError):  # it may be closed
        os.write(2, f"swerl-eval: {line}\n".encode())
