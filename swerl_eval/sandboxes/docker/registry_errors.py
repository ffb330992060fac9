"""Classifies the engine's messages about images that a registry does not give: transient or final, and the remedy.

Only what is known to be final is not tried again; anything else is, within a bound. The patterns are those of Docker
20.10 to 28 and Podman 4, which pass on the messages of registries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from swerl_eval.core.errors import EngineUnavailableError, SandboxError

_OTHER_WAYS = (
    "build it with `swerl-eval images build`, load it with `docker load`, or check its name and the registry's address"
)
LONGEST_WAIT = 900.0
"""Seconds. A registry that asks for a longer wait is not waited for."""


@dataclass(frozen=True)
class FailureKind:
    """One kind of failure."""

    pattern: re.Pattern[str]
    """Of the engine's message in lower case."""
    is_transient: bool
    remedy: str


RATE_LIMITED = FailureKind(
    re.compile(r"toomanyrequests|too many requests|rate.?limit|\b429\b"),
    is_transient=True,
    remedy=(
        "the registry limits how much is pulled (Docker Hub: by the hour, less without a login): `docker login`, or "
        "the same command again later"
    ),
)
_CHECK_NETWORK = "check the network and the registry's address; the same command tries again"
OFFLINE = FailureKind(
    re.compile(r"no such host|network is unreachable|no route to host|server misbehaving|temporary failure in name"),
    is_transient=True,
    remedy=f"{_CHECK_NETWORK}. Without a network, {_OTHER_WAYS}",
)
"""No registry can be reached, which usually lasts longer than the outage of one registry."""
UNREACHABLE = FailureKind(re.compile(""), is_transient=True, remedy=_CHECK_NETWORK)
FAILURE_KINDS = (
    RATE_LIMITED,
    FailureKind(
        re.compile(r"no space left|disk quota exceeded"),
        is_transient=False,
        remedy=(
            "the engine's disk is full: remove images (`swerl-eval images prune`, `docker system df` shows what takes "
            "room), or let unused ones make room (--disk 100GB)"
        ),
    ),
    FailureKind(
        re.compile(r"unauthorized|authentication required|no basic auth|denied|forbidden"),
        is_transient=False,
        remedy=f"where it is private, `docker login` to its registry; else {_OTHER_WAYS}",
    ),
    FailureKind(
        re.compile(r"manifest unknown|name unknown|not found|no such image|does not exist|no matching manifest"),
        is_transient=False,
        remedy=_OTHER_WAYS,
    ),
    FailureKind(
        re.compile(r"http response to https client|unknown authority|invalid reference|not supported|unsupported"),
        is_transient=False,
        remedy="check the registry's address, and whether the engine trusts it (`insecure-registries`)",
    ),
    OFFLINE,
    UNREACHABLE,
)
"""The first one whose pattern matches counts; the last one always matches."""
_BROKEN_CALL = re.compile(r"timed out|connection aborted|reset by peer|broken pipe|incomplete ?read|connection broken")
_RETRY_AFTER = re.compile(r"retry[- ]after[:=]?\s*([0-9.]+)\s*(ns|[uµμ]s|ms|s|m|h)?")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def classify(message: str, image: str) -> FailureKind:
    """Kind of the failure that the engine reports for `image`, whose name in the message is ignored."""
    text = _without_name(message, image)
    return next(kind for kind in FAILURE_KINDS if kind.pattern.search(text))


def is_transient(error: BaseException, image: str) -> bool:
    """Whether a failed pull, or a failed question for an image, is worth another try."""
    if isinstance(error, EngineUnavailableError):
        # a call that broke or stalled is; an engine that is away is waited for elsewhere (`sandboxes.retrying`)
        return bool(_BROKEN_CALL.search(str(error).lower()))
    message = str(error)
    return (
        isinstance(error, SandboxError)
        and classify(message, image).is_transient
        and retry_after(message) <= LONGEST_WAIT
    )


def retry_after(message: str) -> float:
    """Seconds that a registry asks to wait, or 0; read from the text, since the engine passes on no headers."""
    match = _RETRY_AFTER.search(message.lower())
    try:
        return float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    except ValueError:
        return 0.0


def remedy(message: str, image: str) -> str:
    """What the user can do about a failure."""
    wait = retry_after(message)
    return (f"it asks to wait for {wait:,.0f} s; " if wait else "") + classify(message, image).remedy


def _without_name(message: str, image: str) -> str:
    """A message in lower case without the image's name: names of instances end in numbers that look like a status."""
    name = image.partition("@")[0].lower()
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    text = message.lower()
    for part in (name, repository, repository.rpartition("/")[2]):
        text = text.replace(part, "") if part else text
    return text
