"""Servers that this package starts itself: start them when they are first needed, restart them, stop them at the end.

Each server runs below a watchdog (`watchdog.py`), which ends it with all its children however this process ends. The
output of a server goes to a log of its own. A server that ends before it was ever ready is not started again: its
command is wrong or its GPU too small, and the end of its log says so. A server that was ready and crashes is restarted
on another port, up to `RESTARTS` times; meanwhile the pool gives its requests to the others. A server that hangs is not
detected. A server that cannot even be killed is given up, with a line that names its process.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.core.secrets import Redactor, redacted
from swerl_eval.ports import Launch, Notify
from swerl_eval.samplers import watchdog
from swerl_eval.samplers.openai.server_log import ServerLog
from swerl_eval.samplers.openai.servers import Pool, Server

RESTARTS = 3
"""Of a server that was ready once, at most."""
CRASH_MEMORY = 3600.0
"""Seconds that a server must have been ready for its earlier crashes not to count any more."""
GRACE = 15.0
"""Seconds that a server has to end after it was asked to."""
STOP_SECONDS = GRACE + watchdog.WORKER_EXIT_WAIT + watchdog.KILL_WAIT + 5.0
"""Seconds that a watchdog has to end its server. Then the watchdog itself is killed."""
POLL = 0.2
"""Seconds between two checks of a server that is starting or running."""
_PROBE_TIMEOUT = 10.0
_TAIL_LINES = 20
DRAIN = 2.0
"""Seconds that the last words of an ended server have to get into its log."""
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Ignores proxies of the environment: these servers are on this machine."""


