"""One instance's candidates as they come, for stages that need not wait for the last one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio

from swerl_eval.core.types import Candidate


class CandidateStream:
    """Filled by `repair`, watched by the stages after it."""

    def __init__(self, total: int) -> None:
        self.total = total
        """Samples that are asked for."""
        self.ended = False
        self.drawing = anyio.CancelScope()
        """Cancelled where no further sample is wanted."""
        self.judged_by: tuple[int, bool] | None = None
        """How many reproduction tests decide among them and whether regression tests do; None: not known yet."""
        self._found: dict[int, Candidate] = {}
        self._changed = anyio.Event()

    @property
    def candidates(self) -> list[Candidate]:
        """Those that have come, by the number of their sample."""
        return [self._found[index] for index in sorted(self._found)]

    @property
    def unique(self) -> dict[str, Candidate]:
        """Of those that have come, the earliest sample of each normal form."""
        unique: dict[str, Candidate] = {}
        for candidate in self.candidates:
            if candidate.rejection is None:
                unique.setdefault(candidate.normal_form, candidate)
        return unique

    def add(self, *candidates: Candidate) -> None:
        """Some more."""
        self._found.update({candidate.index: candidate for candidate in candidates})
        self._tell()

    def end(self) -> None:
        """No more are to come."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until there is enough, or all."""
        while not (enough() or self.ended):
            await self._changed.wait()

    async def first(self, count: int) -> list[Candidate]:
        """The candidates of the first so many samples: the same ones in whatever order they come."""
        wanted = range(min(count, self.total))
        await self.until(lambda: all(index in self._found for index in wanted))
        return [self._found[index] for index in wanted if index in self._found]

    async def each_unique(self) -> AsyncIterator[Candidate]:
        """One candidate of each normal form, the one that came first, as soon as it has come."""
        seen: set[str] = set()
        while True:
            new = [each for form, each in self.unique.items() if form not in seen]
            for candidate in new:
                seen.add(candidate.normal_form)
                yield candidate
            if not new:
                if self.ended:
                    return
                await self._changed.wait()
