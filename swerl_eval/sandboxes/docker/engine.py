"""Connects to the Docker engine, describes it, and translates its client's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from swerl_eval.core.errors import DISK_FULL_ERRNOS, EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Machine

API_TIMEOUT = 120.0
"""Seconds for one call of the engine's API. Creating a container on a slow disk was seen to take 40."""

NO_ENGINE = (
    "no Docker engine answers ({reason}). Install one (`apt-get install docker.io`), start it (`dockerd`, or "
    "`systemctl start docker`) and let this user reach it (group `docker`, DOCKER_HOST, or `docker context use`); "
    "`swerl-eval doctor` checks"
)


def connect(pool: int = 32) -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST or the context of the docker command names.

    Args:
        pool: Connections to the engine that are kept open for reuse.

    Raises:
        EngineUnavailableError: No engine answers; with the remedy.
    """
    try:
        client = docker.from_env(timeout=API_TIMEOUT, max_pool_size=pool)
        client.ping()
    except Exception as error:  # for an unreadable context the library raises errors of any kind
        raise EngineUnavailableError(NO_ENGINE.format(reason=_short(error))) from error
    return client


def is_podman(client: docker.DockerClient) -> bool:
    """Whether the engine is Podman, which cannot ask registries for images and does not tell the size of layers."""
    with translated("asking the engine for its version"):
        components = client.version().get("Components") or []
    return any(str(component.get("Name", "")).startswith("Podman") for component in components)


def machine_of(client: docker.DockerClient) -> Machine:
    """The engine, and the machine it runs on."""
    with translated("asking the Docker engine for its size"):
        info = client.info()
    return Machine(
        engine=f"{'Podman' if is_podman(client) else 'Docker'} {info['ServerVersion']}",
        architecture=str(info["Architecture"]),
        cpus=float(info["NCPU"]),
        memory=int(info["MemTotal"]),
        kernel=str(info["KernelVersion"]),
    )


def local_root(client: docker.DockerClient) -> Path | None:
    """Folder where the engine keeps images and containers; None where it is on another machine."""
    with translated("asking the Docker engine for its folder"):
        root = Path(str(client.info().get("DockerRootDir") or "/nonexistent"))
    local = client.api.base_url == "http+docker://localhost"  # a socket of this machine
    return root if local and root.exists() else None


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn the client library's errors into a `SandboxError` whose message begins with `action`."""
    try:
        yield
    except docker.errors.ImageNotFound as error:
        message = f"{action}: {_short(error)}"
        raise ImageMissingError(message) from error
    except docker.errors.APIError as error:
        message = f"{action}: {_short(error)}"
        raise SandboxError(message) from error
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        message = f"{action}: the Docker engine does not answer ({_short(error)})"
        raise EngineUnavailableError(message) from error
    except OSError as error:  # such as a full disk of the log
        message = f"{action}: {error.strerror or error}"
        if error.errno in DISK_FULL_ERRNOS:
            message += "; free some of this machine's disk, or choose another --results"
        raise SandboxError(message) from error


def _short(error: BaseException) -> str:
    explanation: Any = getattr(error, "explanation", None) or error
    if isinstance(explanation, bytes):
        explanation = explanation.decode(errors="replace")
    lines = str(explanation).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
