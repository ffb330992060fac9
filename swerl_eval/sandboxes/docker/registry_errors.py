"""What the engine says when a registry does not give an image: whether that may pass, when, and the remedy.

Only what is known to stay is final; anything else is tried again within a bound. The words are those of Docker 20.10 to
28 and Podman 4, which pass on what registries say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from swerl_eval.core.errors import EngineUnavailableError, SandboxError

_ANOTHER_WAY = (
    "build it with `swerl-eval images build`, load it with `docker load`, or check its name and the registry's address"
)
LONGEST_WAIT = 900.0
"""Seconds that a registry may ask for; who asks for more is not waited for."""


@dataclass(frozen=True)
class Trouble:
    """One kind of failure."""

    words: re.Pattern[str]
    passes: bool
    remedy: str


LIMITED = Trouble(
    re.compile(r"toomanyrequests|too many requests|rate.?limit|\b429\b"),
    passes=True,
    remedy=(
        "the registry limits how much is pulled (Docker Hub: by the hour, less without a login): `docker login`, or "
        "the same command again later"
    ),
)
_NO_NETWORK = "check the network and the registry's address; the same command tries again"
OFFLINE = Trouble(
    re.compile(r"no such host|network is unreachable|no route to host|server misbehaving|temporary failure in name"),
    passes=True,
    remedy=f"{_NO_NETWORK}. Without a network, {_ANOTHER_WAY}",
)
"""There is no way to any registry: as a rule for longer than one of them is away."""
UNREACHABLE = Trouble(re.compile(""), passes=True, remedy=_NO_NETWORK)
TROUBLES = (
    LIMITED,
    Trouble(
        re.compile(r"no space left|disk quota exceeded"),
        passes=False,
        remedy=(
            "the engine's disk is full: remove images (`swerl-eval images prune`, `docker system df` shows what takes "
            "room), or let unused ones make room (--disk 100GB)"
        ),
    ),
    Trouble(
        re.compile(r"unauthorized|authentication required|no basic auth|denied|forbidden"),
        passes=False,
        remedy=f"where it is private, `docker login` to its registry; else {_ANOTHER_WAY}",
    ),
    Trouble(
        re.compile(r"manifest unknown|name unknown|not found|no such image|does not exist|no matching manifest"),
        passes=False,
        remedy=_ANOTHER_WAY,
    ),
    Trouble(
        re.compile(r"http response to https client|unknown authority|invalid reference|not supported|unsupported"),
        passes=False,
        remedy="check the registry's address, and whether the engine trusts it (`insecure-registries`)",
    ),
    OFFLINE,
    UNREACHABLE,
)
"""The first whose words are there counts; the last one's always are."""
_BROKEN = re.compile(r"timed out|connection aborted|reset by peer|broken pipe|incomplete ?read|connection broken")
_AFTER = re.compile(r"retry[- ]after[:=]?\s*([0-9.]+)\s*(ns|[uµμ]s|ms|s|m|h)?")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def trouble(said: str, image: str) -> Trouble:
    """What kind of failure these words of the engine tell; the image's own name does not count."""
    return next(each for each in TROUBLES if each.words.search(_without_name(said, image)))


def may_pass(error: BaseException, image: str) -> bool:
    """Whether a failed pull, or a failed question for an image, is worth another try."""
    if isinstance(error, EngineUnavailableError):
        # a call that broke off or stalled; an engine that is away is for who waits for engines
        return bool(_BROKEN.search(str(error).lower()))
    said = str(error)
    return isinstance(error, SandboxError) and trouble(said, image).passes and retry_after(said) <= LONGEST_WAIT


def retry_after(said: str) -> float:
    """Seconds that a registry asks to wait; 0 where it does not say. The engine passes on texts, but no headers."""
    found = _AFTER.search(said.lower())
    try:
        return float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    except ValueError:
        return 0.0


def remedy(said: str, image: str) -> str:
    """What to do about it."""
    wait = retry_after(said)
    return (f"it asks to wait for {wait:,.0f} s; " if wait else "") + trouble(said, image).remedy


def _without_name(said: str, image: str) -> str:
    """Names of instances end in numbers, which may look like a status."""
    name = image.partition("@")[0].lower()
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    text = said.lower()
    for part in (name, repository, repository.rpartition("/")[2]):
        text = text.replace(part, "") if part else text
    return text
