"""Watchdog: ends other processes when the process that started it is gone, however that one ended (SIGKILL included).

This file is both a module and a program. The program needs nothing but the standard library:

    python -I -S watchdog.py run PARENT GRACE COMMAND…
    python -I -S watchdog.py watch PARENT

PARENT is the process that starts the watchdog. The watchdog polls its own parent, so that it sees within `POLL` seconds
that PARENT is gone, whoever else holds its pipes.

`run` starts a command and ends it with its children on SIGTERM or when PARENT is gone. On SIGQUIT, also while it waits,
it kills them without asking. The command gets a session, and so a process group, of its own: signals of a terminal do
not reach it, and its workers (vLLM's engine, which holds the GPU, is one) end with it. On Linux the command also gets a
SIGTERM if the watchdog itself is killed; elsewhere a kill of both leaves it running. Children that leave the process
group are not covered. The exit code is the command's, or 128 + the number of the signal that ended it. A command that
hangs in the kernel and survives SIGKILL is given up after `KILL_WAIT` seconds: the exit code is `STUCK`, and the last
line of the output names the process.

`watch` reads processes from its standard input and kills them when PARENT is gone. `Watchdog` starts it.

Needs POSIX; `watch`, `Process` and `descendants` need /proc (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL = 0.1
"""Seconds between two checks."""
WORKER_EXIT_WAIT = 3.0
"""Seconds that workers have to end by themselves after a command that was asked to end has done so."""
KILL_WAIT = 5.0
"""Seconds that a killed process has to be gone. Freeing a GPU's memory was seen to take one or two."""
STUCK = 125
"""Exit code of `run` when its command survives SIGKILL."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Process:
    """A process by its number and its start time, since the kernel uses numbers again."""

    pid: int
    start: str
    """Clock ticks since boot, as /proc has them."""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now; None if there is none."""
        fields = _stat(pid)
        return cls(pid, fields[19]) if fields else None

    @property
    def alive(self) -> bool:
        """Whether it runs. A zombie does not: it holds no memory, and may stay if nobody asks for its exit code."""
        fields = _stat(self.pid)
        return bool(fields) and fields[19] == self.start and fields[0] not in {"Z", "X"}

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        if self.alive:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)


def descendants(pid: int) -> list[Process]:
    """All processes below this one, children of children included."""
    children: dict[int, list[Process]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(Process(int(folder.name), fields[19]))
    below = list(children.get(pid, ()))
    for process in below:
        below += children.get(process.pid, ())
    return below


def _stat(pid: int) -> list[str]:
    """What /proc says of a process after its name: state, parent, …, start time (number 19); empty if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 else []


class Watchdog:
    """Kills processes that were named to it, if this process dies. Runs until `dismiss`.

    vLLM's core process does not notice the death of its front end, and would keep the GPU's memory from the next run. A
    process that has ended by then, and whose number another one has, is left alone.
    """

    def __init__(self) -> None:
        self._program = start("watch", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def watch(self, process: Process) -> None:
        """Add a process to those that are killed."""
        if self._program.stdin is not None:
            with contextlib.suppress(OSError):  # the watchdog was killed
                self._program.stdin.write(f"{process.pid} {process.start}\n".encode())
                self._program.stdin.flush()

    def dismiss(self) -> None:
        """End the watchdog; it kills nothing."""
        self._program.kill()
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            self._program.communicate(timeout=KILL_WAIT)


def start(mode: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start this file as a program, in a session of its own.

    Args:
        mode: `run` or `watch`.
        *arguments: What the mode takes after PARENT, which is this process.
        **options: As for `subprocess.Popen`.
    """
    command = [sys.executable, "-I", "-S", __file__, mode, str(os.getpid()), *arguments]
    return subprocess.Popen(command, start_new_session=True, **options)


def run(parent: int, grace: float, command: Sequence[str]) -> int:
    """Run the command until it ends, a signal asks for its end, or `parent` is gone.

    Args:
        parent: Number of the process that started this one.
        grace: Seconds that the command has to end after SIGTERM.
        command: Program and arguments.

    Returns:
        The exit code as a shell gives it; 127 if the command cannot be started; `STUCK` if it cannot be killed.
    """
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda signum, _: received.append(signum))
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_parent()
        )
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        return 127

    def at_once() -> bool:
        return signal.SIGQUIT in received

    while process.poll() is None and not received and os.getppid() == parent:
        time.sleep(POLL)
    if process.poll() is None and not at_once():
        _signal_group(process.pid, signal.SIGTERM)
        _wait_for(lambda: process.poll() is not None or at_once(), grace)
        if process.poll() is not None:
            _wait_for(lambda: not _signal_group(process.pid, 0) or at_once(), WORKER_EXIT_WAIT)
    # After a crash the workers are killed at once: the exit code is only known when this program ends.
    _signal_group(process.pid, signal.SIGKILL)
    _wait_for(lambda: process.poll() is not None, KILL_WAIT)
    code = process.poll()
    if code is None:
        os.write(2, f"process {process.pid} does not end though it was killed: it hangs in the kernel\n".encode())
        return STUCK
    return code if code >= 0 else 128 - code


def watch(parent: int) -> int:
    """Read lines of process number and start time from standard input; kill these processes when `parent` is gone."""
    text, is_gone = b"", False
    while not is_gone:
        time.sleep(POLL)
        # Asked before the last read: nothing is written after it. The pipe's end says nothing, since a process forked
        # from the parent may hold it open.
        is_gone = os.getppid() != parent
        while select.select([0], [], [], 0)[0] and (data := os.read(0, 4096)):
            text += data
    for line in text.decode("ascii").splitlines():
        pid, _, started = line.partition(" ")
        Process(int(pid), started).kill()
    return 0


def _end_with_parent() -> Callable[[], None] | None:
    """What a new process calls before it becomes the command, to get a SIGTERM when the watchdog is killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group. Returns whether the group exists."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL)


if __name__ == "__main__":
    _, mode, parent, *arguments = sys.argv
    os._exit(watch(int(parent)) if mode == "watch" else run(int(parent), float(arguments[0]), arguments[1:]))
