"""A real HTTP server on 127.0.0.1 that the engine can pull images from, and that misbehaves as a test says.

It speaks as much of the registry protocol (version 2) as a pull needs. Images are made on the spot of names and
contents: one gzipped layer for each mapping. Nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import platform
import re
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """A layer of an image."""

    blob: bytes
    """As it is sent."""
    content: str
    """Digest of what is within the compression."""

    @property
    def digest(self) -> str:
        return digest_of(self.blob)


@dataclass
class Fault:
    """What is done to the requests whose path matches, so many times; the rest is served well."""

    path: str
    """Regular expression."""
    status: int = 0
    """Answered in place of the content."""
    code: str = ""
    """Of the error, as a registry names it; without one, plain text is answered."""
    message: str = "as the test says"
    """Of the error."""
    retry_after: int = 0
    """Seconds, as a header."""
    break_after: int | None = None
    """Reset the connection after so many bytes of the content."""
    hold: threading.Event | None = None
    """Answer only when this is set."""
    times: int = 1_000_000


@dataclass
class FakeRegistry:
    """The server. `faults` may be changed at any time."""

    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """`GET /v2/… bytes=7-`, in the order of their arrival; of manifests and blobs only."""
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _manifests: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, *layers: Layer) -> str:
        """Serve an image of these layers; returns the name to pull it by."""
        config = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": [f"NAME={name}"]},  # so that no two images are the same
            "rootfs": {"type": "layers", "diff_ids": [layer.content for layer in layers]},
            "history": [{"created": "2020-01-01T00:00:00Z"} for _ in layers],
        }
        blob = json.dumps(config).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(blob), "digest": self._keep(blob)},
            "layers": [
                {"mediaType": LAYER, "size": len(layer.blob), "digest": self._keep(layer.blob)} for layer in layers
            ],
        }
        self._manifests[f"{name}:1"] = self._keep(json.dumps(manifest).encode())
        return f"localhost:{self.port}/{name}:1"

    def count(self, path: str) -> int:
        """Requests for content whose path matches."""
        return sum(bool(re.search(path, request)) for request in list(self.requests) if request.startswith("GET"))

    def _keep(self, blob: bytes) -> str:
        self._blobs[digest_of(blob)] = blob
        return digest_of(blob)

    def _find(self, path: str) -> bytes | None:
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(.+)", path)
        if match is None:
            return None
        name, kind, reference = match.groups()
        if kind == "manifests" and not reference.startswith("sha256:"):
            reference = self._manifests.get(f"{name}:{reference}", "")
        return self._blobs.get(reference)

    def _fault(self, path: str) -> Fault | None:
        with self._lock:
            current = next((fault for fault in self.faults if fault.times > 0 and re.search(fault.path, path)), None)
            if current is not None:
                current.times -= 1
            return current


def layer(files: Mapping[str, bytes]) -> Layer:
    """A layer with these files, executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    plain = buffer.getvalue()
    return Layer(gzip.compress(plain, 1, mtime=0), digest_of(plain))


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._reply(200, b"{}")
            return
        with self.registry._lock:
            begin = self.headers.get("Range", "")
            self.registry.requests.append(f"{self.command} {self.path} {begin}".rstrip())
        fault = self.registry._fault(self.path) or Fault("")
        if fault.hold is not None:
            fault.hold.wait(600)
        content = self.registry._find(self.path)
        if fault.status and not fault.code:
            self._reply(fault.status, b"as the test says", extra={"Content-Type": "text/plain"})
        elif fault.status or content is None:
            error = {"code": fault.code or "MANIFEST_UNKNOWN", "message": fault.message}
            extra = {"Content-Type": "application/json"}
            if fault.retry_after:
                extra["Retry-After"] = str(fault.retry_after)
            self._reply(fault.status or 404, json.dumps({"errors": [error]}).encode(), extra=extra)
        else:
            self._send(content, fault.break_after)

    do_HEAD = do_GET

    def _send(self, content: bytes, break_after: int | None) -> None:
        extra, status = {"Docker-Content-Digest": digest_of(content)}, 200
        begin = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin is not None:
            extra["Content-Range"] = f"bytes {begin[1]}-{len(content) - 1}/{len(content)}"
            content, status = content[int(begin[1]) :], 206
        kind = MANIFEST if "/manifests/" in self.path else "application/octet-stream"
        self._reply(status, content, break_after, {"Content-Type": kind, **extra})

    def _reply(
        self, status: int, body: bytes, break_after: int | None = None, extra: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (extra or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:break_after])
        if break_after is not None:
            self.wfile.flush()
            # no linger: the other side sees a reset, as of a broken network
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the engine went away, or was reset
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def serving(registry: FakeRegistry | None = None) -> Iterator[FakeRegistry]:
    """A registry on its port, or on a free one, for as long as the block runs."""
    registry = registry or FakeRegistry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", registry.port), handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
