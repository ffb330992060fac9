"""Stage 5: one patch of the candidates, by the rules of `core.selection.ranking`."""

from __future__ import annotations

from collections.abc import Sequence

from swerl_eval.core.selection import ranking
from swerl_eval.core.types import Candidate, Evidence, Selection


def select(instance_id: str, candidates: Sequence[Candidate], evidence: Sequence[Evidence]) -> Selection:
    """The chosen patch and the reason. Without test evidence that is the majority of normal forms."""
    return ranking.choose(instance_id, candidates, {each.normal_form: each for each in evidence})
