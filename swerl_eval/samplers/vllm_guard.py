"""Who sees to an engine's processes when this one is killed outright."""

from __future__ import annotations

import os
import subprocess


class Guard:
    """Kills an engine's processes when this one is killed outright: a shell that reads until its pipe is closed.

    vLLM's core does not notice by itself, and would keep a GPU's memory from the run that resumes this one.
    """

    def __init__(self) -> None:
        script = 'while read -r pid; do pids="$pids $pid"; done; kill -9 $pids'
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is not for it
        )  # fmt: skip
        _GUARDS.add(self)

    def watch(self, pid: int | None) -> None:
        """One more process to be killed then."""
        if self._shell.stdin is not None and self._shell.poll() is None:
            self._shell.stdin.write(f"{pid}\n".encode())
            self._shell.stdin.flush()

    def dismiss(self) -> None:
        """Nothing is left to be guarded."""
        _GUARDS.discard(self)
        self._shell.kill()
        self._shell.communicate()

    def forget(self) -> None:
        """In a fork of this process: let go of the pipe."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()


_GUARDS: set[Guard] = set()


def _forget_guards() -> None:
    for guard in _GUARDS:
        guard.forget()


# A forked core would hold the pipes open that tell of this process's end.
os.register_at_fork(after_in_child=_forget_guards)
