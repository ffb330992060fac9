"""Guards the pages: answers only requests that are meant for this server, and says in each answer what a page may do.

A page of another site can make a browser send requests here, and by a name of its own that leads to this machine (DNS
rebinding) it could read the answers. The host that a request names gives that away.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
METHODS = (b"GET", b"HEAD")
NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
"""The policy of answers that bring none."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HTTP_PORT = 80


@dataclass(frozen=True)
class KnownHosts:
    """The hosts by which a server is addressed.

    Args:
        names: Host names and addresses.
        port: The port of the server.
        any_address: Whether every address of a machine may be meant, since the server listens on all of them. No
            other site has an address instead of a name.
    """

    names: Collection[str]
    port: int
    any_address: bool = False

    def __contains__(self, header: str) -> bool:
        """Whether a `Host` header names this server."""
        name, port = _split(header)
        if port != str(self.port) and (port or self.port != _HTTP_PORT):
            return False
        return name in self.names or (self.any_address and is_address(name))


def known_hosts(host: str, port: int) -> KnownHosts:
    """Return the hosts by which a server is addressed that listens on this host and port."""
    everywhere = is_address(host) and ipaddress.ip_address(host).is_unspecified
    own = (socket.gethostname().lower(), socket.getfqdn().lower()) if everywhere else (host.lower(),)
    return KnownHosts(frozenset((*LOOPBACK_NAMES, *own)), port, any_address=everywhere)


def is_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _split(header: str) -> tuple[str, str]:
    """Return name and port of a `Host` header, the name in small letters and without brackets."""
    name, colon, port = header.strip().lower().rpartition(":")
    if not colon or port.endswith("]"):
        name, port = header.strip().lower(), ""
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1], port
    return ("", port) if ":" in name else (name, port)


class Guard:
    """Middleware (ASGI) that refuses what is not for this server, and adds the headers that every answer has.

    Args:
        app: The application.
        hosts: The hosts that requests may name.
    """

    def __init__(self, app: App, hosts: KnownHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                if all(name.lower() != b"content-security-policy" for name, _ in own):
                    own.append((b"content-security-policy", NO_PAGE))
                message = {**message, "headers": [*own, *HEADERS]}
            await send(message)

        if scope["type"] != "http":
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            await _refuse(send_guarded, 421, _misdirected(self._hosts))
        elif scope["method"].encode() not in METHODS:
            await _refuse(send_guarded, 405, "These pages can only be read.", (b"allow", b"GET, HEAD"))
        else:
            await self._app(scope, receive, send_guarded)


def _misdirected(hosts: KnownHosts) -> str:
    return (
        f"Refused: the request is for another host. Open http://localhost:{hosts.port}/, or start the server with the "
        "name that you use: swerl-eval view --host NAME. This keeps other sites from reading your results through "
        "your browser."
    )


async def _refuse(send: Send, status: int, words: str, *headers: tuple[bytes, bytes]) -> None:
    body = words.encode() + b"\n"
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
