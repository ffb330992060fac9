"""What is made of the words of engines and registries."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from swerl_eval.core.errors import EngineUnavailableError, SandboxError
from swerl_eval.sandboxes.docker.registry_errors import LONGEST_WAIT, classify, is_transient, remedy, retry_after

IMAGE = "swebench/sweb.eval.x86_64.django_1776_django-429:latest"
PASSING = [
    "toomanyrequests: You have reached your pull rate limit",
    "error parsing HTTP 429 response body: invalid character 'T'",
    'Get "https://registry.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
    'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.2:53: no such host',
    'Get "https://registry.example/v2/": dial tcp 10.0.0.1:443: connect: network is unreachable',
    'Get "https://registry.example/v2/": dial tcp 10.0.0.1:443: connect: no route to host',
    "received unexpected HTTP status: 522 <unknown status>",
    "received unexpected HTTP status: 503 Service Unavailable",
    "unknown: Internal Server Error",
    "http2: server sent GOAWAY and closed the connection; LastStreamID=1999",
    "net/http: TLS handshake timeout",
    "x509: certificate has expired or is not yet valid",
    "filesystem layer verification failed for digest sha256:5f70bf18a086007016e948b0",
    "error pulling image configuration: download failed after attempts=6: read: connection reset by peer",
]
FINAL = [
    "manifest for x:1 not found: manifest unknown: manifest unknown",
    "pull access denied for x, repository does not exist or may require 'docker login': denied: no access",
    "unauthorized: authentication required",
    "no matching manifest for linux/arm64/v8 in the manifest list entries",
    "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
    'Get "https://localhost:5/v2/": http: server gave HTTP response to HTTPS client',
    "x509: certificate signed by unknown authority",
    f"toomanyrequests: retry-after: {LONGEST_WAIT + 1}s",
]


@pytest.mark.parametrize("message", PASSING)
def test_what_a_network_or_a_busy_registry_says_may_pass(message: str) -> None:
    assert is_transient(SandboxError(f"pulling {IMAGE}: {message}"), IMAGE)


@pytest.mark.parametrize("message", FINAL)
def test_what_no_patience_mends_is_final(message: str) -> None:
    assert not is_transient(SandboxError(f"pulling {IMAGE}: {message}"), IMAGE)


def test_the_name_of_an_image_is_no_status() -> None:
    for name in ("a/django-429:latest", "a/denied:1", "localhost:429/not-found:1", "a/unauthorized@sha256:0"):
        assert is_transient(SandboxError(f"pulling {name}: EOF"), name)
    assert classify(f"manifest for {IMAGE} not found", IMAGE) is classify("manifest not found", "")


def test_an_engine_that_is_away_is_not_waited_for_by_a_pull_but_a_call_that_broke_is_tried_again() -> None:
    away = "pulling x: the Docker engine does not answer (Connection refused)"
    broken = "pulling x: the Docker engine does not answer (('Connection aborted.', RemoteDisconnected()))"
    assert [is_transient(EngineUnavailableError(message), "x") for message in (away, broken)] == [False, True]
    assert not is_transient(ValueError("EOF"), "x")


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("toomanyrequests: retry-after: 1.5s, allowed: 44000/minute", 1.5),
        ("Retry-After: 30", 30.0),
        ("retry after 235.1µs", 235.1e-6),
        ("retry-after=2m", 120.0),
        ("toomanyrequests", 0.0),
        ("retry-after: ...", 0.0),
        ("retry-after: 1.2.3s", 0.0),
    ],
)
def test_how_long_a_registry_asks_to_wait_is_read_from_its_words(message: str, seconds: float) -> None:
    assert retry_after(message) == pytest.approx(seconds)


@given(st.text(), st.text())
def test_any_words_have_a_kind_a_wait_and_a_remedy(message: str, image: str) -> None:
    assert classify(message, image).remedy in remedy(message, image)
    assert retry_after(message) >= 0.0


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("no space left on device", "--disk 100GB"),
        ("no space left on device", "`swerl-eval images prune`"),
        ("unauthorized: authentication required", "`docker login`"),
        ("toomanyrequests: retry-after: 90s", "it asks to wait for 90 s; "),
        ("manifest unknown", "`swerl-eval images build`"),
        ("connection refused", "check the network"),
    ],
)
def test_the_remedy_fits_the_reason(message: str, word: str) -> None:
    assert word in remedy(message, IMAGE)
