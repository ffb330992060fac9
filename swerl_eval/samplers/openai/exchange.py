"""Send one request to one server and read the reply. The only module that knows how the openai package and HTTP fail.

ExchangeError       the server's own words, or what was seen of the connection
├── RefusedError    the server does not accept the request
├── TemporaryError  the server cannot answer now; it may be able to later
└── LostError       no whole reply came
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import anyio
import openai

from swerl_eval.samplers.openai.chunks import Reply, Update
from swerl_eval.samplers.openai.events import EventReader, ReplyError, parsed
from swerl_eval.samplers.openai.refusals import Refusal, printable

try:  # openai 3 has its own successor of httpx; errors in mid-stream come from the one it uses
    import httpx2 as httpx
except ImportError:
    import httpx

_TEMPORARY = frozenset({408, 409, 429})
"""Statuses beside 5xx after which the same request may be accepted later."""
_CONNECTION_ERRORS = (openai.OpenAIError, httpx.HTTPError, ssl.SSLError, anyio.EndOfStream)
"""The last two appear where httpx does not translate the failure of an encrypted connection."""
_DRAIN_SECONDS = 0.2
"""For what follows `[DONE]`. A connection can only be used again after it was read to its end."""
_SHOWN_CHARACTERS = 200


class ExchangeError(Exception):
    """A request was not answered in full."""


class RefusedError(ExchangeError):
    """The server does not accept the request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class TemporaryError(ExchangeError):
    """The server cannot answer now. `pause` is how many seconds it asks to wait, or 0."""

    def __init__(self, words: str, pause: float = 0.0) -> None:
        super().__init__(words)
        self.pause = pause


class LostError(ExchangeError):
    """No whole reply came.

    Args:
        words: What was seen.
        begun: Whether a reply had begun.
        empty: Whether it held nothing at all. Without streaming the server may then say why.
        foreign: Whether it was no reply of a chat server, such as a page to sign in.
    """

    def __init__(self, words: str, *, begun: bool = False, empty: bool = False, foreign: bool = False) -> None:
        super().__init__(words)
        self.begun = begun
        self.empty = empty
        self.foreign = foreign


async def exchange(
    client: openai.AsyncOpenAI, body: Mapping[str, Any], reply: Reply
) -> AsyncGenerator[list[Update], None]:
    """Send a request and read the reply into `reply`. Whatever is raised, `reply` has what came before.

    Args:
        client: The server.
        body: The request's JSON object.
        reply: Filled in as events come.

    Yields:
        For each event the answers that it is of.

    Raises:
        ExchangeError: The request was not answered in full.
    """
    # typed as Any: the overloads do not admit a role that is a variable
    create: Any = client.chat.completions.with_streaming_response.create
    named = {key: body[key] for key in ("model", "messages", "stream") if key in body}
    more = {key: value for key, value in body.items() if key not in named}
    begun = False
    try:
        async with create(**named, extra_body=more) as response:
            begun = True
            reader = EventReader()
            received = response.iter_bytes()
            async for data in received:
                for event in reader.feed(data):
                    yield reply.add(event)
                if reader.done:
                    await _drain(received)
                    break
            for event in reader.end():
                yield reply.add(event)
            if not reply.answers and reader.stray:
                with contextlib.suppress(ValueError):
                    yield reply.add_whole(parsed(reader.stray))
            _check_end(reader, reply)
    except openai.APIStatusError as error:
        raise _error_of(error.status_code, _body(error.response), _retry_after(error.response)) from error
    except ReplyError as error:
        raise _error_of(error.status, str(error), begun=True) from error
    except _CONNECTION_ERRORS as error:
        empty = begun and not reply.answers and not reply.remark
        raise LostError(_describe(error), begun=begun, empty=empty) from error


def _check_end(reader: EventReader, reply: Reply) -> None:
    """Raise `ExchangeError` unless a body that has come to its end holds whole answers."""
    if not reply.answers and reader.stray:
        message = f"the reply is no answer: {reply.remark or printable(reader.stray, _SHOWN_CHARACTERS)}"
        raise LostError(message, begun=True, foreign=True)
    if reader.done:
        reply.finish()
    if not reply.answers:
        raise LostError(reply.remark or "the reply was empty", begun=True, empty=not reply.remark)
    if all(reply.place(index) is None for index in reply.answers):
        message = f"its answers have the indices {sorted(reply.answers)[:5]}, and {reply.wanted} were asked for"
        raise LostError(message, begun=True)
    for answer in reply.answers.values():
        if answer.end is None:
            words = reply.remark or printable(reader.stray, _SHOWN_CHARACTERS)
            message = f"the stream broke off{': ' if words else ''}{words}"
            raise LostError(message, begun=True)
        if not answer.finished:
            message = f"an answer ended unfinished: {answer.finish_reason}"
            raise TemporaryError(message)


def _error_of(status: int | None, body: Any, pause: float = 0.0, *, begun: bool = False) -> ExchangeError:
    """Return the error that a status stands for; without a status, a lost reply."""
    if status is None or status < 400:
        return LostError(Refusal.of(0, body).words, begun=begun)
    refusal = Refusal.of(status, body)
    if status in _TEMPORARY or status >= 500:
        return TemporaryError(str(refusal), pause)
    return RefusedError(refusal)


def _body(response: Any) -> Any:
    """Return the body of an error reply, parsed if it is JSON."""
    try:
        return parsed(response.content)
    except ValueError:
        return printable(response.content, 500)


def _retry_after(response: Any) -> float:
    """Seconds that the server asks to wait; 0 if it names none, or a date."""
    header = response.headers.get("retry-after", "")
    return float(header) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header) else 0.0


def _describe(error: Exception) -> str:
    """Return openai's message of a broken connection, and its cause if that says more."""
    errors = [error] if error.__cause__ is None else [error, error.__cause__]
    words = [printable(str(known), _SHOWN_CHARACTERS) for known in errors]
    return ": ".join(dict.fromkeys(filter(None, words))) or type(error).__name__


async def _drain(received: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(_DRAIN_SECONDS), contextlib.suppress(*_CONNECTION_ERRORS):
        async for _ in received:
            pass
