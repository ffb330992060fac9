"""Runs git as a child that leaves no process behind, however the wait for it ends.

git starts helpers (git-remote-https, index-pack) that do not end with it, so all of them are one process group, which
is killed as a whole: by this process when the call is cancelled or its time is up, and by a shell that reads until its
pipe is closed when this process is killed outright. A Ctrl-C of the terminal reaches this process alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import anyio
from anyio.abc import Process

from swerl_eval.core.errors import SourceError

_GUARDED = (
    "export LC_ALL=C GIT_TERMINAL_PROMPT=0; exec 3<&0 </dev/null; "
    "{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & "
    '"$@" 3<&-; code=$?; { kill -KILL $!; wait $!; } 2>/dev/null; exit $code'
)
# a line that carries nothing for a minute, or asks for a password, is no way to a repository; no collection of garbage
# that goes on in the background
_SETTINGS = (
    "http.lowSpeedLimit=1000", "http.lowSpeedTime=60", "core.askPass=true", "gc.auto=0", "maintenance.auto=false",
)  # fmt: skip
_NOT_FOUND = 127
"""What a shell ends with where there is no such program."""
GROUP_END = 2.0
"""Seconds for the killed processes to be gone: milliseconds, but where nobody reaps orphans they stay."""
KEPT_BYTES = 2**16
"""Of what git says, at its end."""
MOST_SHOWN = 600
"""Characters of git's reasons in a message."""


async def git(*arguments: str, timeout: float) -> None:
    """Run git. Raises `SourceError` with git's own reason; cancelling kills all of its processes first."""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    process = await anyio.open_process(
        ["/bin/sh", "-c", _GUARDED, "sh", "git", *settings, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        with anyio.fail_after(timeout):
            said = await _last_words(process)
            code = await process.wait()
    except TimeoutError as error:
        message = f"git did not end within {timeout:,.0f} s"
        raise SourceError(message) from error
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                await _kill_group(process.pid)
            await process.aclose()
    if code == _NOT_FOUND:
        message = "git is not installed (apt-get install git)"
        raise SourceError(message)
    if code != 0:
        raise SourceError(reasons(said) or f"git ended with exit code {code} and gave no reason")


async def _last_words(process: Process) -> str:
    said = b""
    if process.stderr is not None:
        async for chunk in process.stderr:
            said = (said + chunk)[-KEPT_BYTES:]
    return said.decode(errors="replace")


def reasons(said: str) -> str:
    """What git calls `fatal:` or `error:`, in one line; where there is no such line, its last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    chosen = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    text = "; ".join(dict.fromkeys(chosen))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} …"


async def _kill_group(group: int) -> None:
    """Kill a process group, and wait until none of it is left that could still write."""
    with contextlib.suppress(ProcessLookupError), anyio.move_on_after(GROUP_END):
        while True:
            os.killpg(group, signal.SIGKILL)
            await anyio.sleep(0.01)