class LaunchedServers:
    """Keeps the servers of a pool running. Belongs to the event loop that `start` is first called on.

    Args:
        launch: Command, logs and number of the servers.
        model: Name or path, for the command.
        pool: The servers.
        notify: Called when a server is started, is ready, ends, or is given up.
        secrets: What no log may hold.

    Raises:
        UsageError: The command cannot be run.
    """

    def __init__(
        self, launch: Launch, model: str, pool: Pool, notify: Notify, secrets: frozenset[str] = frozenset()
    ) -> None:
        self._launch = launch
        self._command = split_command(launch, model)
        self._pool = pool
        self._notify = notify
        self._redactor = Redactor(secrets)
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: set[ServerProcess] = set()
        """Those that run now."""

    def start(self) -> None:
        """Start all servers, once. Returns at once; the pool lets requests wait."""
        if not self._tasks:
            numbered = enumerate(self._pool.servers, self._launch.first)
            self._tasks = [asyncio.create_task(self._keep_running(index, server)) for index, server in numbered]

    async def aclose(self) -> None:
        """Stop all servers. Returns when they have ended, or after `STOP_SECONDS` at most."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abort(self) -> None:
        """Kill all servers, without waiting for their end."""
        for process in list(self._processes):
            process.kill()

    async def _keep_running(self, index: int, server: Server) -> None:
        """Start one server, and start it again while that may help."""
        self._pool.absent(server)
        reason = ""
        crashes = 0
        try:
            log = self._launch.logs / f"server-{index}.log"
            while crashes <= RESTARTS:
                process = ServerProcess(log, self._command, index, self._redactor)
                ready_seconds, reason = await self._run_once(process, server)
                self._notify(f"{server.name} {reason}")
                reason = f"{reason}; the end of {process.log}:\n{process.tail()}"
                if ready_seconds is None and not crashes:
                    return
                crashes = 1 if (ready_seconds or 0.0) > CRASH_MEMORY else crashes + 1
            reason = f"crashed {crashes} times; at last it {reason}"
        except OSError as error:
            reason = f"cannot be started: {error}"
        finally:
            self._pool.lost(server, reason or "was stopped")

    async def _run_once(self, process: ServerProcess, server: Server) -> tuple[float | None, str]:
        """Wait until a process is ready and then until it ends. It has ended on return, also if this is cancelled.

        Returns:
            Seconds for which it was ready, or None if it never was; and what happened to it.
        """
        self._processes.add(process)
        try:
            self._notify(f"{server.name}: waiting until it is ready (log: {process.log})")
            failure = await self._until_ready(process)
            if failure:
                return None, failure
            ready = time.monotonic()
            self._notify(f"{server.name} is ready after {ready - process.started:.0f} s")
            self._pool.present(server, f"{process.address}/v1")
            code = await process.ended()
            self._pool.absent(server)
            return time.monotonic() - ready, f"ended with exit code {code}"
        finally:
            stuck = await process.stop()
            self._processes.discard(process)
            if stuck:
                self._notify(f"{server.name} is given up: {stuck}")

    async def _until_ready(self, process: ServerProcess) -> str:
        """Wait until a server is ready. Returns why it will not be; empty if it is."""
        deadline = process.started + self._launch.timeout
        while time.monotonic() < deadline:
            code = process.exit_code()
            if code is not None:
                return f"ended with exit code {code} before it was ready"
            if await asyncio.to_thread(is_healthy, process.address):
                return ""
            await asyncio.sleep(POLL)
        return f"was not ready within {self._launch.timeout:.0f} s (-c launch_timeout)"


class ServerProcess:
    """One start of one server, below its watchdog.

    Args:
        log: File that the output is appended to.
        template: Words of the command, with `{port}` and `{index}`.
        index: Number of the server.
        redactor: Keeps secrets out of the log.

    Raises:
        OSError: The log cannot be written, or the watchdog cannot be started.
    """

    def __init__(self, log: Path, template: list[str], index: int, redactor: Redactor) -> None:
        port = free_port()
        self.log = log
        self.address = f"http://127.0.0.1:{port}"
        command = [word.replace("{port}", str(port)).replace("{index}", str(index)) for word in template]
        self._output = ServerLog(log, redactor, f"--- {redacted(shlex.join(command))}\n")
        with self._output.following() as sink:
            self._process = watchdog.start(
                "run", str(GRACE), "env", *command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        self.started = time.monotonic()

    def exit_code(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.poll()

    async def ended(self) -> int:
        """Wait until it ends. Returns its exit code."""
        while (code := self.exit_code()) is None:
            await asyncio.sleep(POLL)
        return code

    async def stop(self) -> str:
        """End it and its children, by force after a while. Returns why they are given up; empty if they have ended."""
        if self.exit_code() is None:
            self._process.terminate()
            if not await self._ended_within(STOP_SECONDS):
                self._process.kill()
                if not await self._ended_within(watchdog.KILL_WAIT):
                    return f"its watchdog, process {self._process.pid}, does not end though it was killed"
        await asyncio.to_thread(self._output.drain, DRAIN)
        return self.tail().splitlines()[-1] if self.exit_code() == watchdog.STUCK else ""

    def kill(self) -> None:
        """Kill it and its children, without waiting for their end."""
        if self.exit_code() is None:
            self._process.send_signal(signal.SIGQUIT)

    async def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.exit_code() is None and time.monotonic() < deadline:
            await asyncio.sleep(watchdog.POLL)
        return self.exit_code() is not None

    def tail(self) -> str:
        """Return the last lines that this start printed."""
        text = self._output.tail()
        return "\n".join(text.splitlines()[-_TAIL_LINES:]) or "(it printed nothing)"


def split_command(launch: Launch, model: str) -> list[str]:
    """Return the words of the command, with the model's name filled in. Raises `UsageError` if it cannot be run."""
    try:
        words = shlex.split(launch.command)
    except ValueError as error:
        message = f"--launch {redacted(launch.command)!r}: {error}"
        raise UsageError(message) from error
    program = next((word for word in words if not _ASSIGNMENT.fullmatch(word)), None)
    if program is None:
        message = f"--launch {redacted(launch.command)!r} names no program"
        raise UsageError(message)
    if not any("{port}" in word for word in words):
        message = f"--launch {redacted(launch.command)!r} needs {{port}}, where the server takes the port to listen on"
        raise UsageError(message)
    if shutil.which(program) is None and not any(word.startswith("PATH=") for word in words):
        message = f"--launch: there is no program {program!r} here"
        raise UsageError(message)
    return [word.replace("{model}", model) for word in words]


def free_port() -> int:
    """Return a port of this machine that no process listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_healthy(address: str) -> bool:
    """Whether a server answers on `/health`, or on `/v1/models` if it has no such page."""
    status = _status(f"{address}/health")
    if status in {404, 405}:
        status = _status(f"{address}/v1/models")
        return status is not None and status < 500  # a server that asks for a key is up
    return status is not None and status < 300


def _status(url: str) -> int | None:
    """Return the HTTP status of a page; None if there is no answer."""
    try:
        with _DIRECT.open(url, timeout=_PROBE_TIMEOUT) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None
