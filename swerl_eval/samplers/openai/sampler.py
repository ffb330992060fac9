"""Any servers that speak OpenAI's chat completions: vLLM, SGLang, a hosted model."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import anyio
import openai

from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import UsageError, cause_of
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, unheard
from swerl_eval.samplers import estimated_tokens
from swerl_eval.samplers.openai.chunks import Reply
from swerl_eval.samplers.openai.dialect import Dialect
from swerl_eval.samplers.openai.exchange import LostError, PassingError, RefusedError, exchange
from swerl_eval.samplers.openai.launch import LaunchedServers
from swerl_eval.samplers.openai.pending import LONG_PROMPT, PendingRequest, cut_reason
from swerl_eval.samplers.openai.refusals import Refusal
from swerl_eval.samplers.openai.servers import ATTEMPTS, LONGEST_PAUSE, Attempts, Pool, Server

REQUEST_TIMEOUT = openai.Timeout(1800.0, connect=30.0)
"""Seconds without a single token, and until a connection stands. A server with a long queue may take its time before
the first token."""

_OF_THE_PROMPT = frozenset({400, 413, 422})
"""Statuses that say nothing about a server that has answered before. Of any other one a probe is asked."""
_OF_THE_SERVER = frozenset({401, 402, 404, 405})
"""Statuses that no other prompt changes: key, account, model, address."""
_PROBE = "Answer with one word."


class OpenAISampler:
    """Streams answers from OpenAI-compatible servers (a `ports.Sampler`).

    All servers have the same model; a request and its seeds are the same whichever answers. Lost connections, broken
    streams, rate limits and 5xx are tried again, at another server at once where there is one, else with growing pauses
    and never before the end of a `Retry-After`. What a broken stream has finished is kept, and only the rest is asked
    for again.

    What a server does not take of a request is left out or put otherwise, once learnt and said (`dialect.py`). Another
    refusal is that of a prompt, a recorded failure of its samples, if the server has answered anything before, or
    answers a prompt of a few words now. Else the server refuses everything and gets no more requests. The run ends when
    no server is left, or when every one failed at a request `servers.ATTEMPTS` times.
    """

    recorded = False

    def __init__(self, settings: SamplerSettings, pool: Pool, launched: LaunchedServers | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._launched = launched
        self._clients: dict[str | None, openai.AsyncOpenAI] = {}

    @classmethod
    def open(cls, settings: SamplerSettings) -> OpenAISampler:
        """Needs `model`. With `launch`, servers of its own, started with the first request; else `base_urls`."""
        if not settings.model:
            message = (
                "the openai sampler needs --model, as the server names it (and --base-url for a server of your own)"
            )
            raise UsageError(message)
        launch = settings.launch
        if launch is None:
            addresses: Iterable[str | None] = settings.base_urls or (None,)
            servers = [Server(address) for address in addresses]
        else:
            servers = [Server(name=f"server {launch.first + number}") for number in range(launch.copies)]
        pool = Pool(servers, settings.requests_per_server)
        launched = LaunchedServers(launch, settings.model, pool, settings.say) if launch is not None else None
        return cls(settings, pool, launched)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """One streamed request for all n; what is missing after it is asked for again, each with its own seed."""
        if self._launched is not None:
            self._launched.start()
        pending = PendingRequest(request, on_tokens, on_answer)
        await self._fill(pending, range(request.n), Attempts())
        return pending.result()

    async def _fill(self, pending: PendingRequest, numbers: range, attempts: Attempts) -> None:
        """Draw the answers with these numbers, the missing ones again and again until the attempts are used up."""
        missing = pending.missing(numbers, self._pool.most_answers())
        while len(missing) == 1:
            async with pending.parts:
                await self._attempt(pending, missing[0], attempts)
            missing = pending.missing(missing[0], self._pool.most_answers())
        if not missing:
            return
        try:
            async with anyio.create_task_group() as group:
                for part in missing:
                    group.start_soon(self._fill, pending, part, attempts.copy())
        except Exception as error:
            raise cause_of(error) from error

    async def _attempt(self, pending: PendingRequest, numbers: range, attempts: Attempts) -> None:
        """One try at one server. A failure that may pass is noted in `attempts`."""
        async with self._pool.taking(attempts) as server:
            began = time.monotonic()
            try:
                try:
                    await self._ask(server, pending, numbers, attempts)
                    self._pool.answered(server)
                except RefusedError as error:
                    await self._refused(server, pending, numbers, error.refusal)
            except PassingError as error:
                self._pool.erred(server, began)
                growing = random.uniform(0, self._pool.first_pause * 2.0 ** attempts.count(server))
                pause = min(max(growing, error.pause), LONGEST_PAUSE)
                attempts.fail(server, f"failed {ATTEMPTS} times: {error}", pause)
            except LostError as error:
                if error.foreign and not server.has_answered:
                    self._pool.lost(server, str(error))
                self._pool.eject(server, began)
                question = "" if error.begun else "; is it up?"
                attempts.fail(server, f"gave no whole answer in {ATTEMPTS} attempts: {error}{question}")

    async def _ask(
        self, server: Server, pending: PendingRequest, numbers: range, attempts: Attempts, *, first_only: bool = False
    ) -> None:
        """Ask a server, at once again with what it refuses left out; a reply without a word, once without streaming."""
        dialect = server.dialect
        streaming = True
        while True:
            asked = numbers[: dialect.most]
            body = dialect.body(self._body(pending.request, asked, streaming=streaming))
            try:
                await self._send(server, dialect, body, pending, asked, first_only=first_only)
            except RefusedError as error:
                adapted = dialect.adapted(error.refusal, body)
                if adapted is None or adapted == dialect:
                    raise
                dialect = adapted
            except LostError as error:
                if not error.empty or server in attempts.unexplained or not streaming:
                    raise
                attempts.unexplained.add(server)
                streaming = False
            else:
                return

    async def _send(
        self,
        server: Server,
        dialect: Dialect,
        body: dict[str, Any],
        pending: PendingRequest,
        numbers: range,
        *,
        first_only: bool,
    ) -> None:
        """One request, and what comes of it; what is finished is kept, also when the stream breaks."""
        reply = Reply(len(numbers))
        learnt = replace(dialect, taken=max(dialect.taken, body.get("n", 1)))
        # that a prompt was cut is only known from the counts at the end
        early = pending.characters < max(LONG_PROMPT, server.whole_prompt + 1)

        begun = False

        def hear(event: list[tuple[int, bool]]) -> None:
            nonlocal begun
            self._pool.heard_from(server)
            if event and not begun:
                begun = server.has_answered = True
                self._learn(server, learnt)
            pending.tell(numbers, reply, event, early=early)

        try:
            await exchange(self._client(server), body, reply, hear, first_only=first_only)
            if not cut_reason(pending.characters, reply.tokens):
                server.whole_prompt = max(server.whole_prompt, pending.characters)
        finally:
            pending.take(numbers, reply)
            if reply.ambiguous:
                self._learn(server, replace(server.dialect, most=1))

    def _learn(self, server: Server, dialect: Dialect) -> None:
        before = server.dialect
        joined = before.joined(dialect)
        if joined != before:
            server.dialect = joined
            for line in joined.news(before):
                self._settings.say(f"{server.name} {line}")

    async def _refused(self, server: Server, pending: PendingRequest, numbers: range, refusal: Refusal) -> None:
        """Record a refusal: of the prompt, or of the server, which a probe tells apart. Raises `ExchangeError`."""
        async with server.probing:
            known = server.has_answered and refusal.status in _OF_THE_PROMPT
            if not (known or server.gone):
                final = refusal.status in _OF_THE_SERVER
                refused = refusal if final else await self._probe(server, pending.request)
                if refused is not None:
                    self._pool.lost(server, f"it refuses {self._settings.model!r}: {refused}{self._remedy(refused)}")
        if not server.gone:
            pending.refuse(numbers, str(refusal))

    async def _probe(self, server: Server, request: SampleRequest) -> Refusal | None:
        """The refusal of a prompt of a few words, asked as `request` is; None where the server takes it."""
        messages = tuple(Message(message.role, _PROBE) for message in request.messages)
        probe = PendingRequest(replace(request, messages=messages, indices=(0,)), lambda _: None, unheard)
        try:
            await self._ask(server, probe, range(1), Attempts(), first_only=True)
        except RefusedError as error:
            return error.refusal
        return None

    def _remedy(self, refusal: Refusal) -> str:
        named = [key for key in self._settings.request if refusal.names(key)]
        remedy = f"take -c request.{named[0]} back" if named else refusal.remedy()
        return f"; {remedy}" if remedy else ""

    def _body(self, request: SampleRequest, numbers: range, *, streaming: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._settings.request,
            "model": self._settings.model,
            "messages": [{"role": message.role, "content": sendable(message.content)} for message in request.messages],
            "n": len(numbers),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed + numbers.start,
        }
        return {**body, "stream": True, "stream_options": {"include_usage": True}} if streaming else body

    def _client(self, server: Server) -> openai.AsyncOpenAI:
        client = self._clients.get(server.address)
        if client is None:
            # a proxy of the environment is not for servers of our own, which are on this machine
            http = openai.DefaultAsyncHttpxClient(trust_env=False) if self._launched is not None else None
            client = self._clients[server.address] = openai.AsyncOpenAI(
                api_key=self._settings.api_key,
                base_url=server.address,
                max_retries=0,
                timeout=REQUEST_TIMEOUT,
                http_client=http,
            )
        server.name = server.name or str(client.base_url)
        return client

    def count_tokens(self, text: str) -> int:
        """An estimate; the server knows better and says so by refusing."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Close the connections, and stop what was started."""
        try:
            for client in self._clients.values():
                await client.close()
        finally:
            if self._launched is not None:
                await self._launched.aclose()

    def abort(self) -> None:
        """End the servers that were started, at once."""
        if self._launched is not None:
            self._launched.abort()
