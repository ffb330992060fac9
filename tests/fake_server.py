"""A real HTTP server on 127.0.0.1 that streams chat completions as OpenAI does, and misbehaves on request.

Each request gets the next reply of `FakeServer.script`. When the script is empty it gets good answers, whose texts name
their seed. Needs nothing but the standard library. As a program (`python fake_server.py --port 8000`) it is a server to
be launched, which can also crash.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
    """None: as many as were requested, `answer <seed + k>` as number k."""
    at_most: int | None = None
    """Answers at most, whatever n is; 1: a server that ignores n."""
    usage: bool = True
    drop_after: int | None = None
    """Reset the connection after so many chunks."""
    end_after: int | None = None
    """End the stream after so many chunks, without `[DONE]`."""
    endless: bool = False
    """Go on sending until the client goes away."""
    error_in_stream: str = ""
    """Message of an error event that is sent first."""
    error_code: int | str = 500
    cached: int | None = None
    """Cached tokens of the prompt, in `usage`."""
    held: threading.Event | None = None
    """Waited for before the first chunk."""
    then: Callable[[], None] | None = None
    """Called in place of the end, after `drop_after` chunks."""


@dataclass(frozen=True)
class Refuse:
    """A reply with a status that is not 200."""

    status: int
    message: str = "no"
    headers: tuple[tuple[str, str], ...] = ()
    more: tuple[tuple[str, Any], ...] = ()
    """Further fields of the error."""


@dataclass(frozen=True)
class HangUp:
    """No reply at all: the connection is reset."""


@dataclass(frozen=True)
class Events:
    """A stream of these events: objects, or bytes that are sent unchanged."""

    events: tuple[dict[str, Any] | bytes, ...]
    done: bool = True
    """Whether `[DONE]` comes at the end."""


@dataclass(frozen=True)
class Body:
    """A reply that is no stream: bytes unchanged, or a value as JSON."""

    content: Any
    status: int = 200


Reply = Answer | Refuse | HangUp | Events | Body
Rule = Callable[[dict[str, Any]], Reply]


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
    """A server: what it replies, and what it received."""

    base_url: str = ""
    script: deque[Reply] = field(default_factory=deque)
    rule: Rule = lambda _: Answer()
    """The reply to a request body when the script is empty."""
    requests: list[Received] = field(default_factory=list)
    streaming: threading.Event = field(default_factory=threading.Event)
    """Set when an endless answer has begun."""
    disconnected: threading.Event = field(default_factory=threading.Event)
    """Set when the client went away while it was being answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    pieces: Callable[[int], tuple[str, ...]] = lambda seed: ("answer ", str(seed))
    """Text of a good answer, by its seed."""
    in_flight: int = 0
    most_in_flight: int = 0
    connections: set[socket.socket] = field(default_factory=set)
    health: int = 200
    """Status of `/health`."""
    listening: ThreadingHTTPServer | None = None

    def start(self, port: int = 0) -> None:
        """Listen on this port; without one, on the port that it had before, or a free one."""
        port = port or (int(self.base_url.rpartition(":")[2].partition("/")[0]) if self.base_url else 0)

        class Handler(_Handler):
            server_state = self

        self.listening = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.listening.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.listening.server_address[1]}/v1"
        threading.Thread(target=self.listening.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """Stop at once, as a process that was killed: the port is closed, and all connections break."""
        if self.listening is not None:
            self.listening.shutdown()
            self.listening.server_close()
            self.listening = None
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            _reset(connection)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    def next_reply(self, received: Received) -> Reply:
        with self.lock:
            self.requests.append(received)
            return self.script.popleft() if self.script else self.rule(received.body)


@contextmanager
def serving(*script: Reply) -> Iterator[FakeServer]:
    """Run a server within the block."""
    state = FakeServer(script=deque(script))
    state.start()
    try:
        yield state
    finally:
        state.kill()


def _reset(connection: socket.socket) -> None:
    """Reset a connection, so that the client sees a failure and not an end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeServer
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *_: object) -> None:
        """Print nothing: the tests read `requests`."""

    def setup(self) -> None:
        super().setup()
        with self.server_state.lock:
            self.server_state.connections.add(self.connection)

    def finish(self) -> None:
        with self.server_state.lock:
            self.server_state.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        status = self.server_state.health if self.path == "/health" else 200 if self.path == "/v1/models" else 404
        self._reply(status, {"object": "list", "data": []})

    def do_POST(self) -> None:
        state = self.server_state
        with state.lock:
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            self._answer()
        finally:
            with state.lock:
                state.in_flight -= 1

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server_state.next_reply(Received(body, self.path, headers, time.monotonic()))
        if isinstance(reply, HangUp):
            self._reset()
        elif isinstance(reply, Refuse):
            self._refuse(reply)
        elif isinstance(reply, Body):
            self._reply(reply.status, reply.content)
        elif isinstance(reply, Answer) and not body.get("stream"):
            self._reply(200, _whole(reply, body, self.server_state.pieces))
        else:
            try:
                self._stream(reply, body)
            except ConnectionError:
                self.close_connection = True
                self.server_state.disconnected.set()

    def _refuse(self, reply: Refuse) -> None:
        content = {"error": {"message": reply.message, "type": "error", "code": reply.status, **dict(reply.more)}}
        self._reply(reply.status, content, reply.headers)

    def _reply(self, status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if isinstance(value, bytes) else "application/json")
        self.send_header("content-length", str(len(content)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, reply: Answer | Events, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if isinstance(reply, Events):
            self._send_all(reply)
            return
        if reply.held is not None:
            reply.held.wait(300)
        for number, event in enumerate(_events(reply, body, self.server_state.pieces)):
            if number == reply.drop_after:
                if reply.then is not None:
                    reply.then()
                self._reset()
                return
            if number == reply.end_after:
                self.wfile.write(b"0\r\n\r\n")
                return
            self._send(json.dumps(event))
            if reply.endless:
                self.server_state.streaming.set()
                time.sleep(0.005)
        self._send("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send_all(self, reply: Events) -> None:
        for event in reply.events:
            if isinstance(event, bytes):
                self._write(event)
            else:
                self._send(json.dumps(event))
        if reply.done:
            self._send("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, data: str) -> None:
        self._write(f"data: {data}\n\n".encode())

    def _write(self, event: bytes) -> None:
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def _reset(self) -> None:
        self.close_connection = True
        _reset(self.connection)
        self.connection.close()


def _events(reply: Answer, body: dict[str, Any], pieces: Callable[[int], tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    """The chunks of a reply. Those of several answers are mixed, and the last answer comes first, as servers may do."""
    if reply.error_in_stream:
        yield {"error": {"message": reply.error_in_stream, "type": "Error", "code": reply.error_code}}
    choices = _choices(reply, body, pieces)
    waiting = [(index, choice, choice.deltas()) for index, choice in reversed(list(enumerate(choices)))]
    while waiting:
        for entry in list(waiting):
            index, choice, deltas = entry
            if reply.endless:
                yield _chunk([_choice(index, {"content": "more "}, None)])
            elif (delta := next(deltas, None)) is not None:
                yield _chunk([_choice(index, delta, None)])
            else:
                yield _chunk([_choice(index, {}, choice.finish_reason)])
                waiting.remove(entry)
    if reply.usage and body.get("stream_options", {}).get("include_usage"):
        # two tokens a piece, so that a count of the pieces differs from the server's own
        tokens = sum(2 * len(choice.pieces) + 2 * len(choice.reasoning) for choice in choices)
        usage: dict[str, Any] = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": tokens,
            "total_tokens": PROMPT_TOKENS + tokens,
        }
        if reply.cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": reply.cached}
        yield {**_chunk([]), "usage": usage}


def _choices(reply: Answer, body: dict[str, Any], pieces: Callable[[int], tuple[str, ...]]) -> tuple[Choice, ...]:
    choices = reply.choices or tuple(Choice(pieces(body.get("seed", 0) + k)) for k in range(body.get("n", 1)))
    return choices[: reply.at_most]


def _whole(reply: Answer, body: dict[str, Any], pieces: Callable[[int], tuple[str, ...]]) -> dict[str, Any]:
    """The reply to a request that does not ask for a stream."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(choice.pieces)},
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(_choices(reply, body, pieces))
    ]
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 4 * len(choices)}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "fake", "choices": choices, "usage": usage}


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": choices}


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def main() -> None:
    """Run as a launched server. Each start (a life) writes notes in a folder; the first ones crash if asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--notes", type=Path, help="folder for the pids and the requests of each life")
    parser.add_argument("--loading", type=float, default=0.0, help="seconds before it listens")
    parser.add_argument("--fail", default="", help="print this and end instead")
    parser.add_argument("--deaths", type=int, default=0, help="number of lives that end in the middle of an answer")
    parser.add_argument("--die-at", type=int, default=1, help="at which request of such a life")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM; the worker does not")
    options = parser.parse_args()
    if options.fail:
        sys.exit(options.fail)
    life = 0
    if options.notes:
        options.notes.mkdir(parents=True, exist_ok=True)
        life = len(list(options.notes.glob("life-*.json")))
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note = {"pids": [os.getpid(), worker.pid], "colour": os.environ.get("FAKE_COLOUR"), "arguments": sys.argv[1:]}
        unfinished = options.notes / "unfinished"
        unfinished.write_text(json.dumps(note))
        unfinished.rename(options.notes / f"life-{life}.json")  # a test reads it as soon as it is there
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(options.loading)

    class Mortal(FakeServer):
        def next_reply(self, received: Received) -> Reply:
            with self.lock:
                self.requests.append(received)
                asked = {"seed": received.body["seed"], "n": received.body["n"]}
                with (options.notes / f"requests-{life}.jsonl").open("a") as file:
                    file.write(json.dumps(asked) + "\n")
                if life < options.deaths and len(self.requests) == options.die_at:
                    return Answer(drop_after=3, then=lambda: os._exit(3))
                return Answer()

    sys.stdout.write(f"life {life} listens on {options.port}\n")
    sys.stdout.flush()
    Mortal().start(options.port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
