"""`swerl-eval view`: serves the pages of a folder of results on this machine until it is interrupted."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.style import Style
from rich.text import Text

from swerl_eval.cli.view.guard import known_hosts
from swerl_eval.core.errors import UsageError
from swerl_eval.ports import ignore
from swerl_eval.records.manifest import MANIFEST_FILE
from swerl_eval.shutdown import exit_soon

if TYPE_CHECKING:
    import uvicorn

PORT = 7575
MORE_PORTS = 20
"""Ports after the usual one that are tried where none was asked for."""
CLOSE_SECONDS = 1
"""Time for answers under way at the end, and then for threads."""
_BACKLOG = 128


def view_results(results: Path, host: str, port: int | None, seed: int, *, open_browser: bool) -> None:
    """Serve the pages of a folder of results until SIGINT or SIGTERM.

    Args:
        results: The folder of run folders.
        host: Name or address to listen on.
        port: The port; None: `PORT`, or the next one that is free.
        seed: Seed of the bootstrap in comparisons.
        open_browser: Open the list in a browser.

    Raises:
        UsageError: There is no such folder, or the server cannot listen there.
    """
    if (results / MANIFEST_FILE).exists():
        message = f"{results} is one run; name the folder that holds it: swerl-eval view {results.absolute().parent}"
        raise UsageError(message)
    if not results.is_dir():
        message = f"there is no folder {results}; name the folder that holds the run folders"
        raise UsageError(message)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), listening(host, port) as listener:
        address = address_of(host, listener)

        def started() -> None:
            _announce(address, results)
            if not _is_loopback(listener):
                number = listener.getsockname()[1]
                sys.stderr.write(f"swerl-eval: everybody who reaches {host}, port {number}, can read the results\n")
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        # at a signal it ends in good order, and raises the signal again
        server_of(results, host, listener, seed, started).run(sockets=[listener])
    exit_soon(0, CLOSE_SECONDS)  # nothing is lost with a page that is being made


def listening(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: The port is taken, or the host is not of this machine.
    """
    wanted = [PORT + more for more in range(MORE_PORTS)] if port is None else [port]
    for number in wanted:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            message = f"--host {host}: {error.strerror}; name an address of this machine"
            raise UsageError(message) from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was left a moment ago
            listener.bind(place)
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                message = f"cannot listen on {host}, port {number}: {error.strerror}; choose others (--host, --port)"
                raise UsageError(message) from error
    message = (
        f"port {port} of {host} is taken by another program; choose another --port"
        if port is not None
        else f"the ports {wanted[0]} to {wanted[-1]} of {host} are taken by other programs; choose one with --port"
    )
    raise UsageError(message)


def address_of(host: str, listener: socket.socket) -> str:
    """Return the address to open: the host as it was given, or this machine for one that listens everywhere."""
    bound, port = listener.getsockname()[:2]
    name = "localhost" if ipaddress.ip_address(bound).is_unspecified else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _announce(address: str, results: Path) -> None:
    link = Text(address, style=Style(bold=True, link=address))
    console = Console()
    console.print(Text.assemble("The runs of ", str(results), ": ", link), soft_wrap=True)
    console.print(Text("Ctrl-C ends this.", style="dim"))


def server_of(
    results: Path, host: str, listener: socket.socket, seed: int, started: Callable[[], None] = ignore
) -> uvicorn.Server:
    """Return the server of a folder's pages.

    Args:
        results: The folder of run folders.
        host: The host that the socket was made for.
        listener: The socket that it will be run with.
        seed: Seed of the bootstrap in comparisons.
        started: Called when it serves, and a signal ends it in good order.
    """
    import uvicorn

    from swerl_eval.cli.view.server import application

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    config = uvicorn.Config(
        application(results, known_hosts(host, listener.getsockname()[1]), seed),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    server = Server(config)
    # at the end it would report each answer that never came
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    return server
