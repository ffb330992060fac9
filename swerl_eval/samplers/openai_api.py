"""Any servers that speak OpenAI's chat completions: vLLM, SGLang, a hosted model."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
import openai

from swerl_eval.core.errors import SamplerError, UsageError, cause_of
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, unheard
from swerl_eval.samplers import estimated_tokens
from swerl_eval.samplers.launch import LaunchedServers
from swerl_eval.samplers.servers import ATTEMPTS, LONGEST_PAUSE, Attempts, Pool, Server

try:  # openai 3 brought its own successor of httpx; what it raises in mid-stream comes from whichever it uses
    import httpx2 as httpx
except ImportError:
    import httpx

REQUEST_TIMEOUT = openai.Timeout(1800.0, connect=30.0)
"""Seconds without a single token, and until a connection stands. A server with a long queue may take its time before
the first token."""

_REFUSED = frozenset({400, 413, 422})
_PASSING = frozenset({408, 409, 429})
"""Beside 5xx."""
_UNFINISHED = frozenset({"abort", "error"})
"""Reasons with which vLLM and SGLang end answers that they did not finish."""
_FAILURES = (openai.OpenAIError, httpx.TransportError, json.JSONDecodeError)


class OpenAISampler:
    """Streams answers from OpenAI-compatible servers (a `ports.Sampler`).

    All servers have the same model; a request and its seeds are the same whichever answers. Lost connections, broken
    streams, rate limits and 5xx are tried again, at another server at once where there is one, else with growing pauses
    and never before the end of a `Retry-After`. What a broken stream has finished is kept, and only the rest is asked
    for again. A refused prompt (400, 413, 422: too long, filtered) is a recorded failure of its samples. Anything else
    (key, model name) ends the run, as does a request that every server failed at `servers.ATTEMPTS` times.
    """

    recorded = False

    def __init__(self, model: str, api_key: str, pool: Pool, launched: LaunchedServers | None = None) -> None:
        self._model = model
        self._api_key = api_key
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
        return cls(settings.model, settings.api_key, pool, launched)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """One streamed request for all n; what is missing after it is asked for again, each with its own seed."""
        if self._launched is not None:
            self._launched.start()
        draw = _Draw(request, on_tokens, on_answer)
        await self._fill(draw, range(request.n), Attempts())
        return draw.completions()

    async def _fill(self, draw: _Draw, numbers: range, attempts: Attempts) -> None:
        """Draw the answers with these numbers, the missing ones again and again until the attempts are used up."""
        missing = [numbers]
        while len(missing) == 1:
            await self._attempt(draw, missing[0], attempts)
            missing = draw.missing(missing[0])
        if not missing:
            return
        try:
            async with anyio.create_task_group() as group:
                for part in missing:
                    group.start_soon(self._fill, draw, part, attempts.copy())
        except Exception as error:
            raise cause_of(error) from error

    async def _attempt(self, draw: _Draw, numbers: range, attempts: Attempts) -> None:
        """One request to one server. A failure that may pass is noted in `attempts`."""
        async with self._pool.taking(attempts) as server:
            client = self._client(server)
            began = time.monotonic()
            try:
                await self._stream(client, server, draw, numbers)
                self._pool.answered(server)
            except _FAILURES as error:
                status = _status(error)
                if status in _REFUSED:
                    draw.refuse(numbers, f"refused: {_reason(error)}")
                elif isinstance(error, openai.APIStatusError):
                    if not _passes(error.status_code):
                        message = f"{server.name} refuses {self._model!r}: {_reason(error)}"
                        raise SamplerError(message) from error
                    self._pool.erred(server, began)
                    growing = random.uniform(0, self._pool.first_pause * 2.0 ** attempts.count(server))
                    pause = min(max(growing, _asked_pause(error)), LONGEST_PAUSE)
                    attempts.fail(server, f"failed {ATTEMPTS} times: {_reason(error)}", pause)
                else:
                    self._pool.set_aside(server, began)
                    reason = f"gave no whole answer in {ATTEMPTS} attempts: {_reason(error)}; is it up?"
                    attempts.fail(server, reason)

    async def _stream(self, client: openai.AsyncOpenAI, server: Server, draw: _Draw, numbers: range) -> None:
        """Ask for answers and take what is finished of them, also when the stream breaks."""
        create: Any = client.chat.completions.create  # its overloads do not admit a role that is a variable
        request = draw.request
        stream = await create(
            model=self._model,
            messages=[{"role": message.role, "content": _valid(message.content)} for message in request.messages],
            n=len(numbers),
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            seed=request.seed + numbers.start,
            stream=True,
            stream_options={"include_usage": True},
        )
        parts: dict[int, _Parts] = {}
        usage: Any = None
        try:
            async with stream:
                async for chunk in stream:
                    self._pool.heard_from(server)
                    usage = chunk.usage or usage
                    for choice in chunk.choices:
                        part = parts.setdefault(choice.index, _Parts())
                        if part.add(choice):
                            draw.on_tokens(1)
                        if choice.finish_reason and part.finished and choice.index < len(numbers):
                            # the counts of its tokens come with the end of the stream
                            draw.on_answer(numbers[choice.index], part.completion(None, None))
        finally:
            draw.take(numbers, parts, usage)
        if not parts or not all(part.finished for part in parts.values()):
            raise openai.APIConnectionError(message="the stream broke off", request=stream.response.request)

    def _client(self, server: Server) -> openai.AsyncOpenAI:
        client = self._clients.get(server.address)
        if client is None:
            # a proxy of the environment is not for servers of our own, which are on this machine
            http = openai.DefaultAsyncHttpxClient(trust_env=False) if self._launched is not None else None
            client = self._clients[server.address] = openai.AsyncOpenAI(
                api_key=self._api_key,
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


@dataclass
class _Draw:
    """A request and what has come of it."""

    request: SampleRequest
    on_tokens: OnTokens
    on_answer: OnAnswer
    found: dict[int, Completion] = field(default_factory=dict)
    """By number, from 0 to n - 1."""

    def take(self, numbers: range, parts: dict[int, _Parts], usage: Any) -> None:
        """Keep the finished answers of a stream; what a server sends beyond what was asked for is left."""
        # usage counts all answers together; of one it says its own
        exact = usage.completion_tokens if usage and len(parts) == 1 else None
        details = getattr(usage, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None)
        for index, part in parts.items():
            if part.finished and index < len(numbers):
                completion = part.completion(usage.prompt_tokens if usage else None, exact)
                self.found[numbers[index]] = dataclasses.replace(completion, cached_tokens=cached)

    def refuse(self, numbers: range, reason: str) -> None:
        """Record that there are no answers."""
        for number in numbers:
            self.found.setdefault(number, Completion("", "error", error=reason))

    def missing(self, numbers: range) -> list[range]:
        """The numbers without an answer, in runs, since answer k of one request has its seed + k."""
        runs: list[range] = []
        for number in numbers:
            if number in self.found:
                continue
            if runs and runs[-1].stop == number:
                runs[-1] = range(runs[-1].start, number + 1)
            else:
                runs.append(range(number, number + 1))
        return runs

    def completions(self) -> list[Completion]:
        """All n. The prompt is the same for all, so its length is too, where a broken stream did not come to say it."""
        answers = [self.found[number] for number in range(self.request.n)]
        known = next((answer.prompt_tokens for answer in answers if answer.prompt_tokens is not None), None)
        return [
            dataclasses.replace(answer, prompt_tokens=known)
            if answer.prompt_tokens is None and not answer.error
            else answer
            for answer in answers
        ]


@dataclass
class _Parts:
    """One answer as it arrives."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str = ""
    pieces: int = 0

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return bool(self.finish_reason) and self.finish_reason not in _UNFINISHED

    def add(self, choice: Any) -> bool:
        """Take a chunk; says whether it carried text."""
        delta = choice.delta
        text = delta.content or ""
        # servers with a reasoning parser send thinking under one of these names
        reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None) or ""
        self.text.append(text)
        self.reasoning.append(reasoning)
        self.finish_reason = choice.finish_reason or self.finish_reason
        carried = bool(text or reasoning)
        self.pieces += carried
        return carried

    def completion(self, prompt_tokens: int | None, completion_tokens: int | None) -> Completion:
        reason = "length" if self.finish_reason == "length" else "stop"
        if self.finish_reason == "content_filter":
            return Completion("", "error", prompt_tokens, completion_tokens, error="refused: filtered by the server")
        tokens = completion_tokens if completion_tokens is not None else self.pieces
        return Completion("".join(self.text), reason, prompt_tokens, tokens, "".join(self.reasoning))


def _valid(text: str) -> str:
    """Bytes of a repository that are not UTF-8 come as lone surrogates, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _status(error: Exception) -> int | None:
    """The HTTP status, or the code of an error that comes within a stream."""
    code = str(getattr(error, "status_code", None) or getattr(error, "code", None))
    return int(code) if code.isdecimal() else None


def _passes(status: int) -> bool:
    """Whether the same request may succeed a little later."""
    return status in _PASSING or status >= 500


def _asked_pause(error: openai.APIStatusError) -> float:
    """Seconds that the server asks to wait; 0 where it does not, or names a date."""
    asked = error.response.headers.get("retry-after", "")
    return float(asked) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked) else 0.0


def _reason(error: Exception) -> str:
    status = f"{error.status_code} " if isinstance(error, openai.APIStatusError) else ""
    return f"{status}{getattr(error, 'message', error)}"[:500]
