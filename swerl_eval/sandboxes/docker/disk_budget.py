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
"""Later versions of the API answer in another form. Every engine that has them also speaks this version."""
BUSY_SECONDS = 30.0
"""How long to wait while the engine answers the same question of another client; old engines answer one at a time."""
USAGE_TTL = 60.0
"""Seconds for which an answer of the engine is used; other processes pull images too."""


@dataclass(frozen=True)
class ImageDiskUsage:
    """Bytes that images take."""

    layers: int
    """All images of the engine together, shared layers counted once."""
    own: Mapping[str, int]
    """By image digest: layers that no other image has."""
    shared: Mapping[str, int]
    """By image digest: layers that other images have too."""


def image_disk_usage(client: docker.DockerClient) -> ImageDiskUsage:
    """Ask the engine for the disk usage of images, which may take seconds on an engine with many containers.

    Raises:
        SandboxError: The engine does not tell.
    """
    version = min(tuple(int(part) for part in client.api.api_version.split(".")), NEWEST_USAGE_API)
    address = f"{client.api.base_url}/v{version[0]}.{version[1]}/system/df"
    give_up_at = time.monotonic() + BUSY_SECONDS
    with translated("asking for the size of images"):
        while True:
            # `type` saves newer engines the walk through volumes and containers
            response = client.api.get(address, params={"type": "image"}, timeout=client.api.timeout)
            if response.ok:
                break
            if "already running" not in response.text or time.monotonic() > give_up_at:
                message = f"asking for the size of images: {response.text.strip()[:300]}"
                raise SandboxError(message)
            time.sleep(0.5)
    answer = response.json()
    own: dict[str, int] = {}
    shared: dict[str, int] = {}
    for image in answer.get("Images") or []:
        common = max(0, int(image.get("SharedSize") or 0))
        digest = f"sha256:{image['Id'].removeprefix('sha256:')}"  # Podman leaves out the algorithm
        own[digest], shared[digest] = int(image["Size"]) - common, common
    # Podman does not tell the size of layers: shared ones then count once per image, which is on the safe side
    layers = int(answer.get("LayersSize") or 0) or sum(own.values()) + sum(shared.values())
    return ImageDiskUsage(layers, own, shared)


class Budget:
    """Keeps the engine's images within a number of bytes: removes unused images that this tool pulled."""

    def __init__(
        self,
        client: docker.DockerClient,
        ledger: Ledger,
        limit: int | None,
        remove: Callable[[str], None],
        digest: Callable[[str], str | None],
    ) -> None:
        """Set up the budget without asking the engine.

        Args:
            client: The engine.
            ledger: The images that this tool pulled.
            limit: Bytes; None for no limit.
            remove: Removes an image's name.
            digest: Returns the content digest of the image that has a name now, or None.
        """
        self._client, self._ledger, self._limit = client, ledger, limit
        self._remove, self._digest = remove, digest
        self._lock = threading.Lock()
        self._layers_at_most = 0
        """Upper bound of the layers' bytes: the engine's last answer and what was pulled since."""
        self._asked_at = float("-inf")
        self._largest_own = 0
        """Most bytes of its own that an image of the ledger was seen to have."""
        self._largest_whole = 0
        """Most bytes, shared layers included, of an image that was pulled; known without asking the engine."""
        self.wanted: Collection[str] = ()
        """Prefetched images that no job has used yet. They are evicted last, and never for another prefetch."""

    def pulled(self, size: int) -> None:
        """Count an image of `size` bytes that was pulled."""
        with self._lock:
            self._layers_at_most += size
            self._largest_whole = max(self._largest_whole, size)

    def trim(self, *, for_prefetch: bool = False) -> bool:
        """Remove the least recently used images until the budget is kept.

        Args:
            for_prefetch: Make room for one more image as well, as large as the largest seen.

        Returns:
            Whether the budget is kept now.
        """
        if self._limit is None:
            return True
        with self._lock:
            is_fresh = time.monotonic() - self._asked_at < USAGE_TTL
            if is_fresh and self._layers_at_most + (self._largest_whole if for_prefetch else 0) <= self._limit:
                return True
            try:
                return self._make_room(self._limit, for_prefetch=for_prefetch)
            except SandboxError:
                return False  # jobs go on, and report themselves what is wrong with the engine

    def _make_room(self, limit: int, *, for_prefetch: bool) -> bool:
        while True:
            usage = image_disk_usage(self._client)
            self._layers_at_most, self._asked_at = usage.layers, time.monotonic()
            own_sizes = [usage.own.get(entry.digest, 0) for entry in self._ledger.entries().values()]
            self._largest_own = max([self._largest_own, *own_sizes])
            reserve = self._largest_own if for_prefetch else 0
            if usage.layers + reserve <= limit:
                return True
            if reserve > limit:
                return False
            if self._ledger.evict(self._eviction_order(for_prefetch=for_prefetch), self._evict) is None:
                return False

    def _eviction_order(self, *, for_prefetch: bool) -> Callable[[Mapping[str, Entry]], Sequence[str]]:
        wanted = set(self.wanted)

        def order(unused: Mapping[str, Entry]) -> list[str]:
            by_last_use = sorted(unused, key=lambda name: unused[name].used)
            others = [name for name in by_last_use if name not in wanted]
            if for_prefetch:
                return others
            return others + [name for name in reversed(by_last_use) if name in wanted]  # the one needed last goes first

        return order

    def _evict(self, name: str, entry: Entry) -> bool:
        """Remove an image that is still the one that was pulled; returns whether the ledger's image is gone."""
        try:
            if self._digest(name) == entry.digest:
                self._remove(name)
        except ImageMissingError:
            return True
        except SandboxError:
            return False  # most likely a container of somebody else needs it
        return True
