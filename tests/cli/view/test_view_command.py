"""`swerl-eval view` as a user types it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from swerl_eval.cli.view.command import MORE_PORTS, PORT, address_of, listening
from swerl_eval.core.errors import UsageError
from tests.reports.comparison_runs import made

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")


MAKING = """
import sys
from swerl_eval.shutdown import exit_soon
from swerl_eval.cli.app import main
from swerl_eval.cli.view.making import ReportMaker

def report(self, folder):
    print("MAKING", flush=True)
    while True:
        pass

ReportMaker.report = report
exit_soon.__defaults__ = (600.0,)
sys.exit(main())
"""
"""The command, with reports that take for ever, and with no limit to its end but its own."""


@contextmanager
def viewing(*arguments: object, program: tuple[str, ...] = (PROGRAM,)) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; yields its process and the address that it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "40"}
    command = [*program, "view", *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
        # a shell lets its background processes ignore the signal, and these tests may be in one
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://\S+/", line)
            assert address, (line, process.stderr and process.stderr.read())
            yield process, address[0]
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; returns exit code and standard error."""
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted_and_that_is_no_error(tmp_path: Path, number: signal.Signals) -> None:
    made(tmp_path / "r", "RRuu" * 3)
    with viewing(tmp_path, "--port", 0) as (process, address):
        kept = httpx.Client(timeout=240)  # a browser keeps its connection open
        assert "/runs/r" in kept.get(address).text
        process.send_signal(number)
        assert ended(process) == (0, "")


@pytest.mark.slow
def test_it_can_be_interrupted_before_it_has_answered_anything(tmp_path: Path) -> None:
    with viewing(tmp_path, "--port", 0) as (process, _):
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "")


@pytest.mark.slow
def test_a_report_that_is_being_made_does_not_delay_the_end(tmp_path: Path) -> None:
    made(tmp_path / "r", "RRuu" * 3)
    with viewing(tmp_path, "--port", 0, program=(sys.executable, "-c", MAKING)) as (process, address):
        asking = threading.Thread(target=_ask, args=(f"{address}runs/r/report",), daemon=True)
        asking.start()
        assert process.stdout is not None
        assert "MAKING\n" in process.stdout
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "")
        asking.join(60)


def _ask(address: str) -> None:
    with contextlib.suppress(httpx.HTTPError):  # the answer never comes
        httpx.get(address, timeout=300)


@pytest.mark.slow
def test_who_listens_for_others_is_warned(tmp_path: Path) -> None:
    with viewing(tmp_path, "--host", "0.0.0.0", "--port", 0) as (process, address):
        assert address.startswith("http://localhost:")
        assert httpx.get(address, timeout=240).status_code == 200
        process.send_signal(signal.SIGINT)
        code, errors = ended(process)
    assert code == 0
    assert re.fullmatch(r"swerl-eval: everybody who reaches 0\.0\.0\.0, port \d+, can read the results\n", errors)


@pytest.mark.slow
def test_the_results_are_those_of_the_settings_unless_named(tmp_path: Path) -> None:
    made(tmp_path / "own" / "from-settings", "RRuu" * 3)
    with viewing("--port", 0, "-c", f"results={tmp_path / 'own'}") as (_, address):
        assert "from-settings" in httpx.get(address, timeout=240).text


def told(*arguments: object) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [PROGRAM, "view", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=300)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr


@pytest.mark.slow
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "RRuu" * 3)
    assert f"there is no folder {tmp_path / 'nowhere'}; name the folder" in told(tmp_path / "nowhere")
    assert f"is one run; name the folder that holds it: swerl-eval view {tmp_path}" in told(folder)
    assert "--host no.such.host.invalid: " in told(tmp_path, "--host", "no.such.host.invalid")
    assert "cannot listen on 192.0.2.1" in told(tmp_path, "--host", "192.0.2.1")


def test_a_port_that_was_asked_for_and_is_taken_is_refused() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is taken by another program; choose another"):
            listening("127.0.0.1", port)


def test_without_a_port_the_next_free_one_is_taken() -> None:
    # another program may have some of them
    with listening("127.0.0.1", None) as first, listening("127.0.0.1", None) as second:
        ports = [first.getsockname()[1], second.getsockname()[1]]
    assert PORT <= ports[0] < ports[1] < PORT + MORE_PORTS


def test_a_port_of_a_server_that_has_just_ended_is_free_again() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as asking:
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first keeps the port in TIME_WAIT
            asking.recv(1)
    with listening("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize(
    ("host", "start"),
    [("127.0.0.1", "http://127.0.0.1:"), ("localhost", "http://localhost:"), ("::1", "http://[::1]:")],
)
def test_the_address_is_one_that_a_browser_takes(host: str, start: str) -> None:
    with listening(host, 0) as listener:
        assert address_of(host, listener) == f"{start}{listener.getsockname()[1]}/"
