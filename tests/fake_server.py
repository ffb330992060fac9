"""A real HTTP server on 127.0.0.1 that streams chat completions as OpenAI does, and misbehaves as it is told.

Each request takes the next reply of `FakeServer.script`; when that is empty it gets good answers, whose texts name the
seed that they were asked for with. Nothing but the standard library.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT_TOKENS = 17


@dataclass(frozen=True)
class Choice:
    """One answer, in the pieces in which it is sent."""

    pieces: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    """Sent before the text."""
    finish_reason: str = "stop"
    reasoning_name: str = "reasoning_content"

    def deltas(self) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": ""}
        for piece in self.reasoning:
            yield {self.reasoning_name: piece}
        for piece in self.pieces:
            yield {"content": piece}


@dataclass(frozen=True)
class Answer:
    """A streamed reply."""

    choices: tuple[Choice, ...] | None = None
    """None: what was asked for, `answer <seed + k>` as number k."""
    at_most: int | None = None
    """Answers whatever n asks for: 1 is a server that ignores n."""
    usage: bool = True
    drop_after: int | None = None
    """Reset the connection after so many chunks."""
    end_after: int | None = None
    """End the stream after so many chunks, as if all had been said."""
    endless: bool = False
    """Go on sending until the client goes away."""
    error_in_stream: str = ""
    """Sent as an error event before anything else."""


@dataclass(frozen=True)
class Refuse:
    """A reply with a status that is not 200."""

    status: int
    message: str = "no"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class HangUp:
    """No reply at all: the connection is reset."""


Reply = Answer | Refuse | HangUp


@dataclass
class Received:
    """One request."""

    body: dict[str, Any]
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    time: float


@dataclass
class FakeServer:
    """What the server is told and what it saw."""

    base_url: str = ""
    script: deque[Reply] = field(default_factory=deque)
    requests: list[Received] = field(default_factory=list)
    streaming: threading.Event = field(default_factory=threading.Event)
    """Set when an endless answer has begun."""
    disconnected: threading.Event = field(default_factory=threading.Event)
    """Set when the client went away while it was being answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    def next_reply(self, received: Received) -> Reply:
        with self.lock:
            self.requests.append(received)
            return self.script.popleft() if self.script else Answer()


@contextmanager
def serving(*script: Reply) -> Iterator[FakeServer]:
    """A server for the time of the block."""
    state = FakeServer(script=deque(script))

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeServer
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at `requests`."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server_state.next_reply(Received(body, self.path, headers, time.monotonic()))
        if isinstance(reply, HangUp):
            self._reset()
        elif isinstance(reply, Refuse):
            self._refuse(reply)
        else:
            try:
                self._stream(reply, body)
            except ConnectionError:
                self.close_connection = True
                self.server_state.disconnected.set()

    def _refuse(self, reply: Refuse) -> None:
        content = json.dumps({"error": {"message": reply.message, "type": "error", "code": reply.status}}).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, reply: Answer, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(_events(reply, body)):
            if number == reply.drop_after:
                self._reset()
                return
            if number == reply.end_after:
                break
            self._send(json.dumps(event))
            if reply.endless:
                self.server_state.streaming.set()
                time.sleep(0.005)
        self._send("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def _reset(self) -> None:
        """Close at once, so that the client sees a broken connection and not an end."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def _events(reply: Answer, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a reply, those of several answers mixed and the last answer first, as servers may send them."""
    if reply.error_in_stream:
        yield {"error": {"message": reply.error_in_stream, "type": "InternalServerError", "code": 500}}
    choices = reply.choices or tuple(Choice(("answer ", str(body["seed"] + k))) for k in range(body["n"]))
    choices = choices[: reply.at_most]
    waiting = [(index, choice, deque(choice.deltas())) for index, choice in reversed(list(enumerate(choices)))]
    while waiting:
        for entry in list(waiting):
            index, choice, deltas = entry
            if reply.endless:
                yield _chunk([_choice(index, {"content": "more "}, None)])
            elif deltas:
                yield _chunk([_choice(index, deltas.popleft(), None)])
            else:
                yield _chunk([_choice(index, {}, choice.finish_reason)])
                waiting.remove(entry)
    if reply.usage and body.get("stream_options", {}).get("include_usage"):
        # two tokens a piece, so that a count of the pieces is told from the server's own
        tokens = sum(2 * len(choice.pieces) + 2 * len(choice.reasoning) for choice in choices)
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": tokens,
            "total_tokens": PROMPT_TOKENS + tokens,
        }
        yield {**_chunk([]), "usage": usage}


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": choices}


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
