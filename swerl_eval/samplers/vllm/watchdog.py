"""Who sees to an engine's processes when this one is killed outright."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

_SHELL_END = 5.0
"""Seconds for a killed shell to be gone."""
# a process is known by its number and its start (the 20th field after the name), since numbers are used again
_SCRIPT = """
while read -r pid start; do all="$all $pid:$start"; done
for each in $all; do
    pid=${each%%:*}
    read -r line < "/proc/$pid/stat" && set -- ${line##*) } && [ "${20}" = "${each#*:}" ] && kill -9 "$pid"
done
"""


class Guard:
    """Kills an engine's processes when this one is killed outright: a shell that reads until its pipe is closed.

    vLLM's core does not notice by itself, and would keep a GPU's memory from the run that resumes this one. A process
    that has ended by then, and whose number another one has, is left alone.
    """

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is not for it
        )  # fmt: skip
        _GUARDS.add(self)

    def watch(self, pid: int | None) -> None:
        """One more process to be killed then."""
        start = _start_of(pid)
        if start and self._shell.stdin is not None:
            with contextlib.suppress(OSError):  # somebody killed the shell
                self._shell.stdin.write(f"{pid} {start}\n".encode())
                self._shell.stdin.flush()

    def dismiss(self) -> None:
        """Nothing is left to be guarded."""
        _GUARDS.discard(self)
        self._shell.kill()
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            self._shell.communicate(timeout=_SHELL_END)

    def forget(self) -> None:
        """In a fork of this process: let go of the pipe."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()


def _start_of(pid: int | None) -> str:
    """When a process began, as the kernel counts; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


_GUARDS: set[Guard] = set()


def _forget_guards() -> None:
    for guard in _GUARDS:
        guard.forget()


# A forked core would hold the pipes open that tell of this process's end.
os.register_at_fork(after_in_child=_forget_guards)
