"""How a command ends when it is asked to: in good order by the first signal, at once by a second one.

In good order: what runs is cancelled, every part is closed, everything is stored. At once: what was registered with
`at_once` is called, side by side and within `AT_ONCE_SECONDS`, and the process is gone, whatever its threads do. What
was stored before stays in either case, and the same command goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, Protocol

INTERRUPTED = 130
"""Exit code, as a shell gives it for SIGINT."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE_SECONDS = 2.0
"""For all that is done at once before the process is gone."""
SAME_REQUEST = 0.5
"""Seconds in which a second signal is the first one again: launchers hand on a Ctrl-C that reached us already."""
EXIT_SECONDS = 10.0
"""For the end of the interpreter, which waits for threads that nobody waits for any more."""
IN_GOOD_ORDER = "ending in good order; once more to end at once"
FORCED = "ended at once; what is stored stays, and the same command finishes the run"

Say = Callable[[str], None]


class Loop(Protocol):
    """What is used of asyncio's event loop, which is imported only where there is one."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], /) -> None:
        """Have a callback called on the loop."""
        ...

    def remove_signal_handler(self, sig: int, /) -> bool:
        """No more."""
        ...


_AT_ONCE: list[Callable[[], None]] = []


@contextmanager
def at_once(action: Callable[[], None]) -> Iterator[None]:
    """Have `action` called, in a thread, where the process is ended at once within the block."""
    _AT_ONCE.append(action)
    try:
        yield
    finally:
        _AT_ONCE.remove(action)


@contextmanager
def signals(loop: Loop, cancel: Callable[[], Any], say: Say | None) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM call `cancel` on the loop, and a second one ends the process at once.

    `say` is told; without it, standard error. To be used in the main thread.
    """
    tell = say or _on_standard_error
    first = 0.0

    def received(number: int, frame: FrameType | None) -> None:
        nonlocal first
        del number, frame
        now = time.monotonic()
        if not first:
            first = now
            tell(IN_GOOD_ORDER)
        elif now - first > SAME_REQUEST:
            tell(FORCED)
            _end_at_once()

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, cancel)
        # in place of asyncio's own, which does nothing but wake the loop: this one is called though the loop is busy
        signal.signal(number, received)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def exit_soon(code: int) -> None:
    """From now on the process ends with this exit code within `EXIT_SECONDS`, though threads are left that do not end.

    For the very end: the interpreter waits for such threads without bound, a clone that was given up, say.
    """

    def force() -> None:
        with contextlib.suppress(OSError):  # seen where the clock was set meanwhile
            time.sleep(EXIT_SECONDS)
            os._exit(code)

    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # it ends already, and its exit code is decided
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


def _on_standard_error(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        os.write(2, f"swerl-eval: {line}\n".encode())
