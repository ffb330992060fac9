"""Stage 5: one patch of the candidates, by the rules of `core.ranking`."""

from __future__ import annotations

from collections.abc import Sequence

from swerl_eval.core.ranking import majority
from swerl_eval.core.types import Candidate, Selection


def select(instance_id: str, candidates: Sequence[Candidate]) -> Selection:
    """The chosen patch and the reason. Without test evidence that is the majority of normal forms."""
    return majority(instance_id, candidates)
