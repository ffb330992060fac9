"""A real registry (Debian's docker-registry) on loopback, and in front of it one that misbehaves as a test says."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swerl_eval.sandboxes.docker.engine import connect
from tests.fake_registry import MANIFEST, FakeRegistry, Layer, serving

PROGRAM = "docker-registry"
STARTS_WITHIN = 120.0
CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {folder}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass
class FaultyRegistry(FakeRegistry):
    """Passes requests on to the real registry, unless a fault applies."""

    real_port: int = 0
    """Port of the real registry."""

    def push(self, name: str, layer: Layer) -> str:
        """Push an image of one layer to the real registry; returns the name to pull it by from this one."""
        client = connect()
        repository = f"localhost:{self.real_port}/{name}"
        client.api.import_image_from_data(layer.blob, repository=repository, tag="1")
        try:
            errors = [
                step for step in client.api.push(repository, tag="1", stream=True, decode=True) if "error" in step
            ]
            assert not errors, errors
        finally:
            client.api.remove_image(f"{repository}:1")
            client.close()
        return f"localhost:{self.port}/{name}:1"

    def _find(self, path: str) -> bytes | None:
        address = f"http://127.0.0.1:{self.real_port}{path}"
        request = urllib.request.Request(address, headers={"Accept": MANIFEST})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError:
            return None


@contextlib.contextmanager
def real_registry(folder: Path) -> Iterator[int]:
    """The registry, on a free port, with its images below a folder."""
    program = shutil.which(PROGRAM)
    assert program is not None, f"{PROGRAM} is not installed (apt-get install {PROGRAM})"
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(CONFIG.format(folder=folder / "registry", port=port))
    with subprocess.Popen([program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            while not _answers(port):
                assert it.poll() is None, f"{PROGRAM} did not start"
                assert time.monotonic() < deadline, f"{PROGRAM} gives no answer"
                time.sleep(0.05)
            yield port
        finally:
            it.kill()


@contextlib.contextmanager
def real_registry_behind_faults(folder: Path) -> Iterator[FaultyRegistry]:
    """Both; what was pulled is gone from the engine at the end."""
    with real_registry(folder) as port, serving(FaultyRegistry(real_port=port)) as front:
        assert isinstance(front, FaultyRegistry)
        try:
            yield front
        finally:
            remove_images_of(front.port)


def remove_images_of(port: int) -> None:
    """Remove all images of a registry on this port from the engine."""
    client = connect()
    prefix = f"localhost:{port}/"
    for image in client.api.images():  # by digest too: one whose name went to another has nothing else
        tags = [name for name in image["RepoTags"] or () if "<none>" not in name]
        mine = [name for name in tags if name.startswith(prefix)]
        if mine or any(name.startswith(prefix) for name in image["RepoDigests"] or ()):
            # an image that has other names too was tagged by a test, and is somebody else's
            for name in mine if len(mine) < len(tags) else [image["Id"]]:
                client.api.remove_image(name, force=True)
    client.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
