"""Runs one server, and ends it and all its children when told to (SIGTERM) or when whoever asked for it is gone.

Told to end at once (SIGQUIT, also while it waits), it kills them without asking. A server that does not even end when
it is killed, since it hangs in the kernel, is given up after `KILLED_WITHIN` seconds: its last line names the process.

A program of its own, with nothing but the standard library: `python guard.py PID GRACE COMMAND…`, PID being the
process that asks. The server gets a session, and so a process group, of its own: no signal of a terminal reaches it,
and its workers (vLLM's engine, which holds the GPU, is one) end with it. However the asking process ends, SIGKILL
included, this one sees within a tenth of a second that it has another parent. On Linux the server also gets a SIGTERM
should this process itself be killed; elsewhere a kill of both leaves it running. Children that leave the process group
are not covered. Needs POSIX.

Ends with the server's exit code, or 128 and the number of the signal that ended it, as a shell says it; with `STUCK`
where the server was given up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

POLL = 0.1
"""Seconds between two looks."""
LEFT_BEHIND = 3.0
"""Seconds that workers have to end by themselves once a server that was told to end has done so."""
KILLED_WITHIN = 5.0
"""Seconds that a killed server has to be gone. Freeing a GPU's memory was seen to take one or two."""
STUCK = 125
_PR_SET_PDEATHSIG = 1


def watch(parent: int, grace: float, command: Sequence[str]) -> int:
    """Run the command until it ends, is to be ended, or `parent` is gone. Returns its exit code."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda received, _: told.append(received))
    try:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_ended_with_its_parent()
        )
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        return 127

    def at_once() -> bool:
        return signal.SIGQUIT in told

    while server.poll() is None and not told and os.getppid() == parent:
        time.sleep(POLL)
    if server.poll() is None and not at_once():
        _signal(server.pid, signal.SIGTERM)
        _until(lambda: server.poll() is not None or at_once(), grace)
        if server.poll() is not None:
            _until(lambda: not _signal(server.pid, 0) or at_once(), LEFT_BEHIND)
    # after a crash its workers are ended at once: until they are, nobody knows of the crash
    _signal(server.pid, signal.SIGKILL)
    _until(lambda: server.poll() is not None, KILLED_WITHIN)
    code = server.poll()
    if code is None:
        os.write(2, f"process {server.pid} does not end though it was killed: it hangs in the kernel\n".encode())
        return STUCK
    return code if code >= 0 else 128 - code


def _ended_with_its_parent() -> Callable[[], None] | None:
    """What the new process does before it becomes the server."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; says whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(POLL)


if __name__ == "__main__":
    os._exit(watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
