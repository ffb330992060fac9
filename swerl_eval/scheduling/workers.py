"""How many containers run at a time: what was asked for, or what the machine bears, changeable while a run goes on.

Contention makes tests run into their time limits, which looks like a wrong patch. So where no number was asked for, one
worker fewer is used while the machine has more to do than it can, and one more when that has passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import anyio

from swerl_eval.core.types import Machine

MEMORY_EACH = 2 * 2**30
"""Bytes of memory for each worker; few test suites need more."""
SCALE_DOWN_ABOVE, SCALE_UP_BELOW = 2.0, 1.5
"""Pressure above which there is one worker fewer, and below which there is one more. On two cores, two workers and what
serves them were seen to make 1.5 of it by themselves."""
LOOK_SECONDS = 10.0
AT_MOST = 64
"""Workers, where the machine decides."""


class Workers:
    """A limiter, and what sets its size. `asked` 0 lets the machine decide."""

    def __init__(self, asked: int, file: Path | None = None) -> None:
        self._asked = asked
        self._file = file
        self._most = asked or 1
        self.limiter = anyio.CapacityLimiter(self._most)

    @property
    def most(self) -> int:
        """The number that is not exceeded."""
        return self._most

    def size_to_machine(self, machine: Machine) -> None:
        """Take the size of the machine, where no number was asked for."""
        if not self._asked:
            self._most = suggested(machine)
            self.limiter.total_tokens = self._most

    async def autoscale(self, pressure: Callable[[], float | None], every: float = LOOK_SECONDS) -> None:
        """Adjust the limiter for as long as this runs: to the number in the file, and to the pressure.

        Jobs under way go on; fewer workers means that the next ones wait.
        """
        while True:
            await anyio.sleep(every)
            self.rescale(None if self._asked else pressure())

    def rescale(self, pressure: float | None) -> None:
        """One look at the file and the machine."""
        written = self._written()
        if written:
            self._most = written
        now = int(self.limiter.total_tokens)
        if pressure is None or written:
            now = self._most
        elif pressure > SCALE_DOWN_ABOVE:
            now -= 1
        elif pressure < SCALE_UP_BELOW:
            now += 1
        self.limiter.total_tokens = max(1, min(now, self._most))

    def _written(self) -> int:
        """The number that somebody wrote into the file; 0 where there is none."""
        try:
            return max(0, int(self._file.read_text(encoding="ascii"))) if self._file else 0
        except (OSError, ValueError):
            return 0


def suggested(machine: Machine) -> int:
    """Three of four cores, as far as memory goes."""
    by_memory = machine.memory // MEMORY_EACH if machine.memory else AT_MOST
    return max(1, min(math.ceil(0.75 * machine.cpus), by_memory, AT_MOST))
