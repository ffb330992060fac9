"""Several servers as one: who takes the next request, who is left alone for a while, and when to give up.

The next request goes to the server with the fewest in flight, the one that waited longest first. A server that breaks
connections or streams, or that answers nothing but errors, is set aside for a time that doubles with every failure in a
row; after it one request tries whether it is back. What a server failed at may be taken by another one at once.
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
"""Of one request, at one server. Also the errors in a row after which a server that does answer is set aside."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, also where the server asks for more."""


@dataclass(eq=False)
class Server:
    """One server, and how it does."""

    address: str | None = None
    """None: the library's default, or not started yet."""
    name: str = ""
    """For messages."""
    in_flight: int = 0
    gone: str = ""
    """Why it will not come back."""
    away_until: float = 0.0
    """On the monotonic clock; infinite while it is being started."""
    outages: int = 0
    """In a row, without a whole answer between them."""
    errors: int = 0
    """Answered in a row, by whatever request."""
    doubted: bool = False
    """It was set aside, and nothing has come from it since."""
    tried: bool = False
    """A request is finding out whether it is back."""
    last: int = 0
    """When it was last given a request, as a running number."""
    dialect: Dialect = field(default_factory=Dialect)
    """How it wants requests to be put."""
    has_answered: bool = False
    """It has begun an answer, to whatever prompt."""
    probing: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while it is found out whether it refuses everything."""
    whole_prompt: int = 0
    """Characters of the longest prompt that it did not cut, as far as its counts say."""


@dataclass
class Attempts:
    """What one request has tried."""

    failed: dict[Server, list[str]] = field(default_factory=dict)
    """Reasons, the latest last."""
    not_before: dict[Server, float] = field(default_factory=dict)
    unexplained: set[Server] = field(default_factory=set)
    """Those that replied with nothing, and were asked without streaming why."""

    def copy(self) -> Attempts:
        """For a part of the request that goes its own way."""
        failed = {server: list(reasons) for server, reasons in self.failed.items()}
        return Attempts(failed, dict(self.not_before), set(self.unexplained))

    def fail(self, server: Server, reason: str, pause: float = 0.0) -> None:
        """Note a failure; this request leaves the server alone for `pause` seconds."""
        self.failed.setdefault(server, []).append(reason)
        self.not_before[server] = time.monotonic() + pause

    def count(self, server: Server) -> int:
        """Failures at a server."""
        return len(self.failed.get(server, ()))

    def said(self, server: Server) -> str:
        """Why this request has nothing more to hope for from a server; empty while it has."""
        if server.gone:
            return f"{server.name}: {server.gone}"
        if self.count(server) < ATTEMPTS:
            return ""
        return f"{server.name} {self.failed[server][-1]}"


class Pool:
    """The servers of one sampler; for one event loop.

    `limit` is how many requests one server gets at a time, 0 for any number; `first_pause` are the seconds for which a
    server is set aside at first.
    """

    def __init__(self, servers: Sequence[Server], limit: int = 0, first_pause: float = 1.0) -> None:
        self.servers = servers
        self._limit = limit or math.inf
        self.first_pause = first_pause
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def taking(self, attempts: Attempts) -> AsyncIterator[Server]:
        """A server for one request, waited for. Raises `SamplerError` when none is left to try, with each one's why."""
        while (server := self._best(attempts, now := time.monotonic())) is None:
            reasons = [attempts.said(each) for each in self.servers]
            if all(reasons):
                raise SamplerError("; ".join(reasons))
            await self._wait(attempts, now)
        server.in_flight += 1
        server.last = next(self._numbers)
        tries = server.tried = server.doubted
        try:
            yield server
        finally:
            server.in_flight -= 1
            server.tried = server.tried and not tries
            self._change()

    def most_answers(self) -> int | None:
        """How many answers the servers give in one request, all of them; None for any number."""
        limits = [each.dialect.most for each in self.servers if not each.gone and each.dialect.most is not None]
        return min(limits, default=None)

    def heard_from(self, server: Server) -> None:
        """Something came from it: it is back."""
        server.errors = 0
        if server.doubted:
            server.doubted = server.tried = False
            self._change()

    def answered(self, server: Server) -> None:
        """It gave a whole answer."""
        server.outages = 0

    def erred(self, server: Server, began: float) -> None:
        """It answered with an error that may pass; many in a row are an outage."""
        server.errors += 1
        if server.errors >= ATTEMPTS:
            self.eject(server, began)

    def eject(self, server: Server, began: float) -> None:
        """Leave a server alone for a while that grows; `began` is when the request that failed was sent."""
        if began < server.away_until:
            return  # sent before the server was set aside: it failed of the same outage
        pause = min(self.first_pause * 2.0**server.outages, LONGEST_PAUSE)
        server.outages += 1
        server.errors = 0
        server.doubted = True
        server.away_until = time.monotonic() + pause

    def absent(self, server: Server) -> None:
        """It is being started: nobody is to wait for anything but `present` or `lost`."""
        server.away_until = math.inf

    def present(self, server: Server, address: str) -> None:
        """It is up, at this address, with a clean record."""
        server.address, server.away_until, server.outages, server.errors = address, 0.0, 0, 0
        server.doubted = False
        self._change()

    def lost(self, server: Server, reason: str) -> None:
        """It will not come back."""
        server.gone = reason
        self._change()

    def _best(self, attempts: Attempts, now: float) -> Server | None:
        free = [
            server
            for server in self.servers
            if not attempts.said(server)
            and max(server.away_until, attempts.not_before.get(server, 0.0)) <= now
            and server.in_flight < self._limit
            and not (server.doubted and server.tried)
        ]
        return min(free, key=lambda server: (server.in_flight, server.last), default=None)

    async def _wait(self, attempts: Attempts, now: float) -> None:
        """Until something changes, or a pause ends that had not ended at `now`, when nobody was free.

        That time and no later one: a pause that ends in between would be missed, and the wait without an end.
        """
        ends = [max(server.away_until, attempts.not_before.get(server, 0.0)) for server in self.servers]
        pause = min((end - now for end in ends if end > now), default=math.inf)
        with anyio.move_on_after(pause):
            await self._changed.wait()

    def _change(self) -> None:
        """Wake who waits."""
        self._changed.set()
        self._changed = asyncio.Event()
