"""Share requests between several servers: which one gets the next, which one is ejected for a while, when to give up.

The next request goes to the server with the fewest in flight; of several, to the one that waited longest. A server that
breaks connections or streams, or answers with errors only, is ejected for a time that doubles with every failure in a
row. After that time a single request tries whether it is back. Another server may take a failed request at once.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from swerl_eval.core.errors import SamplerError
from swerl_eval.samplers.openai.dialect import Dialect

ATTEMPTS = 6
"""Of one request at one server. Also the number of errors in a row after which a server is ejected."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, even if the server asks for more."""


@dataclass(eq=False)
class Server:
    """One server and its state."""

    address: str | None = None
    """None: the default of the openai package, or not started yet."""
    name: str = ""
    """In messages."""
    in_flight: int = 0
    """Requests."""
    gone: str = ""
    """Why it will not come back; empty while it may."""
    away_until: float = 0.0
    """Until when it gets no requests, on the monotonic clock; infinite while it is being started."""
    outages: int = 0
    """Ejections in a row, without a whole answer between them."""
    errors: int = 0
    """Errors that it answered in a row, of all requests."""
    doubted: bool = False
    """Whether it was ejected, and nothing has come from it since."""
    tried: bool = False
    """Whether a request is trying if it is back."""
    last: int = 0
    """Running number of the last request that it got."""
    dialect: Dialect = field(default_factory=Dialect)
    """How requests must be written for it."""
    has_answered: bool = False
    """Whether it has begun an answer to any prompt."""
    probing: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while a probe finds out whether it refuses everything."""
    whole_prompt: int = 0
    """Characters of the longest prompt that it did not cut, by its token counts."""


@dataclass
class Attempts:
    """The failed attempts of one request."""

    failed: dict[Server, list[str]] = field(default_factory=dict)
    """Reasons by server, the latest last."""
    not_before: dict[Server, float] = field(default_factory=dict)
    """When a server may be tried again, on the monotonic clock."""
    unexplained: set[Server] = field(default_factory=set)
    """Servers whose reply was empty, and that were asked again without streaming for the reason."""

    def copy(self) -> Attempts:
        """Return a copy for a part of the request that is sent on its own."""
        failed = {server: list(reasons) for server, reasons in self.failed.items()}
        return Attempts(failed, dict(self.not_before), set(self.unexplained))

    def fail(self, server: Server, reason: str, pause: float = 0.0) -> None:
        """Record a failure. This request does not try the server again for `pause` seconds."""
        self.failed.setdefault(server, []).append(reason)
        self.not_before[server] = time.monotonic() + pause

    def count(self, server: Server) -> int:
        """Number of failures at a server."""
        return len(self.failed.get(server, ()))

    def given_up(self, server: Server) -> str:
        """Return why this request does not try a server any more; empty if it may."""
        if server.gone:
            return f"{server.name}: {server.gone}"
        if self.count(server) < ATTEMPTS:
            return ""
        return f"{server.name} {self.failed[server][-1]}"


class Pool:
    """The servers of one sampler. For one event loop.

    Args:
        servers: All of them.
        limit: Requests in flight at one server, at most; 0: any number.
        first_pause: Seconds for which a server is ejected the first time.
    """

    def __init__(self, servers: Sequence[Server], limit: int = 0, first_pause: float = 1.0) -> None:
        self.servers = servers
        self._limit = limit or math.inf
        self.first_pause = first_pause
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def taking(self, attempts: Attempts) -> AsyncIterator[Server]:
        """Wait for a server that is free for one request.

        Args:
            attempts: Those of the request so far.

        Yields:
            The server, which counts the request as in flight within the block.

        Raises:
            SamplerError: No server is left to try; the message has the reason of each.
        """
        while (server := self._best(attempts, now := time.monotonic())) is None:
            reasons = [attempts.given_up(member) for member in self.servers]
            if all(reasons):
                raise SamplerError("; ".join(reasons))
            await self._wait(attempts, now)
        server.in_flight += 1
        server.last = next(self._numbers)
        is_trial = server.tried = server.doubted
        try:
            yield server
        finally:
            server.in_flight -= 1
            server.tried = server.tried and not is_trial
            self._wake()

    def most_answers(self) -> int | None:
        """Return the number of answers that every server gives in one request; None: any number."""
        dialects = [server.dialect for server in self.servers if not server.gone]
        limits = [dialect.most for dialect in dialects if dialect.most is not None]
        return min(limits, default=None)

    def heard_from(self, server: Server) -> None:
        """Note that something came from the server: it is back."""
        server.errors = 0
        if server.doubted:
            server.doubted = server.tried = False
            self._wake()

    def answered(self, server: Server) -> None:
        """Note that the server gave a whole answer."""
        server.outages = 0

    def erred(self, server: Server, began: float) -> None:
        """Note that the server answered with a temporary error; many in a row are an outage."""
        server.errors += 1
        if server.errors >= ATTEMPTS:
            self.eject(server, began)

    def eject(self, server: Server, began: float) -> None:
        """Give the server no requests for a time that grows. `began` is when the failed request was sent."""
        if began < server.away_until:
            return  # sent before the server was ejected: it failed of the same outage
        pause = min(self.first_pause * 2.0**server.outages, LONGEST_PAUSE)
        server.outages += 1
        server.errors = 0
        server.doubted = True
        server.away_until = time.monotonic() + pause

    def absent(self, server: Server) -> None:
        """Note that the server is being started; `present` or `lost` follows."""
        server.away_until = math.inf

    def present(self, server: Server, address: str) -> None:
        """Note that the server is ready at this address. Earlier failures are forgotten."""
        server.address, server.away_until, server.outages, server.errors = address, 0.0, 0, 0
        server.doubted = False
        self._wake()

    def lost(self, server: Server, reason: str) -> None:
        """Note that the server will not come back."""
        server.gone = reason
        self._wake()

    def _best(self, attempts: Attempts, now: float) -> Server | None:
        free = [
            server
            for server in self.servers
            if not attempts.given_up(server)
            and max(server.away_until, attempts.not_before.get(server, 0.0)) <= now
            and server.in_flight < self._limit
            and not (server.doubted and server.tried)
        ]
        return min(free, key=lambda server: (server.in_flight, server.last), default=None)

    async def _wait(self, attempts: Attempts, now: float) -> None:
        """Wait until something changes, or a pause ends.

        Args:
            attempts: Those of the request that waits.
            now: The time at which no server was free. A later time would miss a pause that ended in between, and the
                wait might never end.
        """
        ends = [max(server.away_until, attempts.not_before.get(server, 0.0)) for server in self.servers]
        pause = min((end - now for end in ends if end > now), default=math.inf)
        with anyio.move_on_after(pause):
            await self._changed.wait()

    def _wake(self) -> None:
        """Wake all requests that wait."""
        self._changed.set()
        self._changed = asyncio.Event()
