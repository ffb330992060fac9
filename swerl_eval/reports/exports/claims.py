"""What an export may claim. If the run did not make the patches itself, it may claim the grading alone."""

from __future__ import annotations

from swerl_eval.core.types import GOLD, HANDED_IN
from swerl_eval.records.manifest import RunManifest


def why_grading_only(manifest: RunManifest) -> str:
    """The reason to claim the grading alone; empty if this run sampled the answers and chose the patches."""
    if manifest.patch_origin == HANDED_IN:
        return "the patches were handed in: who made them, with what, and in how many attempts is not known here"
    if manifest.patch_origin == GOLD:
        return "the patches are the dataset's own answers (gold), and no model's"
    return "the answers were recorded, not sampled: this is no result of a model" if manifest.recorded else ""
