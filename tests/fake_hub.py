"""A real HTTP server on 127.0.0.1 that serves one dataset at several revisions, as far as the hub's library asks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Refusal = tuple[int, str, str]
"""A status, and the hub's code and words for it."""
UNKNOWN_DATASET: Refusal = (404, "RepoNotFound", "Repository not found")
GATED: Refusal = (403, "GatedRepo", "Access to dataset team/tasks is restricted and you are not in the authorized list")


class FakeHub:
    """Content by commit and path, under the name `team/tasks`; `refusal` answers every request in its place."""

    name = "team/tasks"

    def __init__(self, endpoint: str, commits: Mapping[str, Mapping[str, bytes]], refs: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.commits = commits
        self.refs = refs
        """Branches and tags, and the commit of each."""
        self.refusal: Refusal | None = None
        self.requests: list[str] = []
        """`GET /api/datasets/…`, in the order of their arrival."""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        found = re.fullmatch(
            rf"/(?:api/)?datasets/{self.name}(?:/(revision|tree|resolve)/([^/?]+)(?:/([^?]+))?)?(?:\?.*)?", path
        )
        if self.refusal or not found:
            return _refused(*(self.refusal or UNKNOWN_DATASET))
        kind, revision, file = found.groups()
        revision = (revision or "main").replace("%2F", "/")
        commit = self.refs.get(revision, revision)
        if commit not in self.commits:
            return _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = self.commits[commit]
        if kind == "resolve":
            if file not in files:
                return _refused(404, "EntryNotFound", "Entry not found")
            return 200, {"ETag": f'"{_digest(files[file])}"', "X-Repo-Commit": commit}, files[file]
        folder = file or "" if kind == "tree" else ""
        listed = [
            {"type": "file", "path": name, "rfilename": name, "size": len(body), "oid": _digest(body)}
            for name, body in files.items()
            if name.startswith(folder)
        ]
        found_there = listed if kind == "tree" else {"id": self.name, "sha": commit, "siblings": listed}
        return 200, {"Content-Type": "application/json"}, json.dumps(found_there).encode()


def _digest(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


def _refused(status: int, code: str, words: str) -> tuple[int, dict[str, str], bytes]:
    headers = {"X-Error-Code": code, "X-Error-Message": words, "Content-Type": "application/json"}
    return status, headers, json.dumps({"error": words}).encode()


@contextlib.contextmanager
def fake_hub(commits: Mapping[str, Mapping[str, bytes]], refs: Mapping[str, str]) -> Iterator[FakeHub]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_port}", commits, refs)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
