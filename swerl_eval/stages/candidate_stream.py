"""One instance's candidates as they come, for stages that need not wait for the last one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio

from swerl_eval.core.selection.early_stop import SelectionBasis
from swerl_eval.core.types import Candidate


class CandidateStream:
    """Candidates of one instance. `repair` adds them; the stages after it wait for them."""

    def __init__(self, total: int) -> None:
        self.total = total
        """Samples that are asked for."""
        self.sampling = anyio.CancelScope()
        """Cancelled when no further sample is wanted."""
        self.basis: SelectionBasis | None = None
        """Which tests have a say in the choice; None while that is not known."""
        self._by_index: dict[int, Candidate] = {}
        self._ended = False
        self._changed = anyio.Event()

    @property
    def candidates(self) -> list[Candidate]:
        """Candidates that have come, in the order of their samples."""
        return [self._by_index[index] for index in sorted(self._by_index)]

    @property
    def unique(self) -> dict[str, Candidate]:
        """The earliest candidate of each normal form, of those that have come."""
        unique: dict[str, Candidate] = {}
        for candidate in self.candidates:
            if candidate.rejection is None:
                unique.setdefault(candidate.normal_form, candidate)
        return unique

    def add(self, *candidates: Candidate) -> None:
        """Add candidates and wake all waiters."""
        self._by_index.update({candidate.index: candidate for candidate in candidates})
        self._wake()

    def end(self) -> None:
        """Say that no more candidates come, and wake all waiters."""
        self._ended = True
        self._wake()

    async def first(self, count: int) -> list[Candidate]:
        """Wait for the candidates of the first `count` samples, or for the end.

        Returns:
            These candidates in the order of their samples, whatever the order in which they came.
        """
        wanted = range(min(count, self.total))
        await self._wait_until(lambda: all(index in self._by_index for index in wanted))
        return [self._by_index[index] for index in wanted if index in self._by_index]

    async def all(self) -> list[Candidate]:
        """Wait for the end; return all candidates that came."""
        await self._wait_until(lambda: False)
        return self.candidates

    async def unique_as_they_come(self) -> AsyncIterator[Candidate]:
        """Yield the first candidate that comes of each normal form, until the end."""
        seen: set[str] = set()
        while True:
            new = [candidate for normal_form, candidate in self.unique.items() if normal_form not in seen]
            for candidate in new:
                seen.add(candidate.normal_form)
                yield candidate
            if not new:
                if self._ended:
                    return
                await self._changed.wait()

    async def _wait_until(self, enough: Callable[[], bool]) -> None:
        while not (enough() or self._ended):
            await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
