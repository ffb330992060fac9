"""Fetches the images of coming jobs while the present ones run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.docker.images import Images

LOOK_SECONDS = 5.0
"""Between two looks at whether there is room again."""


class Prefetcher:
    """One thread that pulls images in order, at most `lead` beyond the furthest that a job has come to.

    `lead` None: as far as there is room. `room(wanted)` says whether one more image fits, and may remove others, but
    none of `wanted`. What cannot be pulled is left to its job, which will say so.
    """

    def __init__(
        self,
        images: Images,
        lead: int | None,
        room: Callable[[Collection[str]], bool],
        look: float = LOOK_SECONDS,
    ) -> None:
        self._images, self._lead, self._room, self._look = images, lead, room, look
        self._names: list[str] = []
        self._used: set[str] = set()
        self._furthest = -1
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, names: Sequence[str]) -> None:
        """Fetch these, in their order, after those that were named before. Returns at once."""
        with self._changed:
            self._names += [name for name in dict.fromkeys(names) if name not in self._names]
            if self._thread is None and self._names:
                self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def reached(self, name: str) -> None:
        """A job needs this image now."""
        with self._changed:
            self._used.add(name)
            if name in self._names:
                self._furthest = max(self._furthest, self._names.index(name))
            self._changed.notify_all()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop the pull under way, and wait at most so many seconds for it."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        position = 0
        while not self._stop.is_set():
            with self._changed:
                if position >= len(self._names) or self._too_far(position):
                    self._changed.wait()
                    continue
                name = self._names[position]
            try:
                done = self._fetch(name)
            except SandboxError:
                done = True
            if done:
                position += 1
            else:
                self._stop.wait(self._look)

    def _too_far(self, position: int) -> bool:
        return self._lead is not None and position > self._furthest + self._lead

    def _fetch(self, name: str) -> bool:
        """Whether there is nothing left to do for an image."""
        if name in self._used or self._images.present(name):
            return True
        if not self._room(self._wanted()) or self._stop.is_set():
            return False
        self._images.fetch_ahead(name, self._stop)
        return self._images.present(name)  # else there was no room after all, and it went at once

    def _wanted(self) -> list[str]:
        """Names near where the jobs are that none has used yet."""
        with self._changed:
            lead = len(self._names) if self._lead is None else self._lead
            near = self._names[max(0, self._furthest - lead) : self._furthest + lead + 1]
            return [name for name in near if name not in self._used]
