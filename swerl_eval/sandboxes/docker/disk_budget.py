"""What images take on the engine's disk, and the budget for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import docker

from swerl_eval.core.errors import ImageMissingError, SandboxError
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.docker.ledger import Entry, Ledger

NEWEST_USAGE_API = (1, 44)
"""Later versions of the API answer in another form; every engine that has them speaks this one too."""
BUSY_SECONDS = 30.0
"""How long another client's question for the same is waited for; old engines answer one at a time."""
USAGE_TTL = 60.0
"""How long the last answer is built on, since other processes pull too."""


@dataclass(frozen=True)
class ImageDiskUsage:
    """Bytes that images take."""

    layers: int
    """All images of the engine, shared layers counted once."""
    own: Mapping[str, int]
    """By image digest: layers that no other image has."""
    shared: Mapping[str, int]
    """By image digest: layers that other images have too."""


def usage(client: docker.DockerClient) -> ImageDiskUsage:
    """Ask the engine, which may take seconds where there are many containers. Raises `SandboxError`."""
    version = min(tuple(int(part) for part in client.api.api_version.split(".")), NEWEST_USAGE_API)
    address = f"{client.api.base_url}/v{version[0]}.{version[1]}/system/df"
    give_up = time.monotonic() + BUSY_SECONDS
    with translated("asking for the size of images"):
        while True:
            # `type` spares newer engines the walk through volumes and containers
            response = client.api.get(address, params={"type": "image"}, timeout=client.api.timeout)
            if response.ok:
                break
            if "already running" not in response.text or time.monotonic() > give_up:
                message = f"asking for the size of images: {response.text.strip()[:300]}"
                raise SandboxError(message)
            time.sleep(0.5)
    found = response.json()
    own: dict[str, int] = {}
    shared: dict[str, int] = {}
    for image in found.get("Images") or []:
        common = max(0, int(image.get("SharedSize") or 0))
        digest = f"sha256:{image['Id'].removeprefix('sha256:')}"  # Podman leaves the algorithm away
        own[digest], shared[digest] = int(image["Size"]) - common, common
    # Podman does not tell what layers take: shared ones count for each image then, which keeps any budget
    layers = int(found.get("LayersSize") or 0) or sum(own.values()) + sum(shared.values())
    return ImageDiskUsage(layers, own, shared)


class Budget:
    """Keeps the engine's images within so many bytes, by removing what this tool pulled and nobody uses.

    `remove(name)` removes an image's name; `digest(name)` says what is under it now, or None.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        ledger: Ledger,
        disk: int | None,
        remove: Callable[[str], None],
        digest: Callable[[str], str | None],
    ) -> None:
        self._client, self._ledger, self.disk = client, ledger, disk
        self._remove_name, self._digest = remove, digest
        self._lock = threading.Lock()
        self._bound = 0
        """Layers at most, since the last answer of the engine."""
        self._asked = float("-inf")
        self._largest = 0
        """The most that an image was seen to have of its own: what the next one may need."""
        self._largest_whole = 0
        """As above with shared layers, which needs no question to the engine."""
        self.wanted: Collection[str] = ()
        """Fetched ahead and not used yet: these go last, and never to make room for others that are fetched ahead."""

    def pulled(self, size: int) -> None:
        """An image of this size has come."""
        with self._lock:
            self._bound += size
            self._largest_whole = max(self._largest_whole, size)

    def trim(self, *, ahead: bool = False) -> bool:
        """Remove the least recently used images until the budget is kept; returns whether it is.

        `ahead`: until there is room for one more image, as large as the largest seen.
        """
        if self.disk is None:
            return True
        with self._lock:
            fresh = time.monotonic() - self._asked < USAGE_TTL
            if fresh and self._bound + (self._largest_whole if ahead else 0) <= self.disk:
                return True
            try:
                return self._make_room(self.disk, ahead=ahead)
            except SandboxError:
                return False  # jobs go on; what is wrong with the engine they will say themselves

    def _make_room(self, disk: int, *, ahead: bool) -> bool:
        while True:
            found = usage(self._client)
            self._bound, self._asked = found.layers, time.monotonic()
            ours = [found.own.get(entry.digest, 0) for entry in self._ledger.entries().values()]
            self._largest = max([self._largest, *ours])
            if found.layers + (self._largest if ahead else 0) <= disk:
                return True
            if (self._largest > disk and ahead) or self._ledger.evict(self._order(ahead=ahead), self._gone) is None:
                return False

    def _order(self, *, ahead: bool) -> Callable[[Mapping[str, Entry]], Sequence[str]]:
        wanted = set(self.wanted)

        def order(idle: Mapping[str, Entry]) -> list[str]:
            by_use = sorted(idle, key=lambda name: idle[name].used)
            late = [name for name in reversed(by_use) if name in wanted]  # the one needed last goes first
            return [name for name in by_use if name not in wanted] + ([] if ahead else late)

        return order

    def _gone(self, name: str, entry: Entry) -> bool:
        try:
            if self._digest(name) == entry.digest:
                self._remove_name(name)
        except ImageMissingError:
            return True
        except SandboxError:
            return False  # a container of somebody else needs it, most likely
        return True
