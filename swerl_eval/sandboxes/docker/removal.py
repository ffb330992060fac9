"""Removes containers in the background, and remembers those that an engine could not remove."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

import docker
import docker.errors

from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.docker.engine import translated

CLOSE_SECONDS = 60.0
"""How long the end waits for removals. What an engine that does not answer keeps is left to the next start."""
REMOVAL_SECONDS = 30.0
"""How long a removal by somebody else is waited for; on a slow disk one was seen to take ten."""
POLL_SECONDS = 0.2
GONE, UNDER_WAY = 404, 409
"""Statuses of a removal that is not needed any more, and of one that somebody else has begun."""


class Removals:
    """Containers on their way out. Thread safe."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="remove")
        self._under_way: set[Future[bool]] = set()
        self._left: set[str] = set()

    def soon(self, container: str) -> None:
        """Remove a container, by its id or name, without waiting for it."""
        removal = self._threads.submit(self.now, container)
        self._under_way.add(removal)
        removal.add_done_callback(self._under_way.discard)

    def now(self, container: str) -> bool:
        """Remove a container and see it gone; False when the engine does not: `again` and `finish` ask once more."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while (status := self._remove(container)) == UNDER_WAY and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if status != GONE:
            self._left.add(container)
            return False
        self._left.discard(container)
        return True

    def _remove(self, container: str) -> int | None:
        """`GONE`, `UNDER_WAY`, or another status or none of an engine that does not remove it."""
        try:
            with translated("removing a container"):
                self._client.api.remove_container(container, force=True, v=True)
        except SandboxError as error:
            cause = error.__cause__
            return cause.status_code if isinstance(cause, docker.errors.APIError) else None
        return GONE

    def later(self, container: str) -> None:
        """Remember a container that an engine may have made, though it did not say so."""
        self._left.add(container)

    def again(self) -> None:
        """The engine answers: try those that were left."""
        for container in list(self._left):
            self._left.discard(container)
            self.soon(container)

    def finish(self) -> None:
        """Wait for removals within `CLOSE_SECONDS`, and try once more what was left. Never raises."""
        deadline = time.monotonic() + CLOSE_SECONDS
        wait(list(self._under_way), CLOSE_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for container in list(self._left):
            if time.monotonic() > deadline or not self.now(container):
                break  # the engine is still away: the labels tell the next start what is left
