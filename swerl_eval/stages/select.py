"""Selects one patch of the candidates, by the rules of `core.selection.ranking`."""

from __future__ import annotations

from collections.abc import Sequence

from swerl_eval.core.selection import ranking
from swerl_eval.core.types import Candidate, Evidence, Selection


def select(instance_id: str, candidates: Sequence[Candidate], evidence: Sequence[Evidence]) -> Selection:
    """Return the selected patch and the reason. Without evidence the most frequent normal form wins."""
    return ranking.choose(instance_id, candidates, {tested.normal_form: tested for tested in evidence})
