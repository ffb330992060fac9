"""A real HTTP server on 127.0.0.1 that gives an engine's answers as they are told: what no engine does on demand."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]
"""A status, and a text or what is to be JSON."""
PODMAN: dict[str, Answer] = {
    "GET /version": (200, {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}),
    "GET /images/.*/json": (404, {"message": "failed to find image: No such image"}),
    # sizes as Podman 4.3 has them: no layers, no shared sizes, ids without the algorithm
    "GET /system/df": (200, {"LayersSize": 0, "Images": [{"Id": n * 64, "Size": 7, "SharedSize": 0} for n in "ab"]}),
}


@dataclass
class FakeEngine:
    """`answers` maps a method and the pattern of a path to the answer; a list of answers is given one by one."""

    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"tcp://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str) -> Answer:
        request = f"{method} {re.sub(r'^/v[0-9.]+', '', path).partition('?')[0]}"
        self.requests.append(request)
        for pattern, answer in self.answers.items():
            if re.fullmatch(pattern, request):
                return answer if isinstance(answer, tuple) else answer.pop(0) if len(answer) > 1 else answer[0]
        if request.endswith("/_ping"):
            return 200, "OK"
        return (200, {"ApiVersion": "1.41"}) if request == "GET /version" else (404, "Not Found\n")


@contextlib.contextmanager
def fake_engine(answers: dict[str, Answer | list[Answer]]) -> Iterator[FakeEngine]:
    """The server, for as long as the block runs."""
    engine = FakeEngine(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = engine.answer(self.command, self.path)
            plain = isinstance(content, str)
            body = content.encode() if plain else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if plain else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_POST = do_DELETE = do_HEAD = do_GET

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
