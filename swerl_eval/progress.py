"""What a run is doing right now, as counters that a display polls."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Counters of one process; nothing here is a result."""

    total: int = 0
    """Instances of the run."""
    done: Counter[str] = field(default_factory=Counter)
    """Instances that each stage has finished, resumed ones included."""
    resumed: Counter[str] = field(default_factory=Counter)
    """Of these, those found in the run folder."""
    verdicts: Counter[str] = field(default_factory=Counter)
    cache_hits: int = 0
    """Verdicts that this process took from the cache, on candidates that were not chosen too."""
    samples: int = 0
    """Answers received by this process."""
    tokens: int = 0
    """Output tokens received by this process."""
    prompt_tokens: int = 0
    """Of these answers' prompts: one that is asked for n answers counts n times."""
    requests: int = 0
    """In flight."""
    sampling_seconds: float = 0.0
    """With a request in flight, those under way now left out."""
    _sampling_since: float = 0.0
    waits: dict[str, str] = field(default_factory=dict)
    """What is waited for (an image, a repository, the engine), and how that stands."""
    running_containers: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)
    """What people should know of (a server that is started, one that crashed), the latest last."""
    listener: Callable[[str], None] | None = None
    """Told of each notice too."""
    started: float = field(default_factory=time.monotonic)

    def say(self, notice: str) -> None:
        """Add a notice."""
        self.notices.append(notice)
        if self.listener is not None:
            self.listener(notice)

    def waiting(self, what: str, how: str) -> None:
        """Something is waited for; nothing as `how`: no more. From any thread, as all of a `ports.Watcher`."""
        if how:
            self.waits[what] = how
        else:
            self.waits.pop(what, None)

    def running(self, container: str, *, now: bool) -> None:
        """A container has begun to run, or runs no more."""
        (self.running_containers.add if now else self.running_containers.discard)(container)

    @property
    def containers(self) -> int:
        """That run now; a job that waits for its image has none yet."""
        return len(self.running_containers)

    def request(self, step: int) -> None:
        """A request begins (1) or ends (-1)."""
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
        """Since the start of this process's work."""
        return time.monotonic() - self.started

    def remaining_seconds(self, last_stage: str) -> float | None:
        """Estimate from the instances that this process carried to the end; None while there is none."""
        worked = self.done[last_stage] - self.resumed[last_stage]
        if worked <= 0:
            return None
        return self.seconds / worked * (self.total - self.done[last_stage])
