"""Which requests the pages answer, and what every answer says of what a page may do."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from swerl_eval.cli.view.guard import Guard, known_hosts


def fine(_: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


def broken(_: Request) -> PlainTextResponse:
    raise RuntimeError("broken")


def client(host: str = "127.0.0.1", port: int = 7575) -> TestClient:
    app = Starlette(routes=[Route("/", fine, methods=["GET", "POST"]), Route("/broken", broken)])
    guarded = Guard(app, known_hosts(host, port))
    return TestClient(guarded, base_url=f"http://localhost:{port}", raise_server_exceptions=False)


@pytest.mark.parametrize("host", ["localhost:7575", "127.0.0.1:7575", "[::1]:7575", "LocalHost:7575"])
def test_this_machine_is_answered(host: str) -> None:
    assert client().get("/", headers={"host": host}).text == "fine"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7575", "localhost.evil.example:7575", "localhost", "localhost:7576", "127.0.0.1",
        "127.0.0.2:7575",
        "192.168.1.5:7575", "::1:7575", "[::1]", "[::2]:7575", "localhost:7575:7575", "", ":7575", "localhost:",
        "localhost:07575", "user@localhost:7575", "localhost:7575/", "0.0.0.0:7575", "[localhost]:7575x",
    ],
)  # fmt: skip
def test_another_host_is_refused_with_the_remedy(host: str) -> None:
    answer = client().get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "Open http://localhost:7575/" in answer.text
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30))
def test_no_other_name_is_taken_for_this_machine(name: str) -> None:
    hosts = known_hosts("127.0.0.1", 7575)
    if name.strip().lower() not in {"localhost:7575", "127.0.0.1:7575", "[::1]:7575"}:
        assert name not in hosts


def test_a_given_host_is_answered_beside_this_machine() -> None:
    assert client("gpu-box").get("/", headers={"host": "GPU-box:7575"}).status_code == 200
    assert client("gpu-box").get("/", headers={"host": "localhost:7575"}).status_code == 200
    assert client("gpu-box").get("/", headers={"host": "other-box:7575"}).status_code == 421
    assert client("fe80::1").get("/", headers={"host": "[fe80::1]:7575"}).status_code == 200


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_server_that_listens_everywhere_is_answered_by_address_and_by_own_name(everywhere: str) -> None:
    for host in ("192.168.1.5:7575", "[fe80::1]:7575", f"{socket.gethostname()}:7575"):
        assert client(everywhere).get("/", headers={"host": host}).status_code == 200, host
    for host in ("evil.example:7575", "192.168.1.5.evil.example:7575", "192.168.1.5:80"):
        assert client(everywhere).get("/", headers={"host": host}).status_code == 421, host


def test_the_usual_port_of_the_web_need_not_be_named() -> None:
    assert client(port=80).get("/", headers={"host": "localhost"}).status_code == 200
    assert client(port=80).get("/", headers={"host": "localhost:80"}).status_code == 200


def test_two_hosts_are_none() -> None:
    answer = client().get("/", headers=[("host", "localhost:7575"), ("host", "localhost:7575")])
    assert answer.status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_but_reading_is_allowed(method: str) -> None:
    answer = client().request(method, "/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.text == "These pages can only be read.\n"


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/", "localhost:7575", 200),
        ("HEAD", "/", "localhost:7575", 200),
        ("GET", "/nowhere", "localhost:7575", 404),
        ("GET", "/broken", "localhost:7575", 500),
        ("POST", "/", "localhost:7575", 405),
        ("GET", "/", "evil.example", 421),
    ],
)
def test_every_answer_has_the_headers(method: str, path: str, host: str, status: int) -> None:
    answer = client().request(method, path, headers={"host": host})
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert {name: answer.headers.get(name) for name in answer.headers if name.startswith(("cross", "x-", "ref"))} == {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
