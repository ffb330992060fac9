"""How many containers a machine bears: at first by its size, then by its load.

On an overloaded machine tests run into their time limits, which looks like a wrong patch.
"""

from __future__ import annotations

import math

from swerl_eval.core.types import Machine

JOBS_PER_CORE = 0.75
MEMORY_PER_JOB = 2 * 2**30
"""Bytes; few test suites need more."""
MOST_JOBS = 64
"""On one machine, where the machine decides."""
LOOK_SECONDS = 10.0
"""Between two looks at the load of a machine."""
ONE_FEWER_ABOVE, ONE_MORE_BELOW = 2.0, 1.5
"""Load (runnable processes per core) above which a machine gets one job fewer at a look, and below which one more. On
two cores, two workers and the processes that serve them were seen to cause a load of 1.5 by themselves."""


def jobs_at_first(machine: Machine) -> int:
    """Return three jobs for four cores, as far as the memory goes."""
    by_memory = machine.memory // MEMORY_PER_JOB if machine.memory else MOST_JOBS
    return max(1, min(math.ceil(JOBS_PER_CORE * machine.cpus), by_memory, MOST_JOBS))


def step(pressure: float) -> int:
    """Return what a look at a machine's load changes in the number of its jobs: -1, 0 or 1."""
    return -1 if pressure > ONE_FEWER_ABOVE else int(pressure < ONE_MORE_BELOW)
