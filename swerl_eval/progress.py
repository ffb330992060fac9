"""Counters of what a run is doing right now, for a display to poll."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN_NOTICES = 5
"""The latest notices, which a snapshot has."""
SHOWN_WAITS = 20
"""Waits that a snapshot has, at most."""


def asks_a_model(stages: Iterable[str]) -> bool:
    """Whether one of these stages draws samples; a run of handed-in patches only evaluates."""
    return any(stage != "evaluate" for stage in stages)


@dataclass
class Progress:
    """Counters of one process; nothing here is a result."""

    total: int = 0
    """Instances of the run."""
    done: Counter[str] = field(default_factory=Counter)
    """Instances that each stage has finished, resumed ones included."""
    resumed: Counter[str] = field(default_factory=Counter)
    """Of these, those that were finished in the run folder already."""
    verdicts: Counter[str] = field(default_factory=Counter)
    cache_hits: int = 0
    """Verdicts that this process took from the cache, also on candidates that were not selected."""
    samples: int = 0
    """Answers received by this process."""
    tokens: int = 0
    """Output tokens received by this process."""
    prompt_tokens: int = 0
    """Prompt tokens of these answers; a prompt with n answers counts n times."""
    requests: int = 0
    """Requests in flight."""
    sampling_seconds: float = 0.0
    """Seconds with a request in flight, up to the last time when none was."""
    _sampling_since: float = 0.0
    waits: dict[str, str] = field(default_factory=dict)
    """What the run waits for (an image, a repository, the engine), and the state of it."""
    running_containers: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)
    """Lines for people (a server that is started, one that crashed), the latest last."""
    listener: Callable[[str], None] | None = None
    """Called with each notice."""
    redact: Callable[[str], str] = str
    """Takes secrets out of a text for people."""
    started: float = field(default_factory=time.monotonic)

    def notify(self, notice: str) -> None:
        """Add a notice."""
        notice = self.redact(notice)
        self.notices.append(notice)
        if self.listener is not None:
            self.listener(notice)

    def waiting(self, what: str, how: str) -> None:
        """Set the state of what is waited for; an empty state ends the wait. Any thread may call it."""
        if how:
            self.waits[what] = how
        else:
            self.waits.pop(what, None)

    def running(self, container: str, *, now: bool) -> None:
        """Note that a container has begun to run, or runs no more. Any thread may call it."""
        (self.running_containers.add if now else self.running_containers.discard)(container)

    @property
    def containers(self) -> int:
        """Number of containers that run now; a job that waits for its image has none yet."""
        return len(self.running_containers)

    def request(self, step: int) -> None:
        """Note that a request begins (1) or ends (-1)."""
        now = time.monotonic()
        if not self.requests:
            self._sampling_since = now
        self.requests += step
        if not self.requests:
            self.sampling_seconds += now - self._sampling_since

    def finish(self, stage: str, *, resumed: bool) -> None:
        """Count an instance through a stage."""
        self.done[stage] += 1
        self.resumed[stage] += resumed

    @property
    def seconds(self) -> float:
        """Seconds since the start of this process's work."""
        return time.monotonic() - self.started

    def remaining_seconds(self, last_stage: str) -> float | None:
        """Estimate from the instances that this process has finished; None while there is none."""
        finished = self.done[last_stage] - self.resumed[last_stage]
        if finished <= 0:
            return None
        return self.seconds / finished * (self.total - self.done[last_stage])

    def snapshot(self, stages: Sequence[str]) -> dict[str, Any]:
        """Return the present state as plain data. Any thread may call it.

        Args:
            stages: The stages that the run goes through, in order.
        """
        waits = sorted(self.waits.copy().items())
        return {
            "seconds": self.seconds,
            "total": self.total,
            "stages": [{"name": stage, "done": self.done[stage]} for stage in stages],
            "requests": self.requests,
            "containers": self.containers,
            "samples": self.samples,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens / max(self.seconds, 1e-9),
            "remaining_seconds": self.remaining_seconds(stages[-1]),
            "verdicts": dict(self.verdicts),
            "waits": [" ".join(f"{name}: {state}".split()) for name, state in waits[:SHOWN_WAITS]],
            "notices": self.notices[-SHOWN_NOTICES:],
        }
