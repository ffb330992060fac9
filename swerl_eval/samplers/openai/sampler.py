"""Sample from servers that speak OpenAI's chat completions: vLLM, SGLang, a hosted model."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import anyio
import openai

from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import UsageError, cause_of
from swerl_eval.core.secrets import redacted
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.samplers import estimated_tokens
from swerl_eval.samplers.openai.chunks import Reply
from swerl_eval.samplers.openai.dialect import Dialect
from swerl_eval.samplers.openai.exchange import LostError, RefusedError, TemporaryError, exchange
from swerl_eval.samplers.openai.launch import LaunchedServers
from swerl_eval.samplers.openai.pending import LONG_PROMPT, PendingRequest, cut_reason
from swerl_eval.samplers.openai.refusals import Refusal
from swerl_eval.samplers.openai.servers import ATTEMPTS, LONGEST_PAUSE, Attempts, Pool, Server

REQUEST_TIMEOUT = openai.Timeout(1800.0, connect=30.0)
"""Seconds without a single token, and until a connection stands. With a long queue, a server takes its time before the
first token."""
_PROMPT_STATUSES = frozenset({400, 413, 422})
"""If the server has answered before, these are refusals of the prompt. After any other status a probe is sent."""
_SERVER_STATUSES = frozenset({401, 402, 404, 405})
"""Refusals of every prompt: of the key, the account, the model or the address."""
_PROBE = "Answer with one word."


class OpenAISampler:
    """Streams answers from OpenAI-compatible servers (a `ports.Sampler`).

    All servers have the same model; a request and its seeds are the same whichever server answers. Lost connections,
    broken streams, rate limits and 5xx are retried: at once by another server, or by the same one after growing pauses
    and never before the end of a `Retry-After`. Answers that a broken stream has finished are kept, and only the others
    are requested again.

    A parameter that a server refuses is left out or renamed from then on, with a line to `notify` (`dialect.py`). Any
    other refusal is one of the prompt, stored as a failure of its samples, if the server has answered before or answers
    a short prompt now. Else the server refuses everything, and gets no more requests.

    `sample` raises `SamplerError` if no server is left, or if every server failed at a request `servers.ATTEMPTS`
    times.

    Args:
        settings: Model, key, further parameters, and `notify`.
        pool: The servers.
        launched: Starts the pool's servers; None if they run already.
    """

    recorded = False

    def __init__(self, settings: SamplerSettings, pool: Pool, launched: LaunchedServers | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._launched = launched
        self._clients: dict[str | None, openai.AsyncOpenAI] = {}
        """By address."""

    @classmethod
    def open(cls, settings: SamplerSettings) -> OpenAISampler:
        """Use the servers of `launch`, started with the first request, or else those of `base_urls`.

        Raises:
            UsageError: There is no `model`, or the command of `launch` cannot be run.
        """
        if not settings.model:
            message = (
                "the openai sampler needs --model, as the server names it (and --base-url for a server of your own)"
            )
            raise UsageError(message)
        launch = settings.launch
        if launch is None:
            addresses: Iterable[str | None] = settings.base_urls or (None,)
            return cls(settings, Pool([Server(address) for address in addresses], settings.requests_per_server))
        servers = [Server(name=f"server {launch.first + number}") for number in range(launch.copies)]
        pool = Pool(servers, settings.requests_per_server)
        return cls(settings, pool, LaunchedServers(launch, settings.model, pool, settings.notify, settings.secrets))

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Send one streamed request for all n answers; request those that are missing after it again.

        Raises:
            SamplerError: No server is left to try; the message has the reason of each.
        """
        if self._launched is not None:
            self._launched.start()
        pending = PendingRequest(request, on_tokens, on_answer)
        await self._sample_missing(pending, range(request.n), Attempts())
        return pending.result()

    def count_tokens(self, text: str) -> int:
        """Estimate the number of tokens from the number of bytes. A server refuses a prompt that is too long."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Close the connections, and stop the servers that were started."""
        try:
            for client in self._clients.values():
                await client.close()
        finally:
            if self._launched is not None:
                await self._launched.aclose()

    def abort(self) -> None:
        """Kill the servers that were started, without waiting for their end."""
        if self._launched is not None:
            self._launched.abort()

    async def _sample_missing(self, pending: PendingRequest, numbers: range, attempts: Attempts) -> None:
        """Sample the answers with these numbers; if several parts are missing, side by side."""
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
                    group.start_soon(self._sample_missing, pending, part, attempts.copy())
        except Exception as error:
            raise cause_of(error) from error

    async def _attempt(self, pending: PendingRequest, numbers: range, attempts: Attempts) -> None:
        """Try one server once. A failure after which another attempt makes sense is recorded in `attempts`."""
        async with self._pool.taking(attempts) as server:
            began = time.monotonic()
            try:
                try:
                    await self._ask(server, pending, numbers, attempts)
                    self._pool.answered(server)
                except RefusedError as error:
                    await self._handle_refusal(server, pending, numbers, error.refusal)
            except TemporaryError as error:
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
        """Send a request in the server's dialect, and again at once if its refusal teaches a new one.

        After an empty reply the request is sent once more without streaming, since the server may then say why.

        Args:
            server: Where to.
            pending: The request.
            numbers: The answers that are wanted.
            attempts: Those of the request so far.
            first_only: Whether to stop as soon as an answer begins.

        Raises:
            ExchangeError: The request was not answered in full.
        """
        dialect = server.dialect
        streaming = True
        while True:
            part = numbers[: dialect.most]
            body = dialect.body(self._body(pending.request, part, streaming=streaming))
            try:
                await self._send(server, dialect, body, pending, part, first_only=first_only)
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
        """Send one request once. Answers that are finished are stored, also if the stream breaks after them."""
        reply = Reply(len(numbers))
        accepted = replace(dialect, taken=max(dialect.taken, body.get("n", 1)))
        # Only the token counts at the end show that a prompt was cut: answers to the longest so far are held back.
        early = pending.characters < max(LONG_PROMPT, server.whole_prompt + 1)
        begun = False
        try:
            async with aclosing(exchange(self._client(server), body, reply)) as events:
                async for updates in events:
                    self._pool.heard_from(server)
                    if updates and not begun:
                        begun = server.has_answered = True
                        self._learn(server, accepted)
                    pending.report(numbers, reply, updates, early=early)
                    if first_only and reply.answers:
                        break
            if not cut_reason(pending.characters, reply.tokens):
                server.whole_prompt = max(server.whole_prompt, pending.characters)
        finally:
            pending.store(numbers, reply)
            if reply.ambiguous:
                self._learn(server, replace(server.dialect, most=1))

    def _learn(self, server: Server, dialect: Dialect) -> None:
        before = server.dialect
        server.dialect = before.joined(dialect)
        for line in server.dialect.changes(before):
            self._settings.notify(f"{server.name} {line}")

    async def _handle_refusal(self, server: Server, pending: PendingRequest, numbers: range, refusal: Refusal) -> None:
        """Store a refusal of the prompt, or give up a server that refuses everything. A probe tells the two apart.

        Raises:
            ExchangeError: The probe failed otherwise.
        """
        async with server.probing:
            of_the_prompt = server.has_answered and refusal.status in _PROMPT_STATUSES
            if not (of_the_prompt or server.gone):
                final = refusal.status in _SERVER_STATUSES
                refused = refusal if final else await self._probe(server, pending.request)
                if refused is not None:
                    self._pool.lost(server, f"it refuses {self._settings.model!r}: {refused}{self._remedy(refused)}")
        if not server.gone:
            pending.refuse(numbers, str(refusal))

    async def _probe(self, server: Server, request: SampleRequest) -> Refusal | None:
        """Send a prompt of a few words with the parameters of `request`. Returns its refusal; None if there is none."""
        messages = tuple(Message(message.role, _PROBE) for message in request.messages)
        probe = PendingRequest(replace(request, messages=messages, indices=(0,)), ignore, ignore)
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
            # servers that were started here are on this machine: a proxy of the environment is not for them
            http = openai.DefaultAsyncHttpxClient(trust_env=False) if self._launched is not None else None
            client = self._clients[server.address] = openai.AsyncOpenAI(
                api_key=self._settings.api_key,
                base_url=server.address,
                max_retries=0,
                timeout=REQUEST_TIMEOUT,
                http_client=http,
            )
        server.name = server.name or redacted(str(client.base_url))
        return client
