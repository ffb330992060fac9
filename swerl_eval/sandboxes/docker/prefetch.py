"""Pulls the images of coming jobs while the present ones run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.docker.images import Images

RETRY_SECONDS = 5.0
"""Between two looks at whether there is room again."""


class Prefetcher:
    """One thread that pulls images in order. An image that it cannot pull is left to its job, which says why."""

    def __init__(
        self,
        images: Images,
        lead: int | None,
        has_room: Callable[[Collection[str]], bool],
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Set up without starting the thread.

        Args:
            images: The engine's images.
            lead: How many images beyond the furthest that a job has used are pulled; None: all, while there is room.
            has_room: Whether one more image fits; it may remove other images, but none of those that it is given.
            retry_seconds: Time between two looks at whether there is room again.
        """
        self._images, self._lead = images, lead
        self._has_room, self._retry_seconds = has_room, retry_seconds
        self._names: list[str] = []
        self._used: set[str] = set()
        self._furthest_used = -1
        """Position in `_names`."""
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, names: Sequence[str]) -> None:
        """Pull these images, in their order, after those that were added before. Returns at once."""
        with self._changed:
            self._names += [name for name in dict.fromkeys(names) if name not in self._names]
            if self._thread is None and self._names:
                self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def job_began(self, name: str) -> None:
        """Note that a job needs this image now and pulls it itself."""
        with self._changed:
            self._used.add(name)
            if name in self._names:
                self._furthest_used = max(self._furthest_used, self._names.index(name))
            self._changed.notify_all()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop the pull under way, and wait at most `timeout` seconds for its end."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        position = 0
        while not self._stop.is_set():
            with self._changed:
                if position >= len(self._names) or self._is_too_far(position):
                    self._changed.wait()
                    continue
                name = self._names[position]
            try:
                is_done = self._fetch(name)
            except SandboxError:
                is_done = True
            if is_done:
                position += 1
            else:
                self._stop.wait(self._retry_seconds)

    def _is_too_far(self, position: int) -> bool:
        return self._lead is not None and position > self._furthest_used + self._lead

    def _fetch(self, name: str) -> bool:
        """Pull an image if there is room; returns whether nothing is left to do for it."""
        if name in self._used or self._images.present(name):
            return True
        if not self._has_room(self._wanted()) or self._stop.is_set():
            return False
        self._images.prefetch(name, self._stop)
        return self._images.present(name)  # if not, the budget had no room for it and removed it at once

    def _wanted(self) -> list[str]:
        """Images near the position of the jobs that no job has used yet."""
        with self._changed:
            lead = len(self._names) if self._lead is None else self._lead
            near = self._names[max(0, self._furthest_used - lead) : self._furthest_used + lead + 1]
            return [name for name in near if name not in self._used]
