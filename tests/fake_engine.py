"""A real HTTP server on 127.0.0.1 that gives scripted answers of an engine, such as no real engine gives on demand."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]
"""A status, and the body: a text, bytes that come piece by piece (an iterator), or data that is sent as JSON."""
Reply = Answer | list[Answer] | Callable[[], Answer]
"""One answer, answers for one request after the other (the last one repeats), or a function that is asked each time."""
PODMAN: dict[str, Answer] = {
    "GET /version": (200, {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}),
    "GET /images/.*/json": (404, {"message": "failed to find image: No such image"}),
    # sizes as Podman 4.3 has them: no layers, no shared sizes, ids without the algorithm
    "GET /system/df": (200, {"LayersSize": 0, "Images": [{"Id": n * 64, "Size": 7, "SharedSize": 0} for n in "ab"]}),
}


@dataclass
class FakeEngine:
    """`answers` maps a method and the pattern of a path to the reply; the first pattern that matches counts."""

    answers: dict[str, Reply] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"tcp://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str) -> Answer:
        request = f"{method} {re.sub(r'^/v[0-9.]+', '', path).partition('?')[0]}"
        self.requests.append(request)
        for pattern, reply in self.answers.items():
            if re.fullmatch(pattern, request):
                if callable(reply):
                    return reply()
                return reply if isinstance(reply, tuple) else reply.pop(0) if len(reply) > 1 else reply[0]
        if request.endswith("/_ping"):
            return 200, "OK"
        return (200, {"ApiVersion": "1.41"}) if request == "GET /version" else (404, "Not Found\n")


@contextlib.contextmanager
def fake_engine(answers: dict[str, Reply]) -> Iterator[FakeEngine]:
    """The server, for as long as the block runs."""
    engine = FakeEngine(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = engine.answer(self.command, self.path)
            if isinstance(content, Iterator):
                self.stream(status, content)
                return
            plain = isinstance(content, str)
            body = content.encode() if plain else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if plain else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def stream(self, status: int, pieces: Iterator[bytes]) -> None:
            """Send pieces as they come, and close the connection at the end."""
            self.close_connection = True
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.docker.raw-stream")
            self.end_headers()
            with contextlib.suppress(OSError):  # the client went away
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    engine.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
