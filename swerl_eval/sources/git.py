"""Runs git so that it leaves no process behind, however the call ends.

git starts further programs (git-remote-https, index-pack) that do not end with it. All of them are one process group,
which is killed as a whole: by this process when the call is cancelled or times out, and by a shell when this process is
killed, which the shell notices by its pipe. A Ctrl-C in the terminal reaches this process alone.
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
# give up on a connection that transfers nothing for a minute or asks for a password; no garbage collection in the
# background
_SETTINGS = (
    "http.lowSpeedLimit=1000", "http.lowSpeedTime=60", "core.askPass=true", "gc.auto=0", "maintenance.auto=false",
)  # fmt: skip
_NOT_FOUND = 127
"""Exit code of a shell that does not find a program."""
GROUP_END_SECONDS = 2.0
"""Longest wait for killed processes to end. They take milliseconds, but stay where nothing reaps orphans."""
STDERR_BYTES = 2**16
"""Of git's standard error, the part at its end that is kept."""
REASON_CHARACTERS = 600
"""Longest part of git's reasons in a message."""


async def git(*arguments: str, timeout: float) -> None:
    """Run git. Cancelling the call kills all of git's processes first.

    Args:
        arguments: The command's arguments.
        timeout: Seconds.

    Raises:
        SourceError: git failed, with its own reason, or timed out, or is not installed.
    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    process = await anyio.open_process(
        ["/bin/sh", "-c", _GUARDED, "sh", "git", *settings, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        with anyio.fail_after(timeout):
            output = await _end_of_stderr(process)
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
        raise SourceError(reasons(output) or f"git ended with exit code {code} and gave no reason")


async def _end_of_stderr(process: Process) -> str:
    output = b""
    if process.stderr is not None:
        async for chunk in process.stderr:
            output = (output + chunk)[-STDERR_BYTES:]
    return output.decode(errors="replace")


def reasons(output: str) -> str:
    """Return git's lines of `fatal:` or `error:` as one line; where there are none, its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    chosen = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    text = "; ".join(dict.fromkeys(chosen))
    return text if len(text) <= REASON_CHARACTERS else f"{text[:REASON_CHARACTERS]} …"


async def _kill_group(group: int) -> None:
    """Kill a process group, and wait until no process of it is left that could still write."""
    with contextlib.suppress(ProcessLookupError), anyio.move_on_after(GROUP_END_SECONDS):
        while True:
            os.killpg(group, signal.SIGKILL)
            await anyio.sleep(0.01)
