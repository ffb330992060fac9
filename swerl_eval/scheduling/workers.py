"""How many containers run at a time: the number that was asked for, or what the machine bears.

Where no number was asked for, the number follows the machine's load while the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from swerl_eval.core.capacity import LOOK_SECONDS, jobs_at_first, step
from swerl_eval.core.types import Machine

QUEUE_FACTOR = 8
"""Jobs that a sandbox with a queue of its own is given, for each that its machines bear. It chooses by the images that
machines hold; with 2 in place of 8, it was seen to pull twice the bytes (results/scaling.md)."""


class Workers:
    """A limiter of containers whose size can change while a run goes on.

    Args:
        requested: The number that was asked for; 0 lets the machine decide.
        file: File into which a user may write another number during the run.
    """

    def __init__(self, requested: int, file: Path | None = None) -> None:
        self._requested = requested
        self._file = file
        self._maximum = requested or 1
        self.limiter = anyio.CapacityLimiter(self._maximum)

    @property
    def maximum(self) -> int:
        """The number that is not exceeded."""
        return self._maximum

    def size_to_machines(self, machines: Sequence[Machine], *, queued: bool = False) -> None:
        """Set the number by the machines' sizes, where no number was asked for.

        Args:
            machines: All that jobs run on.
            queued: Whether the sandbox takes more jobs than it runs, so that the number bounds its queue too.
        """
        if not self._requested:
            self._maximum = sum(map(jobs_at_first, machines)) * (QUEUE_FACTOR if queued else 1)
            self.limiter.total_tokens = self._maximum

    async def autoscale(self, pressure: Callable[[], float | None], interval: float = LOOK_SECONDS) -> None:
        """Rescale at every interval until cancelled.

        Jobs under way go on; with fewer workers, the next jobs wait.

        Args:
            pressure: Returns the machine's load, as `ports.Sandbox.pressure` does.
            interval: Seconds.
        """
        while True:
            await anyio.sleep(interval)
            self.rescale(None if self._requested else pressure())

    def rescale(self, pressure: float | None) -> None:
        """Set the number by the file, else by the load; None leaves it at its maximum."""
        written = self._written()
        if written:
            self._maximum = written
        number = self._maximum
        if pressure is not None and not written:
            number = int(self.limiter.total_tokens) + step(pressure)
        self.limiter.total_tokens = max(1, min(number, self._maximum))

    def _written(self) -> int:
        """Return the number in the file; 0 where there is none."""
        try:
            return max(0, int(self._file.read_text(encoding="ascii"))) if self._file else 0
        except (OSError, ValueError):
            return 0
