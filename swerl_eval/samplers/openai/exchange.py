"""One request to one server, and its reply. The only module that knows how the openai package and HTTP fail.

ExchangeError      the server's own words, or what was seen of it
├── RefusedError   the server does not take the request
├── PassingError   it cannot answer now, and may a little later
└── LostError      no whole reply came
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio
import openai

from swerl_eval.samplers.openai.chunks import Reply
from swerl_eval.samplers.openai.events import EventReader, ReplyError, parsed
from swerl_eval.samplers.openai.refusals import Refusal, printable

try:  # openai 3 brought its own successor of httpx; what it raises in mid-stream comes from whichever it uses
    import httpx2 as httpx
except ImportError:
    import httpx

_PASSING = frozenset({408, 409, 429})
"""Beside 5xx: the same request may be taken a little later."""
_BROKEN = (openai.OpenAIError, httpx.HTTPError, ssl.SSLError, anyio.EndOfStream)
"""The last two come through where httpx does not translate what broke an encrypted connection."""
_DRAIN_SECONDS = 0.2
"""For what follows `[DONE]`. Read to its end, a connection can be used again."""

OnEvent = Callable[[list[tuple[int, bool]]], None]
"""Told of an event that was added to the reply: the answers that it is of, and whether it carried text."""


class ExchangeError(Exception):
    """A request that was not answered in full."""


class RefusedError(ExchangeError):
    """The server does not take the request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class PassingError(ExchangeError):
    """The server cannot answer now; `pause` are the seconds that it asks to wait for."""

    def __init__(self, words: str, pause: float = 0.0) -> None:
        super().__init__(words)
        self.pause = pause


class LostError(ExchangeError):
    """No whole reply came.

    `begun`: a reply had begun. `empty`: it held nothing at all, so that the server may say why without streaming.
    `foreign`: it was no reply of a chat server (a page to sign in, say).
    """

    def __init__(self, words: str, *, begun: bool = False, empty: bool = False, foreign: bool = False) -> None:
        super().__init__(words)
        self.begun = begun
        self.empty = empty
        self.foreign = foreign


async def exchange(
    client: openai.AsyncOpenAI, body: Mapping[str, Any], reply: Reply, on_event: OnEvent, *, first_only: bool = False
) -> None:
    """Send a request and take what comes into `reply`; with `first_only` until the first event. Raises `ExchangeError`.

    Whatever is raised, `reply` has what came before.
    """
    # its overloads do not admit a role that is a variable
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
                    on_event(reply.add(event))
                    if first_only and reply.answers:
                        return
                if reader.done:
                    await _drain(received)
                    break
            for event in reader.end():
                on_event(reply.add(event))
            _end(reader, reply, on_event)
    except openai.APIStatusError as error:
        raise _of_status(error.status_code, _body(error.response), _asked_pause(error.response)) from error
    except ReplyError as error:
        raise _of_status(error.status, str(error), begun=True) from error
    except _BROKEN as error:
        empty = begun and not reply.answers and not reply.remark
        raise LostError(_seen(error), begun=begun, empty=empty) from error


def _end(reader: EventReader, reply: Reply, on_event: OnEvent) -> None:
    """Judge a body that has come to its end."""
    if not reply.answers and reader.stray:
        with contextlib.suppress(ValueError):
            on_event(reply.add_whole(parsed(reader.stray)))
        if not reply.answers:
            message = f"the reply is no answer: {reply.remark or printable(reader.stray, 200)}"
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
            words = reply.remark or printable(reader.stray, 200)
            message = f"the stream broke off{': ' if words else ''}{words}"
            raise LostError(message, begun=True)
        if not answer.finished:
            message = f"an answer ended unfinished: {answer.finish_reason}"
            raise PassingError(message)


def _of_status(status: int | None, body: Any, pause: float = 0.0, *, begun: bool = False) -> ExchangeError:
    """The error that a status stands for; without one, a reply that went wrong."""
    if status is None or status < 400:
        return LostError(Refusal.of(0, body).words, begun=begun)
    refusal = Refusal.of(status, body)
    if status in _PASSING or status >= 500:
        return PassingError(str(refusal), pause)
    return RefusedError(refusal)


def _body(response: Any) -> Any:
    """An error's body, as JSON where it is JSON."""
    try:
        return parsed(response.content)
    except ValueError:
        return printable(response.content, 500)


def _asked_pause(response: Any) -> float:
    """Seconds that the server asks to wait; 0 where it does not, or names a date."""
    asked = response.headers.get("retry-after", "")
    return float(asked) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked) else 0.0


def _seen(error: Exception) -> str:
    """What can be said of a connection: openai's message, and what is behind it where that says more."""
    behind = error.__cause__
    said = [printable(str(each), 200) for each in (error, behind) if each is not None]
    return ": ".join(dict.fromkeys(filter(None, said))) or type(error).__name__


async def _drain(received: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(_DRAIN_SECONDS), contextlib.suppress(*_BROKEN):
        async for _ in received:
            pass
