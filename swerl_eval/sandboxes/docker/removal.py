"""Removes containers in the background, and remembers those that the engine could not remove."""

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
"""How long a removal by somebody else is awaited; on a slow disk one was seen to take ten."""
POLL_SECONDS = 0.2
GONE, UNDER_WAY = 404, 409
"""Statuses of a removal that is not needed any more, and of one that somebody else has begun."""


class Removals:
    """Containers that are being removed, and those whose removal failed. Thread safe."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="remove")
        self._under_way: set[Future[bool]] = set()
        self._failed: set[str] = set()

    def submit(self, container: str) -> None:
        """Remove a container, by its id or name, in the background."""
        removal = self._threads.submit(self.remove, container)
        self._under_way.add(removal)
        removal.add_done_callback(self._under_way.discard)

    def remove(self, container: str) -> bool:
        """Remove a container and wait until it is gone.

        Returns:
            False when the engine does not remove it. `retry_failed` and `finish` ask once more.
        """
        deadline = time.monotonic() + REMOVAL_SECONDS
        while (status := self._request_removal(container)) == UNDER_WAY and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if status != GONE:
            self._failed.add(container)
            return False
        self._failed.discard(container)
        return True

    def _request_removal(self, container: str) -> int | None:
        """Ask once; returns `GONE`, `UNDER_WAY`, another status, or None where the engine does not answer."""
        try:
            with translated("removing a container"):
                self._client.api.remove_container(container, force=True, v=True)
        except SandboxError as error:
            cause = error.__cause__
            return cause.status_code if isinstance(cause, docker.errors.APIError) else None
        return GONE

    def remember(self, container: str) -> None:
        """Note a container that the engine may have made although it did not answer."""
        self._failed.add(container)

    def retry_failed(self) -> None:
        """Submit the failed removals again: the engine answers now."""
        for container in list(self._failed):
            self._failed.discard(container)
            self.submit(container)

    def finish(self) -> None:
        """Wait for removals within `CLOSE_SECONDS`, and try the failed ones once more. Never raises."""
        deadline = time.monotonic() + CLOSE_SECONDS
        wait(list(self._under_way), CLOSE_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for container in list(self._failed):
            if time.monotonic() > deadline or not self.remove(container):
                break  # the engine is still away: the next start finds the rest by its labels
