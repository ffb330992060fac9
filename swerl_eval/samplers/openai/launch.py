"""Servers of our own: started when they are first needed, watched, started again when they crash, stopped at the end.

Each runs below a guard (`guard.py`), which ends it with all its children however this process ends. What a server
prints goes to a log of its own. One that ends before it was ever ready is not started again: its command is wrong, or
its GPU too small, and the end of its log says so. One that was ready and crashes is started again, `RESTARTS` times, on
another port; meanwhile the pool gives its requests to the others. One that hangs is not told from one that works.
One that cannot even be killed is given up, with a line that names its process.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.ports import Launch
from swerl_eval.samplers import watchdog
from swerl_eval.samplers.openai.servers import Pool, Server

RESTARTS = 3
"""Of a server that was ready once."""
STEADY = 3600.0
"""Seconds of health after which former crashes do not count any more."""
GRACE = 15.0
"""Seconds that a server has to end by itself."""
STOP_SECONDS = GRACE + watchdog.WORKER_EXIT_WAIT + watchdog.KILL_WAIT + 5.0
"""For a guard to end its server by all its means. Then the guard itself is killed."""
POLL = 0.2
"""Seconds between two looks at a server that is starting or running."""
_PROBE_TIMEOUT = 10.0
_TAIL_LINES = 20
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past any proxy of the environment: these servers are on this machine."""


class LaunchedServers:
    """Keeps the servers of a pool running. Belongs to the event loop that `start` is first called on."""

    def __init__(self, launch: Launch, model: str, pool: Pool, say: Callable[[str], None]) -> None:
        self._launch = launch
        self._words = words(launch, model)
        self._pool = pool
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: set[ServerProcess] = set()
        """Those that run now."""

    def start(self) -> None:
        """Start all, unless that was done. Returns at once; the pool lets requests wait."""
        if not self._tasks:
            numbered = enumerate(self._pool.servers, self._launch.first)
            self._tasks = [asyncio.create_task(self._keep(index, server)) for index, server in numbered]

    async def aclose(self) -> None:
        """Stop all, and return when they have ended, or after `STOP_SECONDS` at most."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abort(self) -> None:
        """Have all killed now, without waiting for it."""
        for process in list(self._processes):
            process.kill()

    async def _keep(self, index: int, server: Server) -> None:
        """The life of one server."""
        self._pool.absent(server)
        reason = ""
        crashes = 0
        try:
            while crashes <= RESTARTS:
                process = ServerProcess(self._launch.logs / f"server-{index}.log", self._words, index)
                self._processes.add(process)
                ready = 0.0
                try:
                    self._say(f"{server.name}: waiting until it is ready (log: {process.log})")
                    reason = await self._until_ready(process)
                    if not reason:
                        ready = time.monotonic()
                        self._say(f"{server.name} is ready after {ready - process.started:.0f} s")
                        self._pool.present(server, f"{process.address}/v1")
                        reason = f"ended with exit code {await process.ended()}"
                        self._pool.absent(server)
                finally:
                    stuck = await process.stop()
                    self._processes.discard(process)
                    if stuck:
                        self._say(f"{server.name} is given up: {stuck}")
                self._say(f"{server.name} {reason}")
                reason = f"{reason}; the end of {process.log}:\n{process.tail()}"
                if not ready and not crashes:
                    return
                crashes = 1 if ready and time.monotonic() - ready > STEADY else crashes + 1
            reason = f"crashed {crashes} times; at last it {reason}"
        except OSError as error:
            reason = f"cannot be started: {error}"
        finally:
            self._pool.lost(server, reason or "was stopped")

    async def _until_ready(self, process: ServerProcess) -> str:
        """Empty when it is; else why it will not be."""
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
    """One start of one server, below its guard."""

    def __init__(self, log: Path, template: list[str], index: int) -> None:
        port = free_port()
        self.log = log
        self.address = f"http://127.0.0.1:{port}"
        command = [word.replace("{port}", str(port)).replace("{index}", str(index)) for word in template]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"--- {shlex.join(command)}\n".encode())
            output.flush()
            self._begin = output.tell()
            self._process = watchdog.start(
                "run", str(GRACE), "env", *command,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started = time.monotonic()

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    async def ended(self) -> int:
        """Its exit code, when it ends."""
        while (code := self.exit_code()) is None:
            await asyncio.sleep(POLL)
        return code

    async def stop(self) -> str:
        """End it and its children, by force after a while. Returns when they are gone, or why they are given up."""
        if self.exit_code() is None:
            self._process.terminate()
            if not await self._ended_within(STOP_SECONDS):
                self._process.kill()
                if not await self._ended_within(watchdog.KILL_WAIT):
                    return f"its guard, process {self._process.pid}, does not end though it was killed"
        return self.tail().splitlines()[-1] if self.exit_code() == watchdog.STUCK else ""

    def kill(self) -> None:
        """Have it and its children killed now, without waiting for it."""
        if self.exit_code() is None:
            self._process.send_signal(signal.SIGQUIT)

    async def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.exit_code() is None and time.monotonic() < deadline:
            await asyncio.sleep(watchdog.POLL)
        return self.exit_code() is not None

    def tail(self) -> str:
        """The last lines that this start printed."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._begin, size - 4096))
            text = file.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:]) or "(it printed nothing)"


def words(launch: Launch, model: str) -> list[str]:
    """The command as words, with the model's name in place. Raises `UsageError` for one that cannot be run."""
    try:
        found = shlex.split(launch.command)
    except ValueError as error:
        message = f"--launch {launch.command!r}: {error}"
        raise UsageError(message) from error
    program = next((word for word in found if not _ASSIGNMENT.fullmatch(word)), None)
    if program is None:
        message = f"--launch {launch.command!r} names no program"
        raise UsageError(message)
    if not any("{port}" in word for word in found):
        message = f"--launch {launch.command!r} needs {{port}}, where the server takes the port to listen on"
        raise UsageError(message)
    if shutil.which(program) is None and not any(word.startswith("PATH=") for word in found):
        message = f"--launch: there is no program {program!r} here"
        raise UsageError(message)
    return [word.replace("{model}", model) for word in found]


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


def is_healthy(address: str) -> bool:
    """Whether a server answers on `/health`, or where it has no such page, on `/v1/models`."""
    status = _status(f"{address}/health")
    if status in {404, 405}:
        status = _status(f"{address}/v1/models")
        return status is not None and status < 500  # one that wants a key is up
    return status is not None and status < 300


def _status(url: str) -> int | None:
    try:
        with _DIRECT.open(url, timeout=_PROBE_TIMEOUT) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None
